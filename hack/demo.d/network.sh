# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154,SC2164 # a part of hack/demo, which sets -e and names the others
# Two networks between the operators and the rack: one for the BMCs, one that the servers boot from.

# links: the rack gets a network namespace of its own, with the other ends of both.
links() {
  local since=${EPOCHREALTIME//[!0-9]/} name
  ln -s "$(command -v sleep)" bin/sleep
  spawn rack unshare -n "$PWD/bin/sleep" infinity
  rack=$(<rack.pid)
  until [ "$(readlink "/proc/$rack/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
  for name in oob boot; do
    ip link add "$name" type veth peer name "$name" netns "$rack"
    ip link set "$name" up
    in_rack ip link set "$name" up
  done
  ip address add 10.77.0.1/16 dev oob
  ip address add 10.78.0.1/16 dev boot
  in_rack ip link set lo up
  in_rack ip address add 10.77.0.2/16 dev oob
  in_rack ip address add 10.78.0.2/16 dev boot
  # Whatever netboot gives out is an address of the rack (netboot.yaml).
  in_rack ip route add local 10.77.128.0/17 dev lo
  in_rack ip route add local 10.78.128.0/17 dev lo
  done_in "$since" "networks are there: 10.77.0.0/16 for BMCs, 10.78.0.0/16 to boot from"
}

# in_rack COMMAND..
in_rack() { nsenter --net="/proc/$rack/ns/net" "$@"; }
