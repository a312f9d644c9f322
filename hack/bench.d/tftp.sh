#!/usr/bin/env bash
# hack/bench tftp: netboot's TFTP against Debian's tftpd-hpa and atftpd, one client at a time.
#
#     tftp.sh NETBOOT PEERS [--mib N] [--rounds N]
#
#       eth0 client ── 10.80.0.1 netboot, 10.80.0.2 tftpd-hpa, 10.80.0.3 atftpd
#
# The same clients get the same file, in blocks of 1468 bytes, from all of them, round by round, in
# the same two network namespaces; the median of the rounds counts. With windows of one block the
# client is curl; with longer ones it is atftp, and there is no tftpd-hpa, which knows no windows.
# w1_ratio is ours to the faster of the two.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [ "$1" != inside ]; then
  flags=$(network_flags)
  need curl
  dir=$(mktemp -d)
  trap 'rmdir "$dir"' EXIT
  unshare "$flags" --mount --pid --mount-proc --fork --kill-child -- \
    "$(readlink -f "${BASH_SOURCE[0]}")" inside "$dir" "$@"
  exit
fi
dir=$2 netboot=$3 peers=$4 mib=64 rounds=5
shift 4
while [ $# -gt 0 ]; do
  case $1 in
  --mib) mib=${2:?--mib needs a number} ;;
  --rounds) rounds=${2:?--rounds needs a number} ;;
  *) die "no option $1; there are --mib N and --rounds N" ;;
  esac
  shift 2
done
PATH=$PATH:/usr/sbin:/sbin
libraries=$(echo "$peers"/usr/lib/*-linux-gnu "$peers"/lib/*-linux-gnu | tr ' ' :)

# All of it is in memory, and ends with this namespace.
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/root"

# shellcheck source=../../operators/netboot/tests/inside.sh
. "$hack/../operators/netboot/tests/inside.sh"
# shellcheck disable=SC2034 # of until_true
tries=100
in_client() { nsenter -t "$client" -n env "LD_LIBRARY_PATH=$libraries" timeout 120 "$@"; }

curl_1() {
  in_client curl -sSf --max-time "${2-100}" --tftp-blksize 1468 -o /dev/null "tftp://$1/file"
}
atftp() {
  in_client "$peers/usr/bin/atftp" --option "blksize 1468" --option "windowsize $2" \
    --get --remote-file file --local-file /dev/null "$1" >"$dir/client.log" 2>&1
}

# measure SERVER WINDOWSIZE COMMAND..: a line `server windowsize MiB/s`
measure() {
  local server=$1 windowsize=$2 since=${EPOCHREALTIME//[!0-9]/}
  shift 2
  "$@" || { cat "$dir"/*.log >&2 && die "$server gives no file with windows of $windowsize"; }
  awk -v server="$server" -v windowsize="$windowsize" -v mib="$mib" \
    -v time=$((${EPOCHREALTIME//[!0-9]/} - since)) \
    'BEGIN { printf "%s %s %.1f\n", server, windowsize, mib * 1e6 / time }' | tee -a "$dir/seen" >&2
}

client=""
namespace client
ip link set lo up
ip link add s0 type veth peer name eth0 netns "$client"
for last in 1 2 3; do ip addr add "10.80.0.$last/24" dev s0; done
ip link set s0 up
nsenter -t "$client" -n ip addr add 10.80.0.9/24 dev eth0
nsenter -t "$client" -n ip link set eth0 up

head -c $((mib << 20)) /dev/urandom >"$dir/root/file"
cat >"$dir/netboot.yaml" <<YAML
interfaces: [s0]
subnets: []
boot: { uefi: file }
tftp: { root: $dir/root, listen: [10.80.0.1] }
YAML
chmod 755 "$dir" "$dir/root"

"$netboot" --config "$dir/netboot.yaml" --no-endpoints --metrics-bind-address 0 \
  --health-probe-bind-address 0 >"$dir/netboot.log" 2>&1 &
LD_LIBRARY_PATH=$libraries "$peers/usr/sbin/in.tftpd" --foreground --user root \
  --address 10.80.0.2:69 --secure "$dir/root" >"$dir/tftpd-hpa.log" 2>&1 &
LD_LIBRARY_PATH=$libraries "$peers/usr/sbin/atftpd" --daemon --no-fork --user root --group root \
  --bind-address 10.80.0.3 --logfile "$dir/atftpd.log" --verbose=3 "$dir/root" >"$dir/atftpd.out.log" 2>&1 &
declare -A address=([netboot]=10.80.0.1 [tftpd-hpa]=10.80.0.2 [atftpd]=10.80.0.3)
until_true grep -q "serving TFTP" "$dir/netboot.log"
for server in "${!address[@]}"; do until_true curl_1 "${address[$server]}" 20; done

for round in $(seq "$rounds"); do
  say "round $round of $rounds: server, window, MiB/s"
  for server in netboot tftpd-hpa atftpd; do
    measure "$server" 1 curl_1 "${address[$server]}"
  done
  for windowsize in 16 64; do
    for server in netboot atftpd; do
      measure "$server" "$windowsize" atftp "${address[$server]}" "$windowsize"
    done
  done
done

sort -k 1,2 -k 3n "$dir/seen" | awk -v mib="$mib" -v rounds="$rounds" '
  { all[$1 " " $2, ++count[$1 " " $2]] = $3 }
  function median(what) { return all[what, int((count[what] + 1) / 2)] }
  function show(name, number) { printf ",\"%s\":%.2f", name, number }
  END {
    printf "{\"file_mib\":%d,\"rounds\":%d,\"blksize\":1468", mib, rounds
    hpa = median("tftpd-hpa 1"); atftpd = median("atftpd 1")
    show("w1_ratio", median("netboot 1") / (hpa > atftpd ? hpa : atftpd))
    show("w16_ratio", median("netboot 16") / median("atftpd 16"))
    show("w64_ratio", median("netboot 64") / median("atftpd 64"))
    show("ours_w1_mib_per_s", median("netboot 1"))
    show("tftpd_hpa_w1_mib_per_s", hpa)
    show("atftpd_w1_mib_per_s", atftpd)
    for (w = 16; w <= 64; w += 48) {
      show("ours_w" w "_mib_per_s", median("netboot " w))
      show("atftpd_w" w "_mib_per_s", median("atftpd " w))
    }
    print "}"
  }'
