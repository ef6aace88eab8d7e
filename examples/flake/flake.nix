# A NixOS flake around what usb4mesh renders: one module per node.
#
# The modules are written by
#
#   usb4mesh render examples/seed-identity/mesh.yaml --format nixos --node 01 --out examples/flake
#
# and so on for each node; run it again after a change of the cluster file, and let
# `usb4mesh render ... --diff` tell in review what will change. In the flake of your
# machines, add this one as an input and the node's module to the node's system:
#
#   inputs.mesh.url = "path:./mesh";
#   outputs = { nixpkgs, mesh, ... }: {
#     nixosConfigurations."01" = nixpkgs.lib.nixosSystem {
#       system = "x86_64-linux";
#       modules = [ ./01/configuration.nix mesh.nixosModules."01" ];
#     };
#   };
#
# It has no inputs of its own, so it needs no flake.lock and works with the nixpkgs
# that your systems use, from NixOS 23.11 on.
{
  description = "USB4 mesh: one NixOS module per node";

  outputs = { self }: {
    nixosModules = {
      "01" = import ./usb4mesh-01.nix;
      "02" = import ./usb4mesh-02.nix;
      "03" = import ./usb4mesh-03.nix;
    };
  };
}
