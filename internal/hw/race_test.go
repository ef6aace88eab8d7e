//go:build race

package hw_test

// The race detector makes everything several times slower.
const raceEnabled = true
