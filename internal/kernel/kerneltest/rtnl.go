package kerneltest

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of userfaultfd (include/uapi/linux/userfaultfd.h; ioctl_userfaultfd(2)).
const (
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	uffdioZeropage = 0xc020aa04
	uffdMissing    = 1
	uffdAPI        = 0xaa
)

// longestHold is when RTNL is given back in any case: as long as a driver was seen
// to hold it.
const longestHold = 10 * time.Second

type uffdRange struct{ start, size uint64 }

// HoldRTNL takes the kernel's RTNL lock, as a driver does that waits for a dead
// peer while its interface goes, and keeps it until release is called, the test
// ends, or longestHold is over. ns is a network namespace of the test's.
//
// The tun driver reads an argument of TUNSETSNDBUF from user memory with the lock
// taken (drivers/net/tun.c, __tun_chr_ioctl). Here that memory is a page that is
// not there, and userfaultfd makes the reader wait for it. The lock is one for
// the machine, so tests keep it only as long as they have to.
func HoldRTNL(t testing.TB, ns *os.File) (release func()) {
	t.Helper()
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("RTNL can't be held here: %v", err)
	}
	fault, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno != 0 {
		tun.Close()
		t.Skipf("RTNL can't be held here: userfaultfd: %v", errno)
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	api := struct{ api, features, ioctls uint64 }{api: uffdAPI}
	ioctl(t, fault, uffdioAPI, unsafe.Pointer(&api))
	span := uffdRange{uint64(uintptr(unsafe.Pointer(&page[0]))), uint64(len(page))}
	register := struct {
		span         uffdRange
		mode, ioctls uint64
	}{span: span, mode: uffdMissing}
	ioctl(t, fault, uffdioRegister, unsafe.Pointer(&register))

	held := make(chan unix.Errno, 1)
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		request, err := unix.NewIfreq("held0")
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			// The device belongs to the namespace in which the file was opened, so
			// this one is opened again.
			var again *os.File
			if again, err = os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err == nil {
				defer again.Close()
				request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
				if err = unix.IoctlIfreq(int(again.Fd()), unix.TUNSETIFF, request); err == nil {
					made <- nil
					_, _, errno := unix.Syscall(unix.SYS_IOCTL, again.Fd(), unix.TUNSETSNDBUF, uintptr(span.start))
					held <- errno
					return
				}
			}
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	wait := []unix.PollFd{{Fd: int32(fault), Events: unix.POLLIN}}
	if n, err := unix.Poll(wait, int(longestHold.Milliseconds())); n != 1 {
		unix.Close(int(fault)) // whoever reads the page later does not wait for it
		t.Fatalf("nobody reads the page: %d, %v", n, err)
	}
	// A test that fails or hangs must not stop every other user of the machine.
	var once sync.Once
	release = func() {
		once.Do(func() {
			zero := struct {
				span       uffdRange
				mode, done uint64
			}{span: span}
			ioctl(t, fault, uffdioZeropage, unsafe.Pointer(&zero))
			if errno := <-held; errno != unix.EINVAL { // a send buffer of 0
				t.Errorf("TUNSETSNDBUF: %v", errno)
			}
			unix.Close(int(fault))
			_ = unix.Munmap(page)
			tun.Close()
		})
	}
	limit := time.AfterFunc(longestHold, release)
	t.Cleanup(func() { limit.Stop(); release() })
	return release
}

func ioctl(t testing.TB, fd uintptr, request uint, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg)); errno != 0 {
		t.Errorf("ioctl %#x: %v", request, errno)
	}
}
