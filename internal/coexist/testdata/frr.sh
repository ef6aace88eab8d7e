# FRR: zebra, staticd, ospfd and bfdd, as its own service runs them, with $CONFIG.
. "$(dirname "$0")/private.sh"
frr=/usr/lib/frr
own=/run/frr
rm -rf $own && mkdir -p $own && echo "$CONFIG" >$own/frr.conf && : >$own/vtysh.conf && : >$own/empty.conf
chown -R frr:frr $own
trap 'wait' TERM # it reaches all of them, and they clear up
for d in zebra staticd ospfd bfdd; do
	more=
	[ $d = bfdd ] && more="--bfdctl $own/bfdd.sock"
	$frr/$d -u frr -g frr -z $own/zserv.api -i $own/$d.pid --vty_socket $own -f $own/empty.conf --log stdout $more &
	until [ -S $own/$d.vty ] && [ -S $own/zserv.api ]; do sleep 0.1; done
done
vtysh --vty_socket $own --config_dir $own -b
echo 'all daemons are configured'
wait
