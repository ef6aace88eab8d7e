package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
)

// TestMain lets the stories call usb4mesh: the test binary plays it, and a fake agent.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"usb4mesh":  main,
		"fakeagent": fakeAgent,
	})
}

// TestStories runs testdata/script: each file is a session of a person at the
// command line. $EXAMPLES is the folder of the examples, $TREES that of model machines.
func TestStories(t *testing.T) {
	trees := modelTrees(t)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			env.Setenv("TREES", trees)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, "run")) // labs of this story alone
			env.Defer(func() { endLab(env) })
			if err := os.Mkdir(filepath.Join(env.WorkDir, "run"), 0o700); err != nil {
				return err
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": cmdExitCode},
	})
}

// cmdExitCode runs a command and wants an exit code other than 0:
// exitcode 3 usb4mesh check bad.yaml.
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("want exit code %s, got %v", args[0], err)
	}
	if got := strconv.Itoa(exit.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// modelTrees puts the model machines of package hw on disk.
func modelTrees(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	archives, err := filepath.Glob("../../internal/hw/testdata/trees/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no model trees: %v", err)
	}
	for _, name := range archives {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for tree, fsys := range hwtest.Load(b) {
			for file, f := range fsys {
				full := filepath.Join(dir, tree, file)
				err := os.MkdirAll(filepath.Dir(full), 0o755)
				if err == nil && f.Mode&fs.ModeSymlink != 0 {
					err = os.Symlink(string(f.Data), full)
				} else if err == nil {
					err = os.WriteFile(full, f.Data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

// endLab ends the lab of a story that failed half-way. Others have none.
func endLab(env *testscript.Env) {
	down := exec.Command("/bin/sh", "-c", "usb4mesh lab down")
	down.Dir, down.Env = env.WorkDir, env.Vars
	_ = down.Run() // exit code 1: there was none
}
