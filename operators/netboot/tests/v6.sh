#!/usr/bin/env bash
# Lets dhclient get IPv6 addresses from netboot, on its link and behind dhcrelay. Everything happens
# in namespaces that end with this script; what was seen is printed, a word and a value per line.
#
#     v6.sh NETBOOT PEERS DIR
#
#       client ── eth0       fd77::1 ┐
#                                    ├ netboot
#       remote ── eth0  fd88::1 relay┘ fd90::1
set -euo pipefail
# shellcheck source=inside.sh
. "${0%/*}/inside.sh"

[ "$1" = inside ] || enter "$@"
netboot=$2 peers=$3 dir=$4
PATH=$PATH:/usr/sbin:/sbin
client="" relay="" remote=""

start_netboot() {
    # The log of the one before says that it serves.
    rm -f "$dir/netboot.log"
    "$netboot" --config "$dir/netboot.yaml" --lease-file "$dir/leases" --no-endpoints \
        --metrics-bind-address 0 --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
    server=$!
    until_true grep -q "serving DHCPv6" "$dir/netboot.log"
}

# dhclient in a namespace; ends once it is bound, and leaves a process that would renew.
dhclient() {
    local holder=$1 name=$2
    shift 2
    rm -f "$dir/$name.pid"
    : >>"$dir/$name.leases"
    in_ "$holder" timeout 60 "$peers/sbin/dhclient" -6 -1 -v -cf "$dir/dhclient.conf" \
        -sf "$dir/script" -lf "$dir/$name.leases" -pf "$dir/$name.pid" "$@" eth0 >"$dir/$name.log" 2>&1
}

# What dhclient told its script last.
address() { sed -n "s/^BOUND6 \(fd$1[^ ]*\) .*/\1/p" "$dir/told" | tail -n 1; }

cat >"$dir/netboot.yaml" <<'YAML'
dhcp6:
  interfaces: [s0, s1]
  subnets:
    - { subnet: "fd77::/64", ranges: ["fd77::1000-fd77::1fff"], dns: ["fd77::3"] }
    - { subnet: "fd88::/64", ranges: ["fd88::1000-fd88::1fff"] }
YAML
: >"$dir/dhclient.conf"
cat >"$dir/script" <<SH
#!/bin/sh
echo "\$reason \$new_ip6_address \$new_dhcp6_name_servers" >>"$dir/told"
[ -z "\$new_ip6_address" ] || ip -6 address replace "\$new_ip6_address/128" dev "\$interface" nodad
SH
chmod +x "$dir/script"

client_and_relay v6

start_netboot
dhclient "$client" client
echo "client $(address 77)"
echo "script $(grep BOUND6 "$dir/told" | head -n 1)"

# The server dies, and the client's machine restarts: it asks whether its address is still good.
kill -9 "$server"
until_true is_gone "$server"
kill "$(pid_of client)"
until_true is_gone "$(pid_of client)"
start_netboot
dhclient "$client" client
echo "again $(address 77)"
echo "solicits $(grep -c "XMT: Solicit" "$dir/client.log" || true)"

kill "$(pid_of client)"
until_true is_gone "$(pid_of client)"
dhclient "$client" client -r
until_true grep -q " released " "$dir/leases.v6"
echo "released $(sed -n 's/^[^ ]* \([^ ]*\) released .*/\1/p' "$dir/leases.v6")"

# relayed NAME UPPER: relays to there for one client, which starts over. Without an address it sends to all
# servers of the site, ff05::1:3.
relayed() {
    local name=$1 relaying
    # Not by in_, which would be the process that ends.
    nsenter -t "$relay" -n "$peers/usr/sbin/dhcrelay" -6 -d --no-pid -l down0 -u "$2" \
        >"$dir/$name-relay.log" 2>&1 &
    relaying=$!
    until_true grep -q "Sending on" "$dir/$name-relay.log"
    dhclient "$remote" "$name"
    kill "$relaying" "$(pid_of "$name")"
    until_true is_gone "$relaying"
    until_true is_gone "$(pid_of "$name")"
    echo "$name $(address 88)"
}
relayed remote fd90::1%up0
relayed site up0

kill "$server"
until_true grep -q "shutting down" "$dir/netboot.log"
wait "$server"
echo "ended $?"
