# systemd-networkd with one .network file, which is $CONFIG.
. "$(dirname "$0")/private.sh"
bus
mkdir -p /etc/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
echo "$CONFIG" >/etc/systemd/network/80-all.network
chown -R systemd-network:systemd-network /run/systemd/netif
export SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info SYSTEMD_LOG_COLOR=0
exec /lib/systemd/systemd-networkd
