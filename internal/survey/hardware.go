package survey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// look reads the hardware of all nodes, and notes to what speed their links are trained.
func (s *surveyor) look(ctx context.Context) {
	if s.o.Hardware == nil {
		return
	}
	s.progress("reading hardware", 0, 0, 0)
	var work sync.WaitGroup
	for _, node := range s.report.Nodes {
		work.Go(func() {
			h, err := s.o.Hardware(ctx, node)
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil {
				s.report.Notes = append(s.report.Notes, fmt.Sprintf("the hardware of node %s was not read, so its links are not judged by their trained speed: %v", node, err))
				return
			}
			s.report.hardware[node] = h
		})
	}
	work.Wait()
	slices.Sort(s.report.Notes) // whoever was first
	for i := range s.report.Cables {
		c := &s.report.Cables[i]
		for _, node := range c.Nodes {
			if l := s.report.link(node, c.Name); l != nil && min(l.RxLanes, l.TxLanes) > 0 {
				c.Lanes, c.LaneGbps = min(l.RxLanes, l.TxLanes), min(l.RxSpeed, l.TxSpeed)
			}
		}
	}
}

// link returns what a node shows of its end of a cable, or nil.
func (r *Report) link(node, cable string) *mesh.USB4Link {
	h, known := r.hardware[node]
	n := r.plan.Node(node)
	if !known || n == nil {
		return nil
	}
	for _, l := range n.Links {
		if l.Cable != cable {
			continue
		}
		for i := range h.Links {
			if h.Links[i].Interface == l.Interface {
				return &h.Links[i]
			}
		}
	}
	return nil
}

// diagnose explains the cables that were found slow or lossy, where the hardware at
// their ends is known: what the rules say to the measured rate is added to the findings.
func (r *Report) diagnose() {
	seen := map[string]bool{}
	for _, v := range slices.Clone(r.Findings) {
		name, ok := strings.CutPrefix(v.Subject, "cable ")
		c := r.cable(name)
		if !ok || c == nil || v.Finding.Kind == highLatency {
			continue
		}
		for end, node := range c.Nodes {
			l, p := r.link(node, name), r.pair(c.Nodes[1-end], node)
			if l == nil || p.gbps() == nil {
				continue
			}
			// The receiving end is where the limits are.
			in := diagnose.Input{Hardware: r.hardware[node], MTU: r.Settings.MTU, Measured: &diagnose.Measurement{
				Gbps: *p.gbps(), Interface: l.Interface, Streams: r.Settings.Streams,
			}}
			if n := p.Result.Retransmits; n != nil {
				in.Measured.Retransmits = int(*n)
			}
			for other, h := range r.hardware {
				if other != node {
					in.Peers = append(in.Peers, h)
				}
			}
			for _, f := range diagnose.Run(in) {
				if f.Severity < finding.Warning && f.Subject != l.Interface {
					continue
				}
				plain := f.Plain()
				plain.Message = "node " + node + ": " + plain.Message
				if seen[plain.Message] {
					continue
				}
				seen[plain.Message] = true
				evidence := map[string]string{"cause": f.Cause, "gain": f.Gain, "source": f.Source}
				for k, value := range f.Evidence {
					evidence[k] = value
				}
				r.Findings = append(r.Findings, Verdict{Finding: plain, Subject: v.Subject, Evidence: evidence})
			}
		}
	}
}
