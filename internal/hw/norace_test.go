//go:build !race

package hw_test

const raceEnabled = false
