# shellcheck shell=bash
# Two networks between the operators and the rack: one for the BMCs, one that the servers boot from.

# links: the rack gets a network namespace of its own, with the other ends of both.
links() {
  local since=${EPOCHREALTIME//[!0-9]/} name
  ln -s "$(command -v sleep)" bin/sleep
  spawn rack unshare -n "$PWD/bin/sleep" infinity
  rack=$(<rack.pid)
  until [ "$(readlink "/proc/$rack/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
  for name in oob boot; do
    if [ "$vm$name" = vmboot ]; then
      ip link add boot type veth peer name uplink netns "$rack"
      bridge uplink tap0
    else
      ip link add "$name" type veth peer name "$name" netns "$rack"
    fi
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
  # Except where a virtual machine answers for itself.
  [ -n "$vm" ] || in_rack ip route add local 10.78.128.0/17 dev lo
  done_in "$since" "networks are there: 10.77.0.0/16 for BMCs, 10.78.0.0/16 to boot from"
}

# bridge UPLINK TAP: the network to boot from goes on to a virtual machine.
bridge() {
  local name
  in_rack ip link add boot type bridge
  in_rack ip tuntap add dev "$2" mode tap
  for name in "$1" "$2"; do
    in_rack ip link set "$name" master boot
    in_rack ip link set "$name" up
  done
}

# in_rack COMMAND..
in_rack() { nsenter --net="/proc/$rack/ns/net" "$@"; }
