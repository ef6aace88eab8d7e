# Written by usb4mesh for node 02 of mesh seed-identity from examples/seed-identity/mesh.yaml.
# Do not edit; change the cluster file and render again.
#
# In configuration.nix: imports = [ ./usb4mesh-02.nix ];
{ config, lib, ... }:
let
  ours = [ "30-umesh0" "50-tbt-01" "50-tbt-03" ];
  # Up to NixOS 24.05 a list entry wraps its settings: { addressConfig = { ... }; }.
  legacy = lib.versionOlder lib.trivial.release "24.11";
  wrap = name: settings: if legacy then { ${name} = settings; } else settings;
  address = wrap "addressConfig";
  route = wrap "routeConfig";
in
{
  # Without the module neither end of a cable offers the network service to the other.
  boot.kernelModules = [ "thunderbolt-net" ];

  # A leading - lets a line fail while the interface does not exist; udev applies it again later.
  boot.kernel.sysctl = {
    "net/ipv4/conf/all/send_redirects" = "0";
    "net/ipv6/conf/all/forwarding" = "1";
    "-net/ipv4/conf/tbt-01/forwarding" = "1";
    "-net/ipv4/conf/tbt-01/accept_local" = "1";
    "-net/ipv4/conf/tbt-01/rp_filter" = "2";
    "-net/ipv4/conf/tbt-01/ignore_routes_with_linkdown" = "1";
    "-net/ipv4/conf/tbt-01/send_redirects" = "0";
    "-net/ipv4/conf/tbt-01/accept_redirects" = "0";
    "-net/ipv6/conf/tbt-01/ignore_routes_with_linkdown" = "1";
    "-net/ipv6/conf/tbt-01/accept_ra" = "0";
    "-net/ipv6/conf/tbt-01/accept_dad" = "0";
    "-net/ipv6/conf/tbt-01/dad_transmits" = "0";
    "net/ipv4/neigh/tbt-01/retrans_time_ms" = "20";
    "net/ipv6/neigh/tbt-01/retrans_time_ms" = "20";
    "-net/ipv4/conf/tbt-03/forwarding" = "1";
    "-net/ipv4/conf/tbt-03/accept_local" = "1";
    "-net/ipv4/conf/tbt-03/rp_filter" = "2";
    "-net/ipv4/conf/tbt-03/ignore_routes_with_linkdown" = "1";
    "-net/ipv4/conf/tbt-03/send_redirects" = "0";
    "-net/ipv4/conf/tbt-03/accept_redirects" = "0";
    "-net/ipv6/conf/tbt-03/ignore_routes_with_linkdown" = "1";
    "-net/ipv6/conf/tbt-03/accept_ra" = "0";
    "-net/ipv6/conf/tbt-03/accept_dad" = "0";
    "-net/ipv6/conf/tbt-03/dad_transmits" = "0";
    "net/ipv4/neigh/tbt-03/retrans_time_ms" = "20";
    "net/ipv6/neigh/tbt-03/retrans_time_ms" = "20";
  };

  networking.dhcpcd.denyInterfaces = [ "tbt-01" "tbt-03" "umesh0" ];
  networking.networkmanager.unmanaged = [ "interface-name:tbt-01" "interface-name:tbt-03" "interface-name:umesh0" ];
  networking.firewall.trustedInterfaces = [ "tbt-01" "tbt-03" "umesh0" ];
  # A detour comes back over another cable, which a strict check takes for a forgery.
  networking.firewall.checkReversePath = "loose";

  systemd.network = {
    enable = true;

    # The mesh does not make the machine online, and nobody waits for it.
    wait-online = {
      enable = lib.mkDefault (builtins.any (name: !(builtins.elem name ours)) (builtins.attrNames config.systemd.network.networks));
      ignoredInterfaces = [ "umesh0" ];
    };

    links."30-umesh0" = {
      matchConfig.OriginalName = "umesh0";
      linkConfig = {
        NamePolicy = "";
        MACAddressPolicy = "none";
        Alias = "usb4mesh:seed-identity";
      };
    };

    netdevs."30-umesh0" = {
      netdevConfig = {
        Name = "umesh0";
        Kind = "dummy";
        MTUBytes = "65520";
      };
    };

    networks."30-umesh0" = {
      matchConfig.Name = "umesh0";
      linkConfig.RequiredForOnline = "no-carrier";
      networkConfig = {
        LinkLocalAddressing = "no";
        IPv6AcceptRA = "no";
        ConfigureWithoutCarrier = "yes";
      };
      addresses = [
        (address {
          Address = "10.7.1.2/32";
        })
        (address {
          Address = "fd75:7362:3400::2/128";
          DuplicateAddressDetection = "none";
        })
      ];
    };

    links."50-tbt-01" = {
      matchConfig = {
        Path = "pci-0000:c7:00.5";
        Driver = "thunderbolt-net";
      };
      linkConfig = {
        NamePolicy = "";
        Name = "tbt-01";
        Alias = "usb4mesh:seed-identity:3";
        MACAddressPolicy = "none";
      };
    };

    networks."50-tbt-01" = {
      matchConfig.Name = "tbt-01";
      linkConfig = {
        MTUBytes = "65520";
        RequiredForOnline = "no";
      };
      networkConfig = {
        DHCP = "no";
        LinkLocalAddressing = "ipv6";
        IPv6AcceptRA = "no";
        IPv6DuplicateAddressDetection = 0;
        LLMNR = "no";
        MulticastDNS = "no";
        LLDP = "yes";
        EmitLLDP = "yes";
      };
      addresses = [
        (address {
          Address = "10.7.1.2/32";
        })
        (address {
          Address = "fd75:7362:3400::2/128";
          DuplicateAddressDetection = "none";
        })
      ];
      routes = [
        (route {
          Destination = "10.7.1.1/32";
          Scope = "link";
          PreferredSource = "10.7.1.2";
          Metric = 10;
          Protocol = 117;
        })
        (route {
          Destination = "10.7.1.3/32";
          Gateway = "10.7.1.1";
          GatewayOnLink = "yes";
          PreferredSource = "10.7.1.2";
          Metric = 20;
          Protocol = 117;
        })
        (route {
          Destination = "fd75:7362:3400::1/128";
          PreferredSource = "fd75:7362:3400::2";
          Metric = 10;
          Protocol = 117;
        })
        (route {
          Destination = "fd75:7362:3400::3/128";
          Gateway = "fd75:7362:3400::1";
          PreferredSource = "fd75:7362:3400::2";
          Metric = 20;
          Protocol = 117;
        })
      ];
    };

    links."50-tbt-03" = {
      matchConfig = {
        Path = "pci-0000:c7:00.6";
        Driver = "thunderbolt-net";
      };
      linkConfig = {
        NamePolicy = "";
        Name = "tbt-03";
        Alias = "usb4mesh:seed-identity:1";
        MACAddressPolicy = "none";
      };
    };

    networks."50-tbt-03" = {
      matchConfig.Name = "tbt-03";
      linkConfig = {
        MTUBytes = "65520";
        RequiredForOnline = "no";
      };
      networkConfig = {
        DHCP = "no";
        LinkLocalAddressing = "ipv6";
        IPv6AcceptRA = "no";
        IPv6DuplicateAddressDetection = 0;
        LLMNR = "no";
        MulticastDNS = "no";
        LLDP = "yes";
        EmitLLDP = "yes";
      };
      addresses = [
        (address {
          Address = "10.7.1.2/32";
        })
        (address {
          Address = "fd75:7362:3400::2/128";
          DuplicateAddressDetection = "none";
        })
      ];
      routes = [
        (route {
          Destination = "10.7.1.1/32";
          Gateway = "10.7.1.3";
          GatewayOnLink = "yes";
          PreferredSource = "10.7.1.2";
          Metric = 20;
          Protocol = 117;
        })
        (route {
          Destination = "10.7.1.3/32";
          Scope = "link";
          PreferredSource = "10.7.1.2";
          Metric = 10;
          Protocol = 117;
        })
        (route {
          Destination = "fd75:7362:3400::1/128";
          Gateway = "fd75:7362:3400::3";
          PreferredSource = "fd75:7362:3400::2";
          Metric = 20;
          Protocol = 117;
        })
        (route {
          Destination = "fd75:7362:3400::3/128";
          PreferredSource = "fd75:7362:3400::2";
          Metric = 10;
          Protocol = 117;
        })
      ];
    };
  };
}
