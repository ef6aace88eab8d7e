// Package packaging_test tries what the packages bring along: the unit, the script that
// runs before it, and the NixOS module. scripts/check-packages installs the packages
// themselves and runs them under systemd.
package packaging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files and hashes anew")

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// need skips a test whose program is not installed.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s (Debian: %s)", program, debian)
	}
}

// systemd finds no mistake in the unit, and holds it for no more exposed than it was.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	check := func(unit string) (string, error) {
		root := t.TempDir()
		write(t, filepath.Join(root, "usr/lib/systemd/system/usb4mesh.service"), unit, 0o600)
		write(t, filepath.Join(root, "usr/bin/usb4mesh"), "#!/bin/sh\n", 0o700)
		write(t, filepath.Join(root, "usr/lib/usb4mesh/prepare"), "#!/bin/sh\n", 0o700)
		out, err := exec.Command("../scripts/check-unit", root).CombinedOutput()
		return string(out), err
	}
	unit := read(t, "usb4mesh.service")
	if out, err := check(unit); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, tt := range []struct{ from, to, want string }{
		{"WatchdogSec", "WachtdogSec", "WachtdogSec"},
		{"/usr/bin/usb4mesh agent", "/usr/bin/usb4mash agent", "usb4mash"},
		{"CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW", "CapabilityBoundingSet=~", "check-unit: exposure"},
	} {
		changed := strings.Replace(unit, tt.from, tt.to, 1)
		if changed == unit {
			t.Fatalf("%q is not in the unit", tt.from)
		}
		out, err := check(changed)
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("with %s: %v\n%s", tt.to, err, out)
		}
	}
}

// The script hands over what it should, by name, and follows no links.
func TestPrepare(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	const driver, irq = "sys/bus/thunderbolt/drivers/thunderbolt-net/", "proc/irq/"
	given := []string{driver + "bind", driver + "unbind", "dev/cpu_dma_latency", irq + "71/smp_affinity_list"}
	kept := []string{driver + "uevent", irq + "71/smp_affinity", irq + "72/smp_affinity_list", irq + "default_smp_affinity", "proc/sys/kernel/core_pattern", "etc/shadow"}
	for _, name := range append(given, kept...) {
		write(t, filepath.Join(root, name), "", 0o600)
	}
	write(t, filepath.Join(root, "sys/bus/pci/drivers/thunderbolt/0000:c7:00.5/msi_irqs/71"), "msix\n", 0o600)
	write(t, filepath.Join(root, "sys/bus/pci/drivers/xhci_hcd/0000:c7:00.3/msi_irqs/72"), "msix\n", 0o600)
	if err := os.Symlink("../../../../../etc/shadow", filepath.Join(root, driver, "new_id")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // at every start
		if out, err := exec.Command("./prepare", root, "nobody").CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	owner := func(name string) string {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			return nobody.Uid
		}
		return "0"
	}
	for _, name := range given {
		if owner(name) != nobody.Uid {
			t.Errorf("%s was not handed over", name)
		}
	}
	for _, name := range kept {
		if owner(name) != "0" {
			t.Errorf("%s was handed over", name)
		}
	}
	if out, err := exec.Command("./prepare", t.TempDir(), "nobody").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("on a machine without any of it: %v\n%s", err, out)
	}
}

