package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func (k *Kernel) applyLink(op mesh.Op, l mesh.Link) error {
	switch op {
	case mesh.Add:
		return k.addLink(l)
	case mesh.Remove:
		return k.removeLink(l)
	case mesh.Rename:
		return k.renameLink(l.Index, l.Name)
	}
	have, err := k.link(l.Name)
	if err != nil {
		return err
	}
	if foreign(have) {
		return fmt.Errorf("%w: %s bears the alias %q", ErrForeign, l.Name, have.Alias)
	}
	return k.setLink(have.Index, l)
}

// foreign reports whether a link bears somebody else's alias.
func foreign(l mesh.Link) bool {
	return l.Alias != "" && !strings.HasPrefix(l.Alias, mesh.AliasPrefix)
}

func (k *Kernel) addLink(l mesh.Link) error {
	if have, err := k.link(l.Name); err == nil {
		if foreign(have) || have.Kind != l.Kind {
			return fmt.Errorf("%w: %s is a %s link with the alias %q", ErrForeign, l.Name, kindName(have.Kind), have.Alias)
		}
		return k.setLink(have.Index, l)
	} else if !errors.Is(err, ErrAbsent) {
		return err
	}
	if l.Kind == mesh.KindPort {
		return fmt.Errorf("%w; only a cable makes a port", ErrAbsent)
	}
	m := message{kind: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, head: nl.NewIfInfomsg(unix.AF_UNSPEC)}
	m.addString(unix.IFLA_IFNAME, l.Name)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, []byte(l.Kind))
	m.attrs = append(m.attrs, info)
	if err := k.change(m); err != nil {
		// net/core/rtnetlink.c, rtnl_newlink: "Unknown device type"
		if l.Kind == mesh.KindDummy && errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("%w (%w)", ErrNoDummy, err)
		}
		return err
	}
	have, err := k.link(l.Name)
	if err != nil {
		return err
	}
	return k.setLink(have.Index, l)
}

func kindName(kind mesh.LinkKind) string {
	if kind == mesh.KindPort {
		return "port"
	}
	return string(kind)
}

// setLink gives an interface alias, MTU and administrative state, in this order
// and in one request (net/core/rtnetlink.c, do_setlink).
func (k *Kernel) setLink(index int, l mesh.Link) error {
	head := nl.NewIfInfomsg(unix.AF_UNSPEC)
	head.Index = int32(index)
	head.Change = unix.IFF_UP
	if l.Up {
		head.Flags = unix.IFF_UP
	}
	m := message{kind: unix.RTM_SETLINK, head: head}
	m.addUint32(unix.IFLA_MTU, uint32(l.MTU))
	m.add(unix.IFLA_IFALIAS, []byte(l.Alias))
	return k.change(m)
}

func (k *Kernel) removeLink(l mesh.Link) error {
	have, err := k.link(l.Name)
	switch {
	case errors.Is(err, ErrAbsent):
		return nil
	case err != nil:
		return err
	case have.Kind == mesh.KindPort || !strings.HasPrefix(have.Alias, mesh.AliasPrefix):
		return fmt.Errorf("%w: %s is a %s link with the alias %q", ErrForeign, l.Name, kindName(have.Kind), have.Alias)
	}
	head := nl.NewIfInfomsg(unix.AF_UNSPEC)
	head.Index = int32(have.Index)
	if err := k.change(message{kind: unix.RTM_DELLINK, head: head}); !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}
