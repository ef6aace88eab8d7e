package kernel

import (
	"bytes"
	"context"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// WatchFilters returns a channel that gets a value when somebody else has changed
// or removed a table that Steer or Guard makes: reloading a firewall flushes all
// tables, ours too. Changes by this Kernel give no value. The first value comes at
// once, others as with Watch. It fails where nf_tables can't be heard.
func (k *Kernel) WatchFilters(ctx context.Context) (<-chan struct{}, error) {
	subscribe := func(ctx context.Context) (s *nl.NetlinkSocket, err error) {
		err = k.do(ctx, func() (err error) {
			s, err = nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
			return err
		})
		return s, err
	}
	own, err := k.steering.port()
	if err != nil {
		return nil, fmt.Errorf("kernel: watch packet filters: %w", err)
	}
	wake, err := k.watch(ctx, subscribe, func(messages []syscall.NetlinkMessage) bool {
		for _, m := range messages {
			if m.Header.Pid != own && aboutFilters(m) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("kernel: watch packet filters: %w", err)
	}
	return wake, nil
}

// aboutFilters reports whether a notification is about one of our tables. All that
// nf_tables tells of a table, a chain, a rule or a set begins with the family
// (struct nfgenmsg) and has the table's name in attribute 1 (NFTA_TABLE_NAME,
// NFTA_CHAIN_TABLE and so on, include/uapi/linux/netfilter/nf_tables.h).
func aboutFilters(m syscall.NetlinkMessage) bool {
	const header = 4 // of struct nfgenmsg
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < header || m.Data[0] != unix.NFPROTO_INET {
		return false
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[header:])
	if err != nil {
		return false
	}
	for attributes.Next() {
		if attributes.Type() == unix.NFTA_TABLE_NAME {
			name := string(bytes.TrimRight(attributes.Bytes(), "\x00"))
			return name == steerName || name == guardName
		}
	}
	return false
}

// port returns the address of the socket, by which the kernel names the author of a
// change (nf_tables_api.c, nfnl_msg_put with the context's portid).
func (s *steering) port() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, fmt.Errorf("%w (%w)", ErrNoSteering, s.failed)
	}
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var address unix.Sockaddr
	var failed error
	if err := raw.Control(func(fd uintptr) { address, failed = unix.Getsockname(int(fd)) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	netlinkAddress, ok := address.(*unix.SockaddrNetlink)
	if !ok {
		return 0, fmt.Errorf("the socket to nf_tables has the address %v", address)
	}
	return netlinkAddress.Pid, nil
}
