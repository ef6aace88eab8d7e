// Package house holds the tests that keep the repository as a whole in order:
// walls between packages, package comments, generated documents, links, sizes.
//
// They stand in one package because they look at all others; nothing imports it.
package house
