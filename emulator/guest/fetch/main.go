// Command fetch gets what guests need, so that tests find it there.
//
//	go run ./emulator/guest/fetch [KERNEL...]
//
// Kernels are 6.1, 6.12 (default) and newest; "systemd" is the root of guests with systemd. Tests do the same
// themselves, but under the race detector unpacking takes ten times as long.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := os.Args[1:]
	if len(names) == 0 {
		names = []string{string(guest.Linux612)}
	}
	for _, name := range names {
		about, err := guest.Fetch(ctx, name)
		var no guest.Unavailable
		if errors.As(err, &no) { // tests will skip with this reason
			fmt.Println("fetch:", no.Error())
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "fetch: %s: %v\n", name, err)
			os.Exit(1)
		}
		fmt.Print(about)
	}
}
