package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Bounds on what another machine may do to us.
const (
	sshTime  = 60 * time.Second
	sshBytes = 4 << 20
)

var (
	// What ssh takes for a host: name, address, user@host, ssh://user@host:port; never
	// an option, which begins with a hyphen, and nothing a shell would understand.
	sshHost = regexp.MustCompile(`^[A-Za-z0-9_\[][A-Za-z0-9_.:@/%\[\]-]*$`)
	// The remote shell splits and expands what it is given.
	remoteProgram = regexp.MustCompile(`^[A-Za-z0-9_./~+-]+$`)
)

// checkSSH refuses hosts and programs that ssh or a shell would take for something else.
func checkSSH(hosts []string, program string) error {
	for _, h := range hosts {
		if !sshHost.MatchString(h) || len(h) > 255 {
			return usageError("%q is no host for ssh: write host, user@host or ssh://user@host:port", h)
		}
	}
	if !remoteProgram.MatchString(program) || strings.HasPrefix(program, "-") {
		return usageError("%q is no path of a program: letters, digits and ./_~+- only", program)
	}
	return nil
}

// discoverOver asks each host for its hardware, all at once. The answers are in the
// order of the hosts.
func discoverOver(ctx context.Context, hosts []string, program string) ([]mesh.Hardware, error) {
	answers := make([]mesh.Hardware, len(hosts))
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, host := range hosts {
		wg.Go(func() { answers[i], errs[i] = discoverAt(ctx, host, program) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func discoverAt(ctx context.Context, host, program string) (mesh.Hardware, error) {
	ctx, cancel := context.WithTimeout(ctx, sshTime)
	defer cancel()
	// BatchMode: nobody is there to type a password for several hosts at once.
	cmd := exec.CommandContext(ctx, "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", host, program, "discover", "--json")
	cmd.WaitDelay = time.Second
	stdout := &bounded{limit: sshBytes}
	stderr := &bounded{limit: 4096}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if err != nil {
		said := strings.TrimSpace(strings.ToValidUTF8(stderr.String(), "?"))
		hint := "; see that `ssh " + host + "` works without a password"
		if strings.Contains(said, "not found") || strings.Contains(said, "No such file") {
			hint = "; install usb4mesh there, or name its place with --remote"
		}
		return mesh.Hardware{}, fmt.Errorf("%s: %w: %q%s", host, err, said, hint)
	}
	h, err := readHardware(stdout.Bytes())
	if err != nil {
		return h, fmt.Errorf("%s: %w", host, err)
	}
	return h, nil
}

// bounded is a buffer that refuses to grow beyond its limit.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, fmt.Errorf("more than %d bytes: %w", b.limit, io.ErrShortBuffer)
	}
	return b.Buffer.Write(p)
}
