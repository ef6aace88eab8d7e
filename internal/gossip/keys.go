package gossip

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

const (
	maxKeyFile = 4096
	maxKeys    = 8
)

// LoadKeys reads the keys of the mesh, one a line, base64 or hexadecimal; empty
// lines and lines that begin with # are left out. The first key encrypts, all
// decrypt. The file must belong to root, to the user of this process or to one of
// owners (user ids), and be readable for nobody but owner and group. The error is a
// finding.Finding that says what to do; it never holds a byte of the file.
func LoadKeys(path string, owners ...int) ([][]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noKey("there is no key file %s", path)
	case err != nil:
		return nil, finding.New(badKey, "the key file can't be opened: %v", err).Hinted("run the agent as the owner of the file")
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, finding.New(badKey, "the key file %s: %v", path, err)
	}
	if err := guarded(path, info, owners); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, finding.New(badKey, "the key file %s can't be read: %v", path, err)
	}
	if len(b) > maxKeyFile {
		return nil, finding.New(badKey, "the key file %s has more than %d bytes", path, maxKeyFile).Hinted("it has one line for each key, and seldom more than two")
	}
	return parseKeys(path, string(b))
}

// guarded refuses a file that others can read or change.
func guarded(path string, info fs.FileInfo, owners []int) error {
	if !info.Mode().IsRegular() {
		return finding.New(badKey, "the key file %s is no file but %s", path, info.Mode().Type())
	}
	if extra := info.Mode().Perm() &^ 0o640; extra != 0 {
		return finding.New(badKey, "the key file %s has mode %04o: others can read it, or more than its owner change it", path, info.Mode().Perm()).
			Hinted("chmod 0600 %s; if others have read it, make a new key", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() && !slices.Contains(owners, int(st.Uid)) {
		return finding.New(badKey, "the key file %s belongs to user %d, neither to root nor to this process", path, st.Uid).Hinted("chown root %s", path)
	}
	return nil
}

func parseKeys(path, text string) ([][]byte, error) {
	var keys [][]byte
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := finding.Pos{File: path, Line: i + 1}
		bad := func(format string, args ...any) error {
			f := noKey(format, args...)
			f.Pos = at
			return f
		}
		key, err := parseKey(line)
		switch {
		case err != nil:
			return nil, bad("%v", err)
		case allEqual(key):
			return nil, bad("a key whose bytes are all equal protects nothing")
		case len(keys) == maxKeys:
			return nil, bad("more than %d keys", maxKeys)
		}
		for _, other := range keys {
			if bytes.Equal(other, key) {
				return nil, bad("a key that stands there twice")
			}
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, noKey("the key file %s has no key", path)
	}
	return keys, nil
}

// parseKey reads base64 or hexadecimal digits. No key is both: 32, 48 or 64
// characters that are all hexadecimal digits do not come out of base64 by
// chance.
func parseKey(s string) ([]byte, error) {
	key, err := hex.DecodeString(s)
	if err != nil {
		for _, form := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if key, err = form.DecodeString(s); err == nil {
				break
			}
		}
	}
	if err != nil {
		return nil, errors.New("a line that is neither base64 nor hexadecimal")
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	}
	return nil, fmt.Errorf("a key of %d bytes; it must have 16, 24 or 32", len(key))
}

// SetKeys replaces the keys while gossip goes on: the first encrypts from now on, all
// decrypt. What is on its way under a key that is no more is lost, and said again.
func (g *Gossip) SetKeys(keys [][]byte) error {
	list, err := ciphers(keys)
	switch {
	case err != nil:
		return err
	case len(list) == 0 || g.keyring == nil:
		return errors.New("gossip: from plain to encrypted, or back, it has to be opened anew")
	}
	was := g.keyring.GetKeys()
	for _, key := range keys { // what is let in must be understood
		if err := g.keyring.AddKey(key); err != nil {
			return fmt.Errorf("gossip: %w", err)
		}
	}
	g.gate.keys.Store(&list)
	if err := g.keyring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	for _, key := range was {
		if !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			if err := g.keyring.RemoveKey(key); err != nil {
				return fmt.Errorf("gossip: %w", err)
			}
		}
	}
	return nil
}

func allEqual(b []byte) bool {
	return bytes.Count(b, b[:1]) == len(b)
}
