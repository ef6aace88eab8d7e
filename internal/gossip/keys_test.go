package gossip

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

const (
	base64Key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	hexKey    = "000102030405060708090a0b0c0d0e0f"
)

func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestLoadKeys(t *testing.T) {
	tests := []struct {
		name string
		text string
		mode os.FileMode
		want [][]byte
		err  string // part of message or hint
	}{
		{"base64", base64Key + "\n", 0o600, [][]byte{counting(32)}, ""},
		{"hexadecimal, readable for the group", hexKey, 0o640, [][]byte{counting(16)}, ""},
		{"read-only", hexKey, 0o400, [][]byte{counting(16)}, ""},
		{"two with a comment", "# new\n" + base64Key + "\r\n\n  " + hexKey + "\n", 0o600, [][]byte{counting(32), counting(16)}, ""},
		{"without padding", strings.TrimRight(base64Key, "="), 0o600, [][]byte{counting(32)}, ""},
		{"others can read", base64Key, 0o644, nil, "chmod 0600"},
		{"group can write", base64Key, 0o660, nil, "mode 0660"},
		{"empty", "\n# nothing\n", 0o600, nil, "has no key"},
		{"too short", "AAEC", 0o600, nil, "a key of 2 bytes"},
		{"no form", "geheim!", 0o600, nil, ":1: error: a line that is neither"},
		{"twice", base64Key + "\n" + base64Key, 0o600, nil, "stands there twice"},
		{"all zero", strings.Repeat("0", 64), 0o600, nil, "protects nothing"},
		{"all 0xff", strings.Repeat("f", 64), 0o600, nil, "protects nothing"},
		{"too many", manyKeys(9), 0o600, nil, "more than 8 keys"},
		{"too long", strings.Repeat("#", 5000), 0o600, nil, "more than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			got, err := LoadKeys(path)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			expectFinding(t, err, tt.err)
			if err != nil && strings.Contains(printed(err), strings.TrimSpace(tt.text)) {
				t.Errorf("the message shows the key: %s", printed(err))
			}
		})
	}
}

func TestLoadKeysNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadKeys(filepath.Join(dir, "key"))
	expectFinding(t, err, "head -c 32 /dev/urandom | base64")
	_, err = LoadKeys(dir)
	expectFinding(t, err, "is no file")
}

// A file of another user's is none of ours.
func TestLoadKeysOwner(t *testing.T) {
	if kerneltest.Borrowed() {
		t.Skip("needs the machine's root, to give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(base64Key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 0); err != nil {
		t.Fatal(err)
	}
	_, err := LoadKeys(path)
	expectFinding(t, err, "belongs to user 12345")
	_, err = LoadKeys(path, 12344)
	expectFinding(t, err, "belongs to user 12345")
	if keys, err := LoadKeys(path, 12344, 12345); err != nil || len(keys) != 1 {
		t.Errorf("where the owner is expected: %d keys, %v", len(keys), err)
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(hexKey[:30] + string("0123456789abcdef"[i]) + "0\n")
	}
	return b.String()
}

// printed is the error as a user sees it.
func printed(err error) string {
	var f finding.Finding
	var b strings.Builder
	if errors.As(err, &f) {
		_ = finding.Printer{W: &b}.Print(f)
	}
	return b.String()
}

func expectFinding(t *testing.T, err error, part string) {
	t.Helper()
	switch text := printed(err); {
	case part == "" && err != nil:
		t.Errorf("error %v", err)
	case part != "" && (err == nil || !strings.Contains(text, part)):
		t.Errorf("error %q, want %q in it", text, part)
	case part != "" && !strings.Contains(text, "hint:") && !strings.Contains(text, "is no file"):
		t.Errorf("no hint: %s", text)
	}
}
