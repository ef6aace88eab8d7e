// Package drivertest tries usb4mesh where it is meant to run: on stock Debian kernels
// with the stock thunderbolt and thunderbolt_net drivers. The machines are guests, and
// their USB4 host routers are those of the emulator (see emulator/README.md). What a
// pass proves, and what it does not, is told in emulator/docs.
//
// There is nothing here but tests. The short one runs with every `make test`, the rest
// with `make test-drivers`.
package drivertest
