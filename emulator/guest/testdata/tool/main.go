// Tool is a program for tests of the harness: it does in a guest what its first argument says.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(7)
	}
}

func run(args []string) error {
	switch args[0] {
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "sleep":
		seconds, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "sleeping")
		time.Sleep(time.Duration(seconds) * time.Second)
		return nil
	}
	return fmt.Errorf("cannot %s", args[0])
}
