package kerneltest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFake(t *testing.T) {
	t.Run("with dummy", func(t *testing.T) {
		kerneltest.Suite(t, func() kerneltest.Fixture { return kerneltest.NewFake() })
	})
	t.Run("without dummy", func(t *testing.T) {
		kerneltest.Suite(t, func() kerneltest.Fixture {
			f := kerneltest.NewFake()
			f.NoDummy = true
			return f
		})
	})
}
