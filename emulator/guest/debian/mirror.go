package debian

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Default is the mirror for machines whose apt names none: Debian's own name, which leads to
// the nearest copy.
const Default = "http://deb.debian.org/debian"

// ErrOffline is in the chain of errors that say that the mirror can't be reached.
var ErrOffline = errors.New("the Debian mirror can't be reached")

// Mirror returns the address of the Debian archive that apt on this machine uses, without a
// slash at the end.
func Mirror() string {
	if m := os.Getenv("USB4EMU_MIRROR"); m != "" {
		return strings.TrimRight(m, "/")
	}
	return mirrorOf("/etc/apt")
}

// mirrorOf looks through the sources of apt below dir: deb822 (*.sources) and one-line (*.list).
// Only an archive that calls itself ".../debian" is taken: security, vendors and derived
// distributions have other packages.
func mirrorOf(dir string) string {
	files := []string{filepath.Join(dir, "sources.list")}
	for _, pattern := range []string{"*.sources", "*.list"} {
		more, err := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		if err != nil {
			continue
		}
		files = append(files, more...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "URIs:" && words[0] != "deb" {
				continue
			}
			for _, word := range words[1:] {
				u, err := url.Parse(word)
				if err != nil || u.Scheme != "http" && u.Scheme != "https" {
					continue
				}
				if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/debian") {
					return strings.TrimRight(word, "/")
				}
			}
		}
	}
	return Default
}

// client gives up on a mirror that does not answer; a body may take as long as the context lets it.
var client = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
	TLSHandshakeTimeout:   15 * time.Second,
	ResponseHeaderTimeout: 30 * time.Second,
	MaxIdleConnsPerHost:   4,
}}

// maxFile bounds what is downloaded at once. The largest kernel packages are near 170 MB.
const maxFile = 512 << 20

// get downloads address into file and returns size and SHA256 of what came.
func get(ctx context.Context, address string, file *os.File) (size int64, sum string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", ErrOffline, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, "", fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(file, h), io.LimitReader(resp.Body, maxFile))
	if err != nil {
		return 0, "", fmt.Errorf("GET %s: %w: %w", address, ErrOffline, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// fetch downloads address and calls read with the content, positioned at the start, once its size
// and SHA256 are right. An empty sum checks nothing. Three tries to reach the mirror.
func fetch(ctx context.Context, address string, size int64, sum string, read func(*os.File) error) error {
	var err error
	for try := range 3 {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try) * time.Second):
			}
		}
		if err = fetchOnce(ctx, address, size, sum, read); !errors.Is(err, ErrOffline) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func fetchOnce(ctx context.Context, address string, size int64, sum string, read func(*os.File) error) error {
	file, err := os.CreateTemp("", "usb4emu-download-")
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	// Nameless from here on: nothing stays behind, whatever happens.
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	gotSize, gotSum, err := get(ctx, address, file)
	if err != nil {
		return err
	}
	if sum != "" && (gotSize != size || gotSum != sum) {
		return fmt.Errorf("%s: %d bytes with SHA256 %s came, expected %d bytes with %s", address, gotSize, gotSum, size, sum)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return read(file)
}

// paragraphs calls visit for each block of "Key: value" lines that r holds. Continuation lines are
// appended to the value, each after a newline. visit returns false to stop.
func paragraphs(r io.Reader, visit func(map[string]string) bool) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), 4<<20)
	block := map[string]string{}
	last := ""
	for in.Scan() {
		line := in.Text()
		switch {
		case line == "":
			if len(block) > 0 && !visit(block) {
				return nil
			}
			clear(block)
			last = ""
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				block[last] += "\n" + line
			}
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				last = ""
				continue
			}
			last = key
			block[key] = strings.TrimSpace(value)
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if len(block) > 0 {
		visit(block)
	}
	return nil
}
