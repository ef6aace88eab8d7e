# What the author of the three-node mesh published for his node 03 in January 2024:
# which host controller gets which name, address and peer. Facts only, in our words.
{
  systemd.network = {
    links."50-tbt-02" = {
      matchConfig = { Path = "pci-0000:c7:00.5"; Driver = "thunderbolt-net"; };
      linkConfig = { Name = "tbt-02"; MACAddressPolicy = "none"; };
    };
    links."50-tbt-01" = {
      matchConfig = { Path = "pci-0000:c7:00.6"; Driver = "thunderbolt-net"; };
      linkConfig = { Name = "tbt-01"; MACAddressPolicy = "none"; };
    };
    networks.tbt-02 = {
      matchConfig = { Path = "pci-0000:c7:00.5"; Driver = "thunderbolt-net"; };
      addresses = [ { addressConfig = { Address = "10.7.0.101/32"; Peer = "10.7.0.106/32"; }; } ];
    };
    networks.tbt-01 = {
      matchConfig = { Path = "pci-0000:c7:00.6"; Driver = "thunderbolt-net"; };
      addresses = [ { addressConfig = { Address = "10.7.0.102/32"; Peer = "10.7.0.103/32"; }; } ];
    };
  };
}
