package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Labs that stay after the command that made them have files in a directory of
// their owner's: a lock that the keeper holds for as long as it lives, a socket,
// a record of the keeper, and its log.

// record is the content of a lab's record file: enough to prove later that a
// process is this lab's keeper.
type record struct {
	Mesh    string    `json:"mesh"`
	Source  string    `json:"source"` // cluster file
	Engine  string    `json:"engine"`
	Pid     int       `json:"pid"`
	Started string    `json:"started"` // field 22 of /proc/PID/stat, clock ticks since boot
	Boot    string    `json:"boot"`    // /proc/sys/kernel/random/boot_id
	Since   time.Time `json:"since"`
}

// storeDir returns the directory of this user's labs, made if need be. It must
// belong to the user and be closed to others, because whoever can open a lab's
// socket can run commands in it.
func storeDir() (string, error) {
	dir := filepath.Join("/tmp", "usb4mesh-"+strconv.Itoa(os.Geteuid()))
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" && ownDir(run) == nil {
		dir = filepath.Join(run, "usb4mesh")
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("lab: directory for running labs: %w", err)
	}
	if err := ownDir(dir); err != nil {
		return "", fmt.Errorf("lab: directory for running labs: %w; remove it", err)
	}
	return dir, nil
}

func ownDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %#o)", dir, info.Mode().Perm())
	}
	return nil
}

// files are the paths of one lab's files.
type files struct{ lock, socket, record, log string }

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// filesOf names the files of a mesh's lab. Names that are long or unusual are
// hashed: a unix socket's path has 107 bytes at most.
func filesOf(dir, mesh string) files {
	name := mesh
	if !plainName.MatchString(name) {
		sum := sha256.Sum256([]byte(mesh))
		name = "x-" + hex.EncodeToString(sum[:12])
	}
	base := filepath.Join(dir, "lab-"+name)
	return files{lock: base + ".lock", socket: base + ".sock", record: base + ".json", log: base + ".log"}
}

func (f files) remove() error {
	var errs []error
	// The lock goes last: while it exists, nobody else starts this lab.
	for _, name := range []string{f.socket, f.record, f.log, f.lock} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// errHeld says that a living process holds a lab's lock.
var errHeld = errors.New("the lab is running")

// takeLock opens and locks a lab's lock file. The lock belongs to the open file,
// so it passes to the keeper with the descriptor and ends with it.
func (f files) takeLock() (*os.File, error) {
	for {
		file, err := os.OpenFile(f.lock, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errHeld
			}
			return nil, fmt.Errorf("lab: lock %s: %w", f.lock, err)
		}
		// Whoever removed the file between open and lock left us a lock on nothing.
		if same(file, f.lock) {
			return file, nil
		}
		file.Close()
	}
}

func same(file *os.File, path string) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func (f files) writeRecord(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(f.record, append(b, '\n'), 0o600)
}

func (f files) readRecord() (record, error) {
	var r record
	b, err := os.ReadFile(f.record)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// Running lists the meshes that have a lab of this user's, alive or left behind.
func Running() ([]string, error) {
	dir, err := storeDir()
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "lab-*.json"))
	if err != nil {
		return nil, err
	}
	var meshes []string
	for _, name := range found {
		if r, err := (files{record: name}).readRecord(); err == nil {
			meshes = append(meshes, r.Mesh)
		}
	}
	slices.Sort(meshes)
	return meshes, nil
}

// pick returns the mesh meant by name: itself, or the only one there is.
func pick(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	all, err := Running()
	if err != nil {
		return "", err
	}
	switch len(all) {
	case 0:
		return "", ErrNoLab
	case 1:
		return all[0], nil
	}
	return "", fmt.Errorf("several labs are running, say which one with --mesh: %s", strings.Join(all, ", "))
}

// ErrNoLab says that there is no lab to talk to.
var ErrNoLab = errors.New("no lab is running; start one with `usb4mesh lab up FILE`")

// identify fills in what proves the identity of a living process.
func (r *record) identify(pid int) error {
	started, err := startTime(pid)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	r.Pid, r.Started, r.Boot = pid, started, strings.TrimSpace(string(boot))
	return nil
}

// alive reports whether the very process of the record still lives: not another
// one that got its number.
func (r record) alive() bool {
	var now record
	return r.Pid > 1 && now.identify(r.Pid) == nil && now.Started == r.Started && now.Boot == r.Boot
}

// startTime reads field 22 of /proc/PID/stat, proc(5).
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	_, rest, _ := cutLast(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	return f[19], nil
}
