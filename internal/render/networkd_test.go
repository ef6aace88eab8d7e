package render

import (
	"encoding/json"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestNetworkdReal(t *testing.T) {
	p := trianglePlan()
	n := p.Node("03")
	files := mustRender(t, p, "03", Networkd, Options{IdentityKind: mesh.KindBridge})
	o := inNamespace(t, job{Files: files, Ports: []string{n.Links[0].Interface, n.Links[1].Interface}})
	b, _ := json.MarshalIndent(o, "", " ")
	t.Logf("%s", b)
	t.Logf("%s\n%s\n%s", o.Log, o.LinkLog, o.SysctlLog)
}
