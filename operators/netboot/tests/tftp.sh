#!/usr/bin/env bash
# Lets curl, atftp and tftp-hpa get boot files from netboot. Everything happens in namespaces that
# end with this script; what was seen is printed, a word and a value per line.
#
#     tftp.sh NETBOOT PEERS DIR
#
#       client ── eth0   10.77.0.1 netboot, 10.77.0.2 as well
set -euo pipefail

# shellcheck source=inside.sh
. "${0%/*}/inside.sh"

[ "$1" = inside ] || enter "$@"
netboot=$2 peers=$3 dir=$4
PATH=$PATH:/usr/sbin:/sbin
LD_LIBRARY_PATH=$(echo "$peers"/usr/lib/*-linux-gnu "$peers"/lib/*-linux-gnu | tr ' ' :)

client=""
namespace client
in_client() {
    nsenter -t "$client" -n env "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" timeout 60 "$@" >>"$dir/client.log" 2>&1
}

# Whether what a client got is the file, and how the client ended where it got nothing.
seen() {
    local word=$1 file=$2 code=0
    shift 2
    rm -f "$dir/got"
    in_client "$@" || code=$?
    if [ "$code" = 0 ] && cmp "$dir/got" "$dir/root/$file" >>"$dir/client.log" 2>&1; then
        echo "$word same"
    else
        echo "$word $code"
    fi
}

mkdir "$dir/root"
cp "$peers"/usr/lib/ipxe/{undionly.kpxe,snponly.efi} "$dir/root"
cp "$dir/root/snponly.efi" "$dir/root/v6.efi"
# Enough for block numbers to go round with blocks of 512 bytes, and a last block that is empty.
head -c 41943040 /dev/urandom >"$dir/root/uki.efi"
cat >"$dir/netboot.yaml" <<YAML
interfaces: [s0]
subnets: []
boot: { bios: undionly.kpxe, uefi: snponly.efi, arm64: /uki.efi }
tftp: { root: "$dir/root", listen: [0.0.0.0, "::"] }
dhcp6:
  interfaces: [s0]
  subnets: []
  boot: { uefi: "tftp://[fd00:77::1]/v6.efi", arm64: "tftp://[fd00:77::5]/elsewhere.efi" }
YAML

ip link set lo up
ip link add s0 type veth peer name eth0 netns "$client"
ip addr add 10.77.0.1/24 dev s0
ip addr add 10.77.0.2/24 dev s0
ip link set s0 up
ip addr add fd00:77::1/64 dev s0 nodad
nsenter -t "$client" -n ip link set lo up
nsenter -t "$client" -n ip addr add 10.77.0.9/24 dev eth0
nsenter -t "$client" -n ip link set eth0 up
nsenter -t "$client" -n ip addr add fd00:77::9/64 dev eth0 nodad

"$netboot" --config "$dir/netboot.yaml" --no-endpoints \
    --metrics-bind-address 127.0.0.1:8080 --health-probe-bind-address 127.0.0.1:8081 \
    >"$dir/netboot.log" 2>&1 &
server=$!
until_true grep -q "serving TFTP" "$dir/netboot.log"

curl=(curl -sS -o "$dir/got")
seen curl-512 uki.efi "${curl[@]}" tftp://10.77.0.1/uki.efi
seen curl-1468 uki.efi "${curl[@]}" --tftp-blksize 1468 tftp://10.77.0.1/uki.efi
seen curl-65464 snponly.efi "${curl[@]}" --tftp-blksize 65464 tftp://10.77.0.1/snponly.efi
seen curl-plain undionly.kpxe "${curl[@]}" --tftp-no-options tftp://10.77.0.1/undionly.kpxe
# The client takes answers from the address that it asked alone.
seen second-address snponly.efi "${curl[@]}" tftp://10.77.0.2/snponly.efi
seen v6 snponly.efi "${curl[@]}" --globoff --tftp-blksize 1468 "tftp://[fd00:77::1]/snponly.efi"
seen v6-own v6.efi "${curl[@]}" --globoff "tftp://[fd00:77::1]/v6.efi"
seen v6-elsewhere none "${curl[@]}" --globoff "tftp://[fd00:77::1]/elsewhere.efi"

atftp=("$peers/usr/bin/atftp" --option "blksize 1468" --option "tsize 0")
for windowsize in 1 4 16 64; do
    seen "atftp-$windowsize" uki.efi "${atftp[@]}" --option "windowsize $windowsize" \
        --get --remote-file uki.efi --local-file "$dir/got" 10.77.0.1
done
seen tftp-hpa snponly.efi "$peers/usr/bin/tftp" -m binary 10.77.0.1 -c get snponly.efi "$dir/got"

# What is refused, by what curl makes of it: 68 file not found, 69 access violation.
seen unknown none "${curl[@]}" tftp://10.77.0.1/pxelinux.0
seen absolute none "${curl[@]}" tftp://10.77.0.1//etc/passwd
seen upwards none "${curl[@]}" --path-as-is tftp://10.77.0.1/../netboot.yaml
seen write none curl -sS -T "$dir/netboot.yaml" tftp://10.77.0.1/uki.efi
rm "$dir/root/snponly.efi"
ln -s /etc/passwd "$dir/root/snponly.efi"
seen link none "${curl[@]}" tftp://10.77.0.1/snponly.efi
rm "$dir/root/undionly.kpxe"
mkdir "$dir/root/undionly.kpxe"
seen folder none "${curl[@]}" tftp://10.77.0.1/undionly.kpxe
echo "told $(grep -c 'refused a file request client=10.77.0.9:[0-9]* file="[^"]*" refusal=' "$dir/netboot.log" || true)"

metric() { curl -sS --max-time 10 http://127.0.0.1:8080/metrics | sed -n "s/^netboot_tftp_$1 //p"; }
until_true curl -fsS --max-time 10 http://127.0.0.1:8081/readyz
echo "ready $(grep -c '^.+. tftp' "$dir/wait" || true)"
echo "transfers $(metric 'transfers_total{result="Done"}')"
echo "active $(metric active_transfers)"
echo "not-found $(metric 'errors_total{code="FileNotFound"}')"
echo "violations $(metric 'errors_total{code="AccessViolation"}')"

kill "$server"
until_true grep -q "shutting down" "$dir/netboot.log"
wait "$server"
echo "ended $?"
