package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRun serves a topology, steers it and ends it.
func TestRun(t *testing.T) {
	dir, err := os.MkdirTemp("", "usb4emu")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	topology := filepath.Join(dir, "t.yaml")
	if err := os.WriteFile(topology, []byte(`{hosts: [{name: a}, {name: b, model: intel}], cables: [{name: c, a: "a:1", b: "b:2"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan error, 1)
	sockets := filepath.Join(dir, "run")
	trace := filepath.Join(dir, "trace")
	go func() { ended <- run(ctx, []string{"run", "-dir", sockets, "-trace", trace, topology}, &out, &errs) }()

	ask := func(words ...string) (string, error) {
		var answer bytes.Buffer
		err := run(t.Context(), append([]string{"ctl", "-dir", sockets}, words...), &answer, &answer)
		return answer.String(), err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := ask("unplug", "c"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("not steerable within 20 s: %v", err)
		}
	}
	if text, err := ask("stats"); err != nil || !strings.Contains(text, `"plugged": false`) {
		t.Errorf("stats: %v\n%s", err, text)
	}
	if _, err := ask("plug", "z"); err == nil {
		t.Error("an unknown cable: no error")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"8086:5781  0d.0", "1022:1669  08.6", filepath.Join(sockets, "a-1.sock")} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("the table does not have %q:\n%s", want, errs.String())
		}
	}
	if text, err := os.ReadFile(trace); err != nil || !strings.Contains(string(text), "pulled") {
		t.Errorf("trace: %v\n%s", err, text)
	}
	if left, err := filepath.Glob(filepath.Join(sockets, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}, {"run"}, {"run", "a", "b"}, {"run", "-nonsense"}, {"run", "/nonexistent.yaml"}, {"ctl", "-dir", "/nonexistent", "stats"}} {
		var out, errs bytes.Buffer
		if err := run(t.Context(), args, &out, &errs); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	var out, errs bytes.Buffer
	if err := run(t.Context(), []string{"models"}, &out, &errs); err != nil || !strings.Contains(out.String(), "amd-strix-halo  AMD") {
		t.Errorf("models: %v\n%s", err, &out)
	}
	if err := run(t.Context(), []string{"help"}, &out, &errs); err != nil || !strings.Contains(out.String(), "usb4emu run") {
		t.Errorf("help: %v\n%s", err, &out)
	}
}
