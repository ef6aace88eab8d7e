package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stream writes events the way `go test -json` does. Each is "action test" or
// "action test text"; the package is p throughout, - stands for the package itself.
func stream(t *testing.T, events ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, e := range events {
		f := strings.SplitN(e, " ", 3)
		ev := event{Action: f[0], Package: "p", Test: strings.TrimPrefix(f[1], "-")}
		if len(f) == 3 {
			ev.Output = f[2] + "\n"
		}
		line, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func TestSummary(t *testing.T) {
	tests := []struct {
		name    string
		events  []string
		allowed string
		want    string
	}{
		{
			name:   "leaves are counted",
			events: []string{"start -", "run A", "run A/x", "run A/y", "pass A/x", "pass A/y", "pass A", "run B", "pass B", "pass -"},
			want:   "ok    p  0.0s\n3 passed, 0 failed, 0 skipped\n",
		},
		{
			name: "a failed subtest counts once and is shown",
			events: []string{"start -", "run A", "run A/x", "output A/x     a_test.go:3: wrong", "fail A/x",
				"fail A", "fail -"},
			want: "---- p A/x\n    a_test.go:3: wrong\n---- p A\nFAIL  p  0.0s\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "a parent may fail by itself",
			events: []string{"start -", "run A", "run A/x", "pass A/x", "output A     a_test.go:9: after", "fail A", "fail -"},
			want:   "---- p A\n    a_test.go:9: after\nFAIL  p  0.0s\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "a package that fails outside of tests",
			events: []string{"start -", "output - exit status 2", "fail -"},
			want:   "---- p\nexit status 2\nFAIL  p  0.0s\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "a run that was cut off",
			events: []string{"start -", "run A", "output A hanging"},
			want:   "---- p\nnever ended\n---- p A\nhanging\nnever ended\n0 passed, 2 failed, 0 skipped\n",
		},
		{
			name:   "nothing is no success",
			events: nil,
			want:   "no test ran\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "skips show their reason, however long",
			events: []string{"start -", "run A", "output A === RUN   A", "output A     a_test.go:1: no nft:",
				"output A         apt install nftables", "output A --- SKIP: A (0.00s)", "skip A", "pass -"},
			want: "ok    p  0.0s\nSKIP  p A: no nft: apt install nftables\n0 passed, 0 failed, 1 skipped\n",
		},
		{
			name:   "a skip without a reason fails",
			events: []string{"start -", "run A", "output A --- SKIP: A (0.00s)", "skip A", "pass -"},
			want:   "ok    p  0.0s\nSKIP  p A: NO REASON GIVEN, counted as failed\n0 passed, 1 failed, 1 skipped\n",
		},
		{
			name:    "only listed reasons are allowed",
			allowed: "# known\n^no dummy$\n",
			events: []string{"start -", "run A", "output A     a.go:1: no dummy", "skip A",
				"run B", "output B     b.go:1: no nft", "skip B", "pass -"},
			want: "ok    p  0.0s\nSKIP  p A: no dummy\nSKIP  p B: no nft (NOT ALLOWED HERE, counted as failed)\n" +
				"0 passed, 1 failed, 2 skipped\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := ""
			if tt.allowed != "" {
				file = filepath.Join(t.TempDir(), "allowed")
				if err := os.WriteFile(file, []byte(tt.allowed), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			ok, err := run(strings.NewReader(stream(t, tt.events...)), &out, file, "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if want := strings.Contains(tt.want, " 0 failed"); ok != want {
				t.Errorf("ok = %v, want %v", ok, want)
			}
		})
	}
}

func TestSummaryShowsWhatIsNoEvent(t *testing.T) {
	var out strings.Builder
	in := "# p\nsyntax error\n" + `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}` + "\n"
	if ok, err := run(strings.NewReader(in), &out, "", ""); ok || err != nil {
		t.Errorf("run = %v, %v, want false and no error", ok, err)
	}
	want := "# p\nsyntax error\np.go:1: undefined: x\nno test ran\n0 passed, 1 failed, 0 skipped\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestAllowedSkipsMustBeReadable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(file, []byte("("), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".missing"} {
		if _, err := run(strings.NewReader(""), &strings.Builder{}, name, ""); err == nil {
			t.Errorf("run with allowed skips %s: no error", name)
		}
	}
}