// Every shell script parses; scripts/packages finds missing files by itself.
func TestScriptsParse(t *testing.T) {
	for shell, names := range map[string][]string{
		"sh":   {"prepare", "postinstall", "preremove", "postremove", "../scripts/check-unit"},
		"bash": {"../scripts/packages", "../scripts/check-packages", "../scripts/check-packages-inside"},
	} {
		for _, name := range names {
			if out, err := exec.Command(shell, "-n", name).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// The example alerts use metrics that there are: docs/agent.md has them all, which
// package status holds to. Prometheus' own tool tries the alerts where it is installed.
func TestAlerts(t *testing.T) {
	document := read(t, "../docs/agent.md")
	rules := read(t, "prometheus/usb4mesh.rules.yml")
	names := regexp.MustCompile("usb4mesh_[a-z_]+").FindAllString(rules, -1)
	for _, name := range names {
		if !strings.Contains(document, "`"+name+"`") {
			t.Errorf("there is no metric %s", name)
		}
	}
	if alerts := strings.Count(rules, "- alert: "); alerts < 5 || len(names) < alerts {
		t.Errorf("%d alerts use %d metrics", alerts, len(names))
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Log("promtool (Debian: prometheus) is not here; the alerts themselves were not tried")
		return
	}
	if out, err := exec.Command("promtool", "test", "rules", "prometheus/usb4mesh.test.yml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// stubLib stands in for nixpkgs' lib, and stubPackages for its packages, as far as module
// and package use them. A derivation is what it was called with.
const (
	stubLib = `rec {
  mkOption = o: o; mkEnableOption = text: { type = "boolean"; default = false; description = text; };
  mkIf = on: value: if on then value else { }; mkDefault = value: value;
  optionals = on: list: if on then list else [ ]; concatStringsSep = builtins.concatStringsSep;
  types = { package = "package"; path = "path"; str = "string"; nullOr = t: "null or " + t; listOf = t: "list of " + t; };
  licenses.asl20 = "Apache-2.0"; platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
}`
	stubPackages = `rec {
  lib = ` + stubLib + `;
  buildGoModule = attributes: attributes // { outPath = "/nix/store/usb4mesh"; }; installShellFiles = "installShellFiles";
  coreutils = "/nix/store/coreutils"; kmod = "/nix/store/kmod"; util-linux = "/nix/store/util-linux";
  callPackage = file: arguments: import file ({ inherit lib buildGoModule installShellFiles coreutils kmod util-linux; } // arguments);
}`
)

func nixEval(t *testing.T, expression string) map[string]any {
	t.Helper()
	need(t, "nix-instantiate", "nix-bin")
	// The dummy store is in memory: an ordinary user may not write below /nix.
	cmd := exec.Command("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "--store", "dummy://", "-")
	cmd.Stdin, cmd.Env = strings.NewReader(expression), append(os.Environ(), "NIX_REMOTE=", "NIX_PATH=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate: %v\n%s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func nixPath(t *testing.T, name string) string {
	t.Helper()
	full, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// module evaluates part of the NixOS module for given options.
func module(t *testing.T, part, options string) map[string]any {
	t.Helper()
	return nixEval(t, `let
  pkgs = `+stubPackages+`;
  module = import `+nixPath(t, "nix/module.nix")+` { inherit pkgs; lib = pkgs.lib; config.services.usb4mesh = defaults // { `+options+` }; };
  declared = (import `+nixPath(t, "nix/module.nix")+` { inherit pkgs; lib = pkgs.lib; config = { }; }).options.services.usb4mesh;
  defaults = builtins.mapAttrs (name: option: option.default) (removeAttrs declared [ "clusterFile" "package" ]) // { package = "PACKAGE"; };
in module.`+part)
}

func TestNixModule(t *testing.T) {
	if got := module(t, "config", `clusterFile = "MESH";`); len(got) != 0 {
		t.Errorf("not enabled, it still sets %v", got)
	}
	got := module(t, "config", `enable = true; clusterFile = "MESH"; node = "01"; keyFile = "/etc/usb4mesh/mesh.key"; listen = "none"; extraFlags = [ "--debug" ];`)
	file := filepath.Join("testdata", "nixos.json")
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		write(t, file, string(text)+"\n", 0o600)
		return
	}
	if diff := cmp.Diff(read(t, file), string(text)+"\n"); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// Every option is of a type and explained; the agent has the flags that are set.
func TestNixOptions(t *testing.T) {
	options := module(t, "options.services.usb4mesh", "")
	if len(options) != 7 {
		t.Errorf("%d options", len(options))
	}
	for name, o := range options {
		option := o.(map[string]any)
		if option["type"] == nil || len(option["description"].(string)) < 20 {
			t.Errorf("option %s has no type or no description: %v", name, option)
		}
	}
	source := read(t, "../cmd/usb4mesh/agent.go")
	for _, m := range regexp.MustCompile(`"--([a-z-]+)"`).FindAllStringSubmatch(read(t, "nix/module.nix"), -1) {
		if !strings.Contains(source, `"`+m[1]+`"`) {
			t.Errorf("the module sets --%s, which the agent does not know", m[1])
		}
	}
}

// What is built by Nix has a unit without paths of other systems. The build itself needs
// nixpkgs; here its last step is run with stand-ins for what nixpkgs brings to it.
func TestNixPackage(t *testing.T) {
	p := nixEval(t, `let pkgs = `+stubPackages+`; p = pkgs.callPackage `+nixPath(t, "nix/package.nix")+` { }; in removeAttrs p [ "outPath" "src" ] // { src = toString p.src; }`)
	if want, _ := filepath.Abs(".."); p["src"] != want {
		t.Errorf("it is built from %v", p["src"])
	}
	out := t.TempDir()
	write(t, filepath.Join(out, "bin/usb4mesh"), "#!/bin/sh\necho \"$@\" >>$out/calls\n", 0o700)
	script := `set -eu
installManPage() { echo man "$@" >>$out/calls; }
installShellCompletion() { echo completion "$@" >>$out/calls; }
substituteInPlace() {
	file=$1; shift
	while [ $# -gt 0 ]; do
		[ "$1" = --replace ]
		grep -q -- "$2" "$file" || { echo "$2 is not in $file" >&2; exit 1; }
		sed -i "s#$2#$3#g" "$file"
		shift 3
	done
}
` + p["postInstall"].(string)
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "out="+out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	unit := read(t, filepath.Join(out, "lib/systemd/system/usb4mesh.service"))
	for line := range strings.Lines(unit) {
		if strings.HasPrefix(line, "Exec") && !regexp.MustCompile(`^Exec[A-Za-z]+=[-+]*(/nix/store/|`+regexp.QuoteMeta(out)+`/)`).MatchString(line) {
			t.Errorf("a path that NixOS has not: %s", line)
		}
	}
	if prepare := read(t, filepath.Join(out, "libexec/usb4mesh/prepare")); !strings.Contains(prepare, "/nix/store/coreutils/bin/chown -h") {
		t.Error("prepare finds no chown")
	}
	if calls := read(t, filepath.Join(out, "calls")); !strings.Contains(calls, "generate --dir generated") || !strings.Contains(calls, "completion generated/completions/") {
		t.Errorf("called: %s", calls)
	}
}

// The hash of what `go mod vendor` brings, by which Nix knows the modules.
func TestVendorHash(t *testing.T) {
	need(t, "nix-hash", "nix-bin")
	dir := filepath.Join(t.TempDir(), "vendor")
	vendor := exec.Command("go", "mod", "vendor", "-o", dir)
	vendor.Dir = ".."
	if out, err := vendor.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v\n%s", err, out)
	}
	cmd := exec.Command("nix", "--extra-experimental-features", "nix-command", "hash", "path", dir)
	cmd.Env = append(os.Environ(), "NIX_REMOTE=", "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, "nix/package.nix")
	pattern := regexp.MustCompile(`vendorHash = "([^"]*)"`)
	got := strings.TrimSpace(string(out))
	if *update {
		write(t, "nix/package.nix", pattern.ReplaceAllString(text, `vendorHash = "`+got+`"`), 0o644)
		return
	}
	if m := pattern.FindStringSubmatch(text); m == nil || m[1] != got {
		t.Errorf("nix/package.nix has not vendorHash = %q; `make generate` writes it", got)
	}
}
