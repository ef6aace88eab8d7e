// Package debian fetches packages from a Debian mirror and unpacks the files that are
// wanted of them, on any Linux, as an ordinary user and without touching the host.
//
// What is trusted, and why:
//
//   - The InRelease file of a suite carries the signature of the Debian archive key. It is
//     checked with gpgv and the keyring of the package debian-archive-keyring. Where one
//     of the two is missing, the file is taken as it came and [Index.Signed] says so.
//   - The index of packages must have the SHA256 that InRelease states.
//   - A package must have the size and the SHA256 that the index states.
//
// Packages are read by Go code alone: ar, xz and tar. No maintainer script runs.
package debian
