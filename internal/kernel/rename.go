package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rename gives the interface of an index another name. All that belongs to the
// interface stays, and rules by its new name apply to it at once. A name that is
// taken gives ErrForeign, an index without interface ErrAbsent.
//
// Linux before 6.2 renames only what is down (net/core/dev.c, dev_change_name:
// EBUSY). There the interface goes down for a moment, which takes its routes and
// IPv6 addresses, and the peer sees the link fail.
func (k *Kernel) Rename(ctx context.Context, index int, name string) error {
	if err := k.do(ctx, func() error { return k.renameLink(index, name) }); err != nil {
		return fmt.Errorf("kernel: rename link %d to %s: %w", index, name, err)
	}
	return nil
}

func (k *Kernel) renameLink(index int, name string) error {
	err := rename(name, func(name string, flags, mask uint32) error {
		head := nl.NewIfInfomsg(unix.AF_UNSPEC)
		head.Index, head.Flags, head.Change = int32(index), flags, mask
		m := message{kind: unix.RTM_SETLINK, head: head}
		if name != "" {
			m.addString(unix.IFLA_IFNAME, name)
		}
		return k.change(m)
	})
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w (%w)", ErrForeign, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w (%w)", ErrAbsent, err)
	}
	return err
}

// rename asks for a name, as old kernels want it if need be. One request with name
// and flags would not do: the kernel renames first.
func rename(name string, request func(name string, flags, mask uint32) error) error {
	err := request(name, 0, 0)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	if err := request("", 0, unix.IFF_UP); err != nil {
		return err
	}
	return errors.Join(request(name, 0, 0), request("", unix.IFF_UP, unix.IFF_UP))
}
