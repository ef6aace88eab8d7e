// Command usb4mesh turns USB4 and Thunderbolt cables between machines into a
// network that is planned, proven, running and explained.
//
// Each verb has a file of its own. Verbs print their answer to stdout and talk
// on stderr; exit codes are the constants in exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
