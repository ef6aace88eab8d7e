package lab

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel that refuses namespaces is not the end: the error says what to do.
func TestNamespaceErrorSaysWhatToDo(t *testing.T) {
	permission := "kernel.unprivileged_userns_clone"
	if os.Geteuid() == 0 {
		permission = "CAP_SYS_ADMIN"
	}
	for errno, want := range map[syscall.Errno]string{
		unix.EPERM:  permission,
		unix.ENOSPC: "sysctl user.max_user_namespaces",
		unix.EINVAL: "this kernel lacks",
		unix.ENOMEM: "start keeper: ",
	} {
		if err := namespaceError(errno); !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v does not say %q", errno, err, want)
		}
	}
	if err := mountError("mount /proc", unix.EACCES); !strings.Contains(err.Error(), "apparmor_restrict_unprivileged_userns") {
		t.Error(err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	l := tail{limit: 5}
	for _, s := range []string{"abc", "defg", "", "h"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Error(n, err)
		}
	}
	if got := l.String(); got != "defgh" {
		t.Errorf("kept %q", got)
	}
}
