package survey

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Record is what is kept of a survey.
type Record struct {
	Mesh     string         `json:"mesh"`
	Time     time.Time      `json:"time"`
	Where    string         `json:"where"`
	Settings Settings       `json:"settings"`
	Pairs    []RecordedPair `json:"pairs"`
}

// RecordedPair is a pair in a Record.
type RecordedPair struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Gbps float64  `json:"gbps"`
	P50  *float64 `json:"idle_p50_ms"`
}

const (
	maxRecord   = 4 << 20 // bytes of a line
	keepRecords = 500     // when more than twice as many are there
	baselineOf  = 5       // latest records that make a baseline
)

// Record returns what is kept of the report.
func (r *Report) Record() Record {
	out := Record{Mesh: r.Mesh, Time: r.Time, Where: r.Where, Settings: r.Settings, Pairs: []RecordedPair{}}
	for _, p := range r.Pairs {
		if p.Result == nil {
			continue
		}
		one := RecordedPair{From: p.From, To: p.To, Gbps: p.Result.Gbps}
		if d := p.idle(); d != nil {
			one.P50 = &d.P50
		}
		out.Pairs = append(out.Pairs, one)
	}
	return out
}

// ReadHistory reads the records of a file, oldest first; none if there is no file.
// A line that is torn or foreign is skipped.
func ReadHistory(name string) ([]Record, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	defer f.Close()
	all, err := records(f)
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", name, err)
	}
	return all, nil
}

func records(r io.Reader) ([]Record, error) {
	var all []Record
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxRecord)
	for lines.Scan() {
		var one Record
		if json.Unmarshal(lines.Bytes(), &one) == nil && one.Mesh != "" {
			all = append(all, one)
		}
	}
	return all, lines.Err()
}

// AppendHistory adds a record to a file. When it returns, the record is on the disk.
// Whatever kills the program meanwhile, no earlier record is lost: a line is only
// ever added behind a whole one, and the file is shortened by replacing it.
func AppendHistory(name string, one Record) error {
	line, err := json.Marshal(one)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if len(line) >= maxRecord {
		return fmt.Errorf("history %s: a record of %d bytes is too long", name, len(line))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	unlock, err := lock(name + ".lock")
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer unlock()
	if err := appendLine(name, line); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := shorten(name); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// lock keeps other programs out; it stands on a file that is never replaced.
func lock(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

func appendLine(name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end > 0 { // a line that was torn by a crash stays, but alone
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncFolder(name)
}

// shorten keeps the latest records when there are too many.
func shorten(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(b, []byte{'\n'})
	if len(lines) <= 2*keepRecords {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".history-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone if renamed
	_, err = f.Write(bytes.Join(lines[len(lines)-keepRecords-1:], nil))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(name)
}

func syncFolder(name string) error {
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// judgeBaseline compares every pair with the median of the latest records of equal
// settings.
func (r *Report) judgeBaseline(history []Record) {
	for i := range r.Pairs {
		p := &r.Pairs[i]
		var before []float64
		for _, h := range slices.Backward(history) {
			if h.Mesh != r.Mesh || h.Where != r.Where || h.Settings != r.Settings {
				continue
			}
			for _, q := range h.Pairs {
				if q.From == p.From && q.To == p.To && len(before) < baselineOf {
					before = append(before, q.Gbps)
				}
			}
		}
		if len(before) == 0 || p.Result == nil {
			continue
		}
		slices.Sort(before)
		base := before[len(before)/2]
		p.Baseline = &base
		if p.Result.Gbps < baselineShare*base {
			p.Verdict = low
			r.add(belowBaseline, p.From+" to "+p.To, p.Evidence, "%.3g Gbit/s, and %.3g before (median of %d surveys)", p.Result.Gbps, base, len(before))
		}
	}
}
