# The NixOS module of the usb4mesh agent:
#
#   imports = [ ./usb4mesh/packaging/nix/module.nix ];
#   services.usb4mesh = {
#     enable = true;
#     clusterFile = ./mesh.yaml;
#   };
#
# The unit is that of the package, which is checked under a real systemd; the module only
# says where things are. Leave out what `usb4mesh render --format nixos` writes: the agent
# does the same, and more.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.usb4mesh;
  flags = lib.optionals (cfg.node != null) [ "--node" cfg.node ]
    ++ lib.optionals (cfg.keyFile != null) [ "--key" cfg.keyFile ]
    ++ lib.optionals (cfg.listen != null) [ "--listen" cfg.listen ]
    ++ cfg.extraFlags;
in
{
  options.services.usb4mesh = {
    enable = lib.mkEnableOption "the usb4mesh agent, which keeps a network out of USB4 cables";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = "pkgs.callPackage ./package.nix { }";
      description = "The package that holds program and unit.";
    };

    clusterFile = lib.mkOption {
      type = lib.types.path;
      example = "./mesh.yaml";
      description = "The cluster file, the same on every node. A change of it reloads the agent.";
    };

    node = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "01";
      description = "Name of this machine in the cluster file; its host name if null.";
    };

    keyFile = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "/etc/usb4mesh/mesh.key";
      description = ''
        File with the keys of the mesh, readable by user usb4mesh and nobody else: a path of the
        running system as text, not a path of the configuration, which would be copied into the
        world-readable store. As the cluster file says if null.
      '';
    };

    listen = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "127.0.0.1:9469";
      description = "Address of /metrics, /healthz and /status.json; none for none. As the cluster file says if null.";
    };

    extraFlags = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "--debug" ];
      description = "More flags for the agent, without spaces or quotes in them.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.users.usb4mesh = {
      isSystemUser = true;
      group = "usb4mesh";
      description = "USB4 mesh agent";
    };
    # Members may run `usb4mesh status`.
    users.groups.usb4mesh = { };

    environment.systemPackages = [ cfg.package ];
    environment.etc."usb4mesh/mesh.yaml".source = cfg.clusterFile;
    environment.etc."usb4mesh/agent.env".text = "USB4MESH_AGENT_FLAGS=${lib.concatStringsSep " " flags}\n";

    # Without thunderbolt_net neither end of a cable offers the network service to the other.
    boot.kernelModules = [ "thunderbolt" "thunderbolt_net" ];

    systemd.packages = [ cfg.package ];
    systemd.services.usb4mesh = {
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = [ cfg.clusterFile ];
      restartTriggers = flags;
    };

    # Others leave the ports alone, and packets may come back another way than they went.
    networking.dhcpcd.denyInterfaces = [ "tbt-*" "umesh0" ];
    networking.networkmanager.unmanaged = [ "interface-name:tbt-*" "interface-name:umesh0" ];
    networking.firewall.checkReversePath = lib.mkDefault "loose";
  };
}
