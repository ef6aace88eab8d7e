# dhcpcd for all interfaces. $CONFIG is added to what Debian ships.
. "$(dirname "$0")/private.sh"
mkdir -p /var/lib/dhcpcd /run/dhcpcd
{ cat $aside/etc/dhcpcd.conf && echo "$CONFIG"; } >$own/dhcpcd.conf
sed -i /^dhcpcd:/d /etc/passwd # its helpers, of a user of their own, need a /dev of their own
exec $aside/usr/sbin/dhcpcd --nobackground --debug --config $own/dhcpcd.conf --script /bin/true --nodev
