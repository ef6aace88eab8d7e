package diagnose

import (
	_ "embed"
	"encoding/json"
	"strconv"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

//go:embed controllers.json
var familyData []byte

// family is what was measured of a vendor's controllers.
type family struct {
	Name       string
	Vendor     int
	PerCredit  float64         `json:"per_credit"`  // Gbit/s that one receive credit carries
	MaxCredits int             `json:"max_credits"` // what the router grants, 0 unknown
	DataRings  int             `json:"data_rings"`  // links that one router can serve, 0 unknown
	Bands      map[string]band // by trained Gbit/s per direction
	Source     string
}

// band is what people measured over such a link, Gbit/s of payload one way.
type band struct {
	Low, High float64
	Source    string
}

var families = loadFamilies(familyData)

// loadFamilies panics on data that the tests of this package would not have let through.
func loadFamilies(data []byte) []family {
	var fs []family
	if err := json.Unmarshal(data, &fs); err != nil {
		panic("diagnose: controllers.json: " + err.Error())
	}
	return fs
}

// familyOf returns what is known about a controller, nil if nothing is.
func familyOf(c *mesh.Controller) *family {
	for i := range families {
		if c != nil && families[i].Vendor == c.Vendor {
			return &families[i]
		}
	}
	return nil
}

func (f *family) band(gbps int) (band, bool) {
	if f == nil {
		return band{}, false
	}
	b, ok := f.Bands[strconv.Itoa(gbps)]
	return b, ok
}

// defaultCreditCount is what the driver grants where nothing is set, and always
// before the parameter came (TB_MIN_PCIE_CREDITS and dma_credits, drivers/thunderbolt/tunnel.c).
const defaultCreditCount = 14

// credits returns how many receive credits our end grants to a link, and whether the
// kernel lets that be changed.
func credits(h *mesh.Hardware) (n int, settable bool) {
	n, err := strconv.Atoi(h.Parameter("thunderbolt", "dma_credits"))
	if err != nil || n <= 0 {
		return defaultCreditCount, false
	}
	return n, true
}
