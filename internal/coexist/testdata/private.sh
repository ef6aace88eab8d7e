# A node's program gets /etc and /var of its own: what it writes there, resolv.conf
# above all, is not the machine's. $aside holds programs that are unpacked and not
# installed, see scripts/install-deps.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
aside=/var/cache/usb4mesh/unpacked
own=/run/coexist
mkdir -p $own/etc /run/dbus
for f in passwd group nsswitch.conf hosts localtime ld.so.cache pam.d pam.conf security; do
	[ ! -e /etc/$f ] || cp -rL /etc/$f $own/etc/
done
echo 6fb8a2d3c1e94d0f8a7b5c6d7e8f9012 >$own/etc/machine-id
[ ! -e $aside ] || export LD_LIBRARY_PATH=$aside/usr/lib/$(uname -m)-linux-gnu
mount --bind $own/etc /etc
mount -t tmpfs -o mode=755 none /var/lib
mount -t tmpfs -o mode=1777 none /var/tmp
mount -o remount,bind,ro /sys # no udev here, and this is how programs know

# A bus where everybody may do everything.
bus() {
	cat >$own/bus.conf <<-END
		<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>
	END
	[ -S /run/dbus/system_bus_socket ] || dbus-daemon --config-file=$own/bus.conf --fork --nopidfile
}
