#!/usr/bin/env bash
# Lets dhclient get its leases from netboot: on its link, where somebody uses an address already, and
# behind dhcrelay; and beside dhcpd, where netboot is a ProxyDHCP server. Everything happens in
# namespaces that end with this script; what was seen is printed, a word and a value per line.
#
#     namespaces.sh NETBOOT PEERS DIR FIRMWARE
#
#       client ── eth0        10.77.0.1 ┐
#                                       │
#       remote ── eth0  10.88.0.1 relay ┤ 10.90.0.1
#                                       ├ netboot
#       dhcpd ─── eth0 ┐                │
#                      ├ bridge         │
#       guest ─── eth0 ┘      10.99.0.1 ┘
#
# FIRMWARE is run in `guest`, and speaks like firmware that boots by PXE.
set -euo pipefail

# shellcheck source=inside.sh
. "${0%/*}/inside.sh"

[ "$1" = inside ] || enter "$@"
netboot=$2 peers=$3 dir=$4 firmware=$5
PATH=$PATH:/usr/sbin:/sbin
client="" relay="" remote="" foreign="" guest=""

start_netboot() {
    # The log of the one before says that it serves.
    rm -f "$dir/netboot.log"
    "$netboot" --config "$dir/netboot.yaml" --lease-file "$dir/leases" --no-endpoints \
        --metrics-bind-address 0 --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
    server=$!
    until_true grep -q "serving DHCP" "$dir/netboot.log"
}

# dhclient in a namespace; ends once it is bound, and leaves a process that would renew.
dhclient() {
    local holder=$1 name=$2
    shift 2
    rm -f "$dir/$name.pid"
    in_ "$holder" "$peers/sbin/dhclient" -4 -1 -v -cf "$dir/dhclient.conf" -sf "$dir/script" \
        -lf "$dir/$name.leases" -pf "$dir/$name.pid" "$@" eth0 >"$dir/$name.log" 2>&1
}

address() { sed -n 's/.*bound to \([0-9.]*\) .*/\1/p' "$dir/$1.log"; }

cat >"$dir/netboot.yaml" <<'YAML'
interfaces: [s0, s1, bridge]
subnets:
  - subnet: 10.77.0.0/24
    ranges: [10.77.0.100-10.77.0.199]
    router: 10.77.0.1
    dns: [10.77.0.3]
  - subnet: 10.88.0.0/24
    ranges: [10.88.0.100-10.88.0.199]
  - subnet: 10.99.0.0/24
    mode: proxy
boot:
  nextServer: 10.99.0.9
  uefi: snponly.efi
  ipxe: http://10.99.0.9/ipxe/${uuid}
YAML
printf '%s\n' 'initial-interval 1;' 'timeout 20;' 'reboot 2;' 'retry 1;' >"$dir/dhclient.conf"
cat >"$dir/script" <<SH
#!/bin/sh
echo "\$reason \$new_ip_address \$new_routers \$new_domain_name_servers" >>"$dir/\$interface.script"
[ -z "\$new_ip_address" ] || ip addr replace "\$new_ip_address/\$new_subnet_mask" dev "\$interface"
SH
chmod +x "$dir/script"

client_and_relay v4

namespace foreign
namespace guest
ip link add bridge type bridge stp_state 0 forward_delay 0
ip link add b0 type veth peer name eth0 netns "$foreign"
ip link add b1 type veth peer name eth0 netns "$guest"
ip addr add 10.99.0.1/24 dev bridge
in_ "$foreign" ip addr add 10.99.0.2/24 dev eth0
for port in b0 b1; do ip link set "$port" master bridge up; done
ip link set bridge up
in_ "$foreign" ip link set eth0 up
in_ "$guest" ip link set eth0 up

start_netboot
in_ "$relay" "$peers/usr/sbin/dhcrelay" -4 -d --no-pid -a -id down0 -iu up0 10.90.0.1 \
    >"$dir/relay.log" 2>&1 &
until_true grep -q "Sending on" "$dir/relay.log"

dhclient "$client" client
first=$(address client)
echo "client $first"
dhclient "$remote" remote
echo "remote $(address remote)"
echo "script $(grep BOUND "$dir/eth0.script" | head -n 1)"

# The server dies, and the client's machine restarts: it asks for the address it had.
kill -9 "$server"
until_true is_gone "$server"
kill "$(pid_of client)"
start_netboot
dhclient "$client" client
echo "again $(address client)"
echo "discovers $(grep -c DHCPDISCOVER "$dir/client.log" || true)"

kill "$(pid_of client)"
dhclient "$client" client -r
until_true grep -q " released " "$dir/leases"
echo "released $(sed -n 's/^[^ ]* \([^ ]*\) released .*/\1/p' "$dir/leases")"

# Clients without an address: one that asks for broadcast, and one that does not.
in_ "$client" ip addr flush dev eth0
in_ "$client" "$firmware" sees_to_whom --ignored --nocapture >"$dir/alone.log" 2>&1 ||
    { cat "$dir/alone.log" >&2; exit 1; }
grep -o 'firmware-.*' "$dir/alone.log"

# The leases are lost, and somebody uses the address that the client would get again.
kill -9 "$server"
until_true is_gone "$server"
mv "$dir/leases" "$dir/lost"
start_netboot
in_ "$client" ip addr flush dev eth0
in_ "$client" ip addr add "$first/24" dev eth0
rm "$dir/client.leases"
dhclient "$client" client
echo "beside $(address client)"
until_true grep -q " declined " "$dir/leases"
echo "rests $(sed -n 's/^[^ ]* \([^ ]*\) declined .*/\1/p' "$dir/leases")"

# Another server gives out the addresses.
cat >"$dir/dhcpd.conf" <<CONF
authoritative;
subnet 10.99.0.0 netmask 255.255.255.0 { range 10.99.0.100 10.99.0.199; option routers 10.99.0.2; }
CONF
: >"$dir/dhcpd.leases"
in_ "$foreign" "$peers/usr/sbin/dhcpd" -4 -f -d --no-pid -cf "$dir/dhcpd.conf" \
    -lf "$dir/dhcpd.leases" eth0 >"$dir/dhcpd.log" 2>&1 &
until_true grep -q "Sending on" "$dir/dhcpd.log"
dhclient "$guest" guest
echo "foreign $(address guest)"
kill "$(pid_of guest)"
until_true is_gone "$(pid_of guest)"
in_ "$guest" "$firmware" asks_both_servers --ignored --nocapture >"$dir/firmware.log" 2>&1 ||
    { cat "$dir/firmware.log" >&2; exit 1; }
grep -o 'firmware-.*' "$dir/firmware.log"

kill "$server"
until_true grep -q "shutting down" "$dir/netboot.log"
wait "$server"
echo "ended $?"
