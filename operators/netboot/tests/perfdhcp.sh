#!/usr/bin/env bash
# Lets Kea's perfdhcp be many clients of netboot at once, by IPv4 and by IPv6. Everything happens in
# namespaces that end with this script; what was seen is printed, a word and a value per line.
#
#     perfdhcp.sh NETBOOT PEERS DIR
#
#       perfdhcp ── eth0   10.77.0.1, fd77::1 netboot
set -euo pipefail
# shellcheck source=inside.sh
. "${0%/*}/inside.sh"

[ "$1" = inside ] || enter "$@"
netboot=$2 peers=$3 dir=$4
PATH=$peers/usr/sbin:$PATH:/usr/sbin:/sbin
libraries=$(echo "$peers"/usr/lib/*-linux-gnu "$peers"/lib/*-linux-gnu | tr ' ' :)
client=""

# load NAME OPTION..: forty clients, each of which asks several times; nobody is in a hurry.
load() {
    local name=$1
    shift
    in_ "$client" env "LD_LIBRARY_PATH=$libraries" timeout 100 perfdhcp "$@" -l eth0 -r 40 -R 40 \
        -n 200 -d 30 -W 5000000 >"$dir/$name.log" 2>&1 || true
    awk -v name="$name" '
        /^sent packets:/ { sent[++half] = $3 } /^received packets:/ { received[half] = $3 }
        END { for (half in sent) print name "-" half, received[half] " of " sent[half] }' "$dir/$name.log"
}

cat >"$dir/netboot.yaml" <<'YAML'
interfaces: [s0]
conflictProbe: false
subnets:
  - { subnet: 10.77.0.0/24, ranges: [10.77.0.100-10.77.0.199], router: 10.77.0.1 }
dhcp6:
  interfaces: [s0]
  subnets:
    - { subnet: "fd77::/64", ranges: ["fd77::1000-fd77::1fff"], dns: ["fd77::3"] }
YAML

namespace client
ip link set lo up
ip link add s0 type veth peer name eth0 netns "$client"
ip addr add 10.77.0.1/24 dev s0
ip addr add fd77::1/64 dev s0 nodad
ip link set s0 up
in_ "$client" ip addr add 10.77.0.2/24 dev eth0
# A link-local address that is made of a MAC address would make all of them one machine.
in_ "$client" ip link set eth0 addrgenmode none
in_ "$client" ip addr add fe80::5/64 dev eth0 nodad
in_ "$client" ip link set eth0 up
until_true has_link_local "$$" s0
until_true has_link_local "$client" eth0

"$netboot" --config "$dir/netboot.yaml" --lease-file "$dir/leases" --no-endpoints \
    --metrics-bind-address 0 --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
server=$!
until_true grep -q "serving DHCPv6" "$dir/netboot.log"

load v4 -4 -B
load v6 -6
echo "leases-v4 $(awk '/ bound / { print $2 }' "$dir/leases" | sort -u | wc -l)"
echo "leases-v6 $(awk '/ bound / { print $2 }' "$dir/leases.v6" | sort -u | wc -l)"

kill "$server"
until_true grep -q "shutting down" "$dir/netboot.log"
wait "$server"
echo "ended $?"
