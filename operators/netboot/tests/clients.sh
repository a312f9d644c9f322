#!/usr/bin/env bash
# Lets the clients of small systems get addresses and a file from netboot: udhcpc and tftp of busybox, and
# dhcpcd by IPv4 and IPv6; on its link, and behind dnsmasq as a relay. Everything happens in namespaces
# that end with this script; what was seen is printed, a word and a value per line.
#
#     clients.sh NETBOOT PEERS DIR
#
#       client ── eth0           10.77.0.1, fd77::1 ┐
#                                                   ├ netboot
#       remote ── eth0  10.88.0.1, fd88::1 dnsmasq ─┘ 10.90.0.1, fd90::1
set -euo pipefail
# shellcheck source=inside.sh
. "${0%/*}/inside.sh"

[ "$1" = inside ] || enter "$@"
netboot=$2 peers=$3 dir=$4
PATH=$PATH:/usr/sbin:/sbin
LD_LIBRARY_PATH=$(echo "$peers"/usr/lib/*-linux-gnu | tr ' ' :)
client="" relay="" remote=""

# busybox NAMESPACE COMMAND..
busybox() {
    local holder=$1
    shift
    in_ "$holder" timeout 60 "$peers/bin/busybox" "$@"
}

# udhcpc in a namespace; ends once it is bound.
udhcpc() {
    busybox "$1" udhcpc -f -q -n -i eth0 -t 30 -T 1 -A 1 -s "$dir/udhcpc.script" >"$dir/udhcpc.log" 2>&1
}

# dhcpcd in a namespace, of one IP version; ends once it is bound. It keeps its files in folders that are
# the same for every namespace.
dhcpcd() {
    rm -rf /run/dhcpcd /var/lib/dhcpcd
    mkdir -p /run/dhcpcd /var/lib/dhcpcd
    in_ "$1" timeout 60 env "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" "$peers/usr/sbin/dhcpcd" "-$2" -1 -B -t 50 \
        -f "$dir/dhcpcd.conf" -c "$dir/dhcpcd.script" eth0 >"$dir/dhcpcd.log" 2>&1
}

# What netboot recorded last in a subnet: the address and its client.
bound() { sed -n "s/^[^ ]* \($1[^ ]*\) bound .*/\1/p" "$dir/$2" | tail -n 1; }

# These folders are those of dhcpcd alone.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir "$dir/root"
head -c 3000000 /dev/urandom >"$dir/root/snponly.efi"
cat >"$dir/netboot.yaml" <<YAML
interfaces: [s0, s1]
subnets:
  - subnet: 10.77.0.0/24
    ranges: [10.77.0.100-10.77.0.199]
    router: 10.77.0.1
    dns: [10.77.0.3]
  - { subnet: 10.88.0.0/24, ranges: [10.88.0.100-10.88.0.199] }
boot: { uefi: snponly.efi }
tftp: { root: "$dir/root" }
dhcp6:
  interfaces: [s0, s1]
  subnets:
    - { subnet: "fd77::/64", ranges: ["fd77::1000-fd77::1fff"], dns: ["fd77::3"] }
    - { subnet: "fd88::/64", ranges: ["fd88::1000-fd88::1fff"] }
YAML
# Without routers that advertise themselves.
printf '%s\n' 'noipv6rs' 'ia_na 1' 'clientid' >"$dir/dhcpcd.conf"
cat >"$dir/udhcpc.script" <<SH
#!/bin/sh
[ "\$1" = bound ] || exit 0
echo "\$ip \$router \$dns \$lease" >>"$dir/udhcpc.told"
ip addr replace "\$ip/\$mask" dev "\$interface"
SH
cat >"$dir/dhcpcd.script" <<SH
#!/bin/sh
echo "\$reason \$new_ip_address \$new_dhcp6_ia_na1_ia_addr1" >>"$dir/dhcpcd.told"
SH
chmod +x "$dir"/*.script

client_and_relay v4 v6

"$netboot" --config "$dir/netboot.yaml" --lease-file "$dir/leases" --no-endpoints \
    --metrics-bind-address 0 --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
server=$!
until_true grep -q "serving DHCP " "$dir/netboot.log"
until_true grep -q "serving DHCPv6" "$dir/netboot.log"
until_true grep -q "serving TFTP" "$dir/netboot.log"

udhcpc "$client"
echo "udhcpc $(tail -n 1 "$dir/udhcpc.told")"
echo "udhcpc-lease $(bound 10.77 leases)"
busybox "$client" tftp -g -b 1468 -r snponly.efi -l "$dir/got" 10.77.0.1 >"$dir/tftp.log" 2>&1
cmp "$dir/got" "$dir/root/snponly.efi" && echo "tftp same"

in_ "$client" ip addr flush dev eth0 scope global
dhcpcd "$client" 4
echo "dhcpcd $(sed -n 's/^BOUND \([0-9.]*\) .*/\1/p' "$dir/dhcpcd.told")"
echo "dhcpcd-lease $(bound 10.77 leases)"
in_ "$client" ip addr flush dev eth0 scope global
dhcpcd "$client" 6
echo "dhcpcd6 $(sed -n 's/^BOUND6 *\(fd[^ ]*\).*/\1/p' "$dir/dhcpcd.told")"
echo "dhcpcd6-lease $(bound fd77 leases.v6)"

# A relay of both IP versions.
in_ "$relay" env "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" "$peers/usr/sbin/dnsmasq" --keep-in-foreground \
    --port 0 --conf-file=/dev/null --pid-file= --user= --log-facility=- --log-dhcp \
    --dhcp-relay=10.88.0.1,10.90.0.1 --dhcp-relay=fd88::1,fd90::1 >"$dir/dnsmasq.log" 2>&1 &
until_true grep -q "fd88::1" "$dir/dnsmasq.log"
udhcpc "$remote"
echo "relayed $(bound 10.88 leases)"
dhcpcd "$remote" 6
echo "relayed6 $(bound fd88 leases.v6)"

kill "$server"
until_true grep -q "shutting down" "$dir/netboot.log"
wait "$server"
echo "ended $?"
