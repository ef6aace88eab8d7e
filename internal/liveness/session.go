package liveness

import "time"

// session joins the BFD machine of a link with the judge. It is what a link is
// without its sockets.
type session struct {
	machine
	judge judge
	lost  int // times that the session went down from up, and nobody had ordered it
}

// receive takes a packet that came from the peer over this link.
func (s *session) receive(p *packet, now time.Time) error {
	if !s.accepts(p) {
		return errDiscriminator
	}
	before := s.state
	s.machine.receive(p, now)
	switch {
	case s.state == stateUp:
		s.judge.packet(now, s.receiving(), s.expires())
	case p.state == stateAdminDown:
		s.judge.down(ordered, now)
	case before == stateUp:
		s.lost++
		s.judge.down(signaled, now)
	}
	s.judge.advance(now)
	return nil
}

// advance does what is to be done without a packet.
func (s *session) advance(now time.Time) {
	before := s.state
	s.machine.advance(now)
	if before == stateUp && s.state != stateUp {
		s.lost++
		s.judge.down(expired, now)
	}
	s.judge.advance(now)
}

// hold takes the session down administratively, or lets it come up again.
func (s *session) hold(hold bool, now time.Time) {
	s.machine.hold(hold, now)
	if hold {
		s.judge.down(ordered, now)
	}
}

// deadline is when something is to be done next, if nothing is received before. The
// session was just advanced, and has sent what was due; so it is in the future.
func (s *session) deadline(now time.Time) time.Time {
	_, ask := s.judge.asks()
	return earliest(earliest(s.machine.deadline(now), s.judge.deadline(now)), ask)
}
