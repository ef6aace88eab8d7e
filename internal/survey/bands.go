package survey

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// band is what links of a trained speed reach, one way, with one TCP stream or a few.
type band struct {
	Lanes    int     `json:"lanes"`
	LaneGbps int     `json:"lane_gbps"`
	Low      float64 `json:"low"`  // less is worth an explanation
	High     float64 `json:"high"` // what the line itself can carry
	Source   string  `json:"source"`
}

//go:embed bands.json
var bandsJSON []byte

var bands = mustBands(bandsJSON)

func mustBands(b []byte) (all []band) {
	if err := json.Unmarshal(b, &all); err != nil {
		panic(fmt.Sprintf("survey: bands.json: %v", err)) // embedded, so a test sees it
	}
	return all
}

// expected returns the band of a trained speed, or nil.
func expected(lanes, laneGbps int) *Range {
	for _, b := range bands {
		if b.Lanes == lanes && b.LaneGbps == laneGbps {
			return &Range{b.Low, b.High, fmt.Sprintf("trained to %d x %d Gbit/s; %s", lanes, laneGbps, b.Source)}
		}
	}
	return nil
}
