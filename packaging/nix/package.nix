# usb4mesh as a package of nixpkgs: pkgs.callPackage ./package.nix { }.
#
# vendorHash is that of `go mod vendor`; a test compares it. Needs the Go of go.mod.
{ lib, buildGoModule, installShellFiles, coreutils, kmod, util-linux, version ? "unstable" }:
buildGoModule {
  pname = "usb4mesh";
  inherit version;
  src = ../..;
  vendorHash = "sha256-iJgEL2vfFcyZO8Z8nx75JIiMAsPJ3lLBKsgVr2UWn3U=";

  subPackages = [ "cmd/usb4mesh" ];
  env.CGO_ENABLED = 0;
  ldflags = [ "-s" "-w" "-X main.version=${version}" ];
  # The tests make namespaces and want programs that a build has not.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    $out/bin/usb4mesh generate --dir generated
    installManPage generated/man/*
    installShellCompletion generated/completions/*

    install -D -m 755 packaging/prepare $out/libexec/usb4mesh/prepare
    substituteInPlace $out/libexec/usb4mesh/prepare \
      --replace chown ${coreutils}/bin/chown

    install -D -m 644 packaging/usb4mesh.service $out/lib/systemd/system/usb4mesh.service
    substituteInPlace $out/lib/systemd/system/usb4mesh.service \
      --replace /usr/bin/usb4mesh $out/bin/usb4mesh \
      --replace /usr/lib/usb4mesh/prepare $out/libexec/usb4mesh/prepare \
      --replace /sbin/modprobe ${kmod}/bin/modprobe \
      --replace /bin/kill ${util-linux}/bin/kill
  '';

  meta = {
    description = "A planned, proven, self-healing network out of USB4 cables";
    homepage = "https://github.com/usb4mesh/usb4mesh";
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
    mainProgram = "usb4mesh";
  };
}
