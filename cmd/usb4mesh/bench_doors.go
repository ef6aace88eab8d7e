package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/remote"
)

// labDoor runs this program in the nodes of a lab.
type labDoor struct{ lab *lab.Lab }

func (d labDoor) Run(ctx context.Context, node string, job remote.Job, in io.Reader, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The keeper takes files: a pipe for each stream.
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inRead.Close(), inWrite.Close())
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inRead.Close(), inWrite.Close(), outRead.Close(), outWrite.Close())
	}
	var said bytes.Buffer
	var copying sync.WaitGroup
	var copied error
	copying.Go(func() {
		if _, copied = io.Copy(out, outRead); copied != nil {
			outRead.Close() // the program sees it
		}
	})
	copying.Go(func() { _, _ = io.Copy(&said, io.LimitReader(errRead, 64<<10)) })
	go func() { // ends with in, which the caller closes
		_, _ = io.Copy(inWrite, in)
		inWrite.Close()
	}()
	code, err := d.lab.Exec(ctx, lab.Command{Node: node, Argv: append([]string{self}, job.Args()...), Env: os.Environ()}, [3]*os.File{inRead, outWrite, errWrite}, nil)
	inRead.Close()
	outWrite.Close()
	errWrite.Close()
	copying.Wait()
	outRead.Close()
	errRead.Close()
	return runError(ctx, node, code, said.String(), errors.Join(err, copied))
}

// runError says how a program on a node ended.
func runError(ctx context.Context, node string, code int, said string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("node %s: %w", node, err)
	case code != 0:
		said = strings.TrimPrefix(strings.TrimSpace(said), "usb4mesh: ")
		if said == "" {
			said = fmt.Sprintf("exit code %d", code)
		}
		return fmt.Errorf("node %s: %s", node, said)
	}
	return nil
}

// sshFlags say how to reach nodes over ssh.
type sshFlags struct {
	hosts   []string
	user    string
	program string
	remote  string
}

func (s *sshFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&s.hosts, "host", nil, "NODE=HOST: the name by which ssh knows a node, if not its own (repeatable)")
	f.StringVar(&s.user, "user", "", "user on the nodes")
	f.StringVar(&s.program, "ssh-program", "ssh", "program that is called as ssh")
	f.StringVar(&s.remote, "remote-program", "usb4mesh", "path of usb4mesh on the nodes")
}

func (s *sshFlags) door(p *mesh.Plan) (*sshDoor, error) {
	d := &sshDoor{program: s.program, remote: s.remote, hosts: map[string]string{}}
	for _, n := range p.Nodes {
		d.hosts[n.Name] = n.Name
	}
	for _, pair := range s.hosts {
		node, host, ok := strings.Cut(pair, "=")
		if !ok || host == "" {
			return nil, usageError("--host %s: write NODE=HOST", pair)
		}
		if d.hosts[node] == "" {
			return nil, usageError("--host %s: the plan has no node %q", pair, node)
		}
		d.hosts[node] = host
	}
	for node, host := range d.hosts {
		if strings.HasPrefix(host, "-") || strings.HasPrefix(s.user, "-") {
			return nil, usageError("node %s: ssh would take %q for an option; give its name with --host", node, host)
		}
		if s.user != "" {
			d.hosts[node] = s.user + "@" + host
		}
	}
	return d, nil
}

// sshDoor runs usb4mesh on nodes over ssh.
type sshDoor struct {
	program, remote string
	hosts           map[string]string
}

func (d *sshDoor) Run(ctx context.Context, node string, job remote.Job, in io.Reader, out io.Writer) error {
	var words []string
	for _, a := range append([]string{d.remote}, job.Args()...) {
		words = append(words, quote(a))
	}
	// The program on the far side ends with its standard input, so a broken
	// connection must break soon.
	cmd := exec.CommandContext(ctx, d.program, "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
		"-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "--", d.hosts[node], strings.Join(words, " "))
	cmd.WaitDelay = 2 * time.Second
	said := &clipped{limit: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	go func() { // ends with in, which the caller closes
		_, _ = io.Copy(stdin, in)
		stdin.Close()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return runError(ctx, node, max(1, exit.ExitCode()), said.String(), nil)
	}
	return runError(ctx, node, 0, "", err)
}

// quote makes one word of s for the shell on the far side, whatever is in it
// (POSIX shell, 2.2.2: nothing is special between single quotes).
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@%+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// clipped keeps the first bytes written to it.
type clipped struct {
	bytes.Buffer
	limit int
}

func (c *clipped) Write(p []byte) (int, error) {
	if room := c.limit - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
