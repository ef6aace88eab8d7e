# usb4mesh: `make` builds, `make help` lists what else can be done.

GO      ?= go
BIN     := bin/usb4mesh
EXAMPLE := examples/seed-identity/mesh.yaml
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Time for each fuzz target, steps of make chaos, and packages that `make fuzz` and `make bench` visit.
FUZZTIME ?= 30s
STEPS    ?= 500
PKG      ?= ./...

.DEFAULT_GOAL := build
.PHONY: help build demo test test-drivers test-drivers-nightly chaos packages bench lint fuzz generate clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile

build: $(BIN) ## build bin/usb4mesh, one static file

# Go knows better than make what has changed.
$(BIN): FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./cmd/usb4mesh

demo: build ## run the three-node example on this machine: plan, apply, measure, cut every cable
	$(BIN) lab run $(EXAMPLE)

test: ## install what is missing (as root), lint, vet, run all tests, count them
	@scripts/test

chaos: build ## throw 500 random faults at eight agents on this machine (SEED replays; ten minutes)
	$(BIN) lab chaos internal/lab/chaos/testdata/cube.yaml --steps $(STEPS) $(if $(SEED),--seed $(SEED)) --logs bin/chaos

packages: ## build and check Debian and RPM packages in dist/
	@scripts/install-deps
	@scripts/packages
	@scripts/check-packages

test-drivers: ## the stock drivers on emulated USB4 machines (QEMU guests): minutes
	@scripts/test drivers

test-drivers-nightly: ## that with all kernels, mixed pairs, and systemd in the guests: half an hour
	@scripts/test nightly

bench: build ## benchmarks of the code, and of the network in the lab
	@scripts/bench

lint: ## check style and the walls between packages (first run builds the linter: minutes)
	@scripts/lint

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz $(PKG)

generate: ## write the generated documents anew
	$(GO) test ./internal/house -run 'TestGenerated' -update
	$(GO) test ./packaging -run 'TestVendorHash' -update

clean: ## remove what make built
	rm -rf bin dist
