package agent

import "github.com/coreos/go-systemd/v22/daemon"

// sdNotify tells systemd, if it has started us (sd_notify(3)). Whoever has not
// does not listen.
func sdNotify(state string) { _, _ = daemon.SdNotify(false, state) }
