# NetworkManager. $CONFIG goes below what a machine without DNS and polkit needs.
. "$(dirname "$0")/private.sh"
bus
mkdir -p /etc/NetworkManager /var/lib/NetworkManager /run/NetworkManager
cat >/etc/NetworkManager/NetworkManager.conf <<END
[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
auth-polkit=false
$CONFIG
END
exec $aside/usr/sbin/NetworkManager --debug --log-level=INFO
