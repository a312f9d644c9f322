#!/usr/bin/env bash
# hack/bench dhcp: netboot's DHCPv4 against Debian's Kea, under the load of Kea's own perfdhcp.
#
#     dhcp.sh NETBOOT KEA [--seconds N] [--rounds N] [--rates "N N.."]
#
#       c0 perfdhcp ── s0 10.80.0.1 netboot or Kea
#
# KEA is a folder with kea-dhcp4 and perfdhcp. The same clients, 20,000 of them, get their leases
# from one and then the other, round by round, in the same two network namespaces; each writes its
# leases to a file, and starts without any. At every rate the median of the rounds counts, and the
# best of the rates is what a server can do. Drops and delays (of offer and acknowledgement, added) and
# the time that a CPU spends on one exchange are those of the lowest rate, which both of them bear; what
# else this machine does shows in that time least of all.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [ "$1" != inside ]; then
  flags=$(network_flags)
  dir=$(mktemp -d)
  trap 'rmdir "$dir"' EXIT
  unshare "$flags" --mount --pid --mount-proc --fork --kill-child -- \
    "$(readlink -f "${BASH_SOURCE[0]}")" inside "$dir" "$@"
  exit
fi
dir=$2 netboot=$3 kea=$4 seconds=5 rounds=3 rates="2000 4000 6000 8000 10000 12000"
shift 4
while [ $# -gt 0 ]; do
  case $1 in
  --seconds) seconds=${2:?--seconds needs a number} ;;
  --rounds) rounds=${2:?--rounds needs a number} ;;
  --rates) rates=${2:?--rates needs numbers} ;;
  *) die "no option $1; there are --seconds N, --rounds N and --rates \"N N..\"" ;;
  esac
  shift 2
done
PATH=$kea/usr/sbin:$PATH:/usr/sbin:/sbin
libraries=$(echo "$kea"/usr/lib/*-linux-gnu "$kea"/lib/*-linux-gnu | tr ' ' :)
clients=20000
ticks=$(getconf CLK_TCK)

# All of it is in memory, and ends with this namespace.
mount -t tmpfs tmpfs "$dir"

# shellcheck source=../../operators/netboot/tests/inside.sh
. "$hack/../operators/netboot/tests/inside.sh"
# shellcheck disable=SC2034 # of until_true
tries=200

# load RATE SECONDS: its exit status says no more than that there were drops.
load() {
  nsenter -t "$client" -n env "LD_LIBRARY_PATH=$libraries" timeout $((60 + $2)) \
    perfdhcp -4 -l c0 -B -r "$1" -R "$clients" -p "$2" -W 1 >"$dir/perfdhcp" 2>&1 || true
}
# until_it_answers SERVER PID
until_it_answers() {
  for _ in $(seq 20); do
    load 10 1
    if grep -q 'received packets: [1-9]' "$dir/perfdhcp"; then return; fi
    kill -0 "$2" 2>/dev/null || break
  done
  cat "$dir/$1.log" "$dir/perfdhcp" >&2
  die "$1 does not answer"
}

start_netboot() {
  rm -f "$dir"/leases*
  "$netboot" --config "$dir/netboot.yaml" --lease-file "$dir/leases" --no-endpoints \
    --metrics-bind-address 0 --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
}
start_kea() {
  rm -f "$dir"/kea-leases*
  LD_LIBRARY_PATH=$libraries KEA_PIDFILE_DIR=$dir KEA_LOCKFILE_DIR=$dir \
    KEA_LFC_EXECUTABLE=$(command -v kea-lfc) kea-dhcp4 -c "$dir/kea.json" >"$dir/kea.log" 2>&1 &
}

# cpu PID: what it has used, in ticks.
cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# measure SERVER: lines `server rate reached drops-% delay-ms cpu-us`
measure() {
  local server=$1 pid rate before
  "start_$server"
  pid=$!
  until_it_answers "$server" "$pid"
  for rate in $rates; do
    before=$(cpu "$pid")
    load "$rate" "$seconds"
    awk -v server="$server" -v rate="$rate" -v us="$((($(cpu "$pid") - before) * 1000000 / ticks))" '
      /^Rate:/ { reached = $2 }
      /sent packets:/ { sent += $3 } /received packets:/ { received += $3 }
      /avg delay:/ { delay += $3 }
      END {
        if (reached == "" || received == 0) exit 1
        printf "%s %d %.0f %.2f %.3f %.1f\n", server, rate, reached, 100 * (sent - received) / sent, delay, 2 * us / received
      }' "$dir/perfdhcp" | tee -a "$dir/seen" >&2 ||
      { cat "$dir/perfdhcp" "$dir/$server.log" >&2 && die "perfdhcp does not tell how $server did"; }
  done
  kill "$pid"
  wait "$pid" || true
}

client=""
namespace client
ip link set lo up
ip link add s0 type veth peer name c0 netns "$client"
ip addr add 10.80.0.1/16 dev s0
ip link set s0 up
nsenter -t "$client" -n ip addr add 10.80.0.2/16 dev c0
nsenter -t "$client" -n ip link set c0 up

# Kea pings nobody either.
cat >"$dir/netboot.yaml" <<YAML
interfaces: [s0]
conflictProbe: false
subnets:
  - subnet: 10.80.0.0/16
    ranges: [10.80.1.0-10.80.250.255]
    router: 10.80.0.1
    leaseTime: 10m
YAML
cat >"$dir/kea.json" <<JSON
{ "Dhcp4": {
  "interfaces-config": { "interfaces": ["s0"], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": true, "name": "$dir/kea-leases.csv" },
  "multi-threading": { "enable-multi-threading": true },
  "valid-lifetime": 600,
  "subnet4": [{ "id": 1, "subnet": "10.80.0.0/16", "pools": [{ "pool": "10.80.1.0-10.80.250.255" }],
    "option-data": [{ "name": "routers", "data": "10.80.0.1" }] }],
  "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }]
} }
JSON

for round in $(seq "$rounds"); do
  say "round $round of $rounds: server, asked and reached exchanges/s, drops in %, delay in ms, CPU per exchange in us"
  measure netboot
  measure kea
done

sort -k 1,1 -k 2,2n -k 3n "$dir/seen" | awk -v rounds="$rounds" -v seconds="$seconds" -v clients="$clients" '
  { if (!first) first = $2; if ($2 < first) first = $2
    n = ++count[$1 " " $2]; reached[$1 " " $2, n] = $3
    if ($2 == first) { drops[$1] += $4; delay[$1] += $5; cpu[$1] += $6; at[$1]++ } }
  END {
    for (key in count) {
      split(key, word, " "); median = reached[key, int((count[key] + 1) / 2)]
      if (median > best[word[1]]) best[word[1]] = median
    }
    printf "{\"clients\":%d,\"rounds\":%d,\"seconds\":%d", clients, rounds, seconds
    printf ",\"ours_per_s\":%.0f,\"kea_per_s\":%.0f", best["netboot"], best["kea"]
    printf ",\"ratio\":%.2f,\"base_per_s\":%d", best["netboot"] / best["kea"], first
    printf ",\"ours_drops_percent\":%.2f,\"kea_drops_percent\":%.2f", drops["netboot"] / at["netboot"], drops["kea"] / at["kea"]
    printf ",\"ours_delay_ms\":%.3f,\"kea_delay_ms\":%.3f", delay["netboot"] / at["netboot"], delay["kea"] / at["kea"]
    printf ",\"ours_cpu_us\":%.1f,\"kea_cpu_us\":%.1f}\n", cpu["netboot"] / at["netboot"], cpu["kea"] / at["kea"]
  }'
