# shellcheck shell=bash disable=SC2154 # dir is the script's; `namespace` sets the others
# What the scripts of this folder share. Source it with `dir` set to a folder with their logs.

# A script begins once more in namespaces that end with it, where its first word is `inside`.
enter() {
    local user=()
    [ "$(id -u)" = 0 ] || user=(--user --map-root-user)
    exec unshare "${user[@]}" --net --mount --pid --mount-proc --fork --kill-child -- \
        "$0" inside "$@"
}

# until_true COMMAND..: tries it 1,200 times, or as often as `tries` says, twenty times in a second.
until_true() {
    for _ in $(seq "${tries:-1200}"); do
        if "$@" >"$dir/wait" 2>&1; then return; fi
        sleep 0.05
    done
    echo "waited in vain: $*" >&2
    cat "$dir"/*.log >&2
    exit 1
}

is_gone() { ! kill -0 "$1"; }

# pid_of NAME: of a dhclient, which writes it once it is in the background.
pid_of() {
    until_true test -s "$dir/$1.pid"
    cat "$dir/$1.pid"
}
is_apart() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

# namespace NAME: a network namespace, by the process that holds it.
namespace() {
    unshare --net sleep infinity &
    until_true is_apart $!
    nsenter -t $! -n ip link set lo up
    printf -v "$1" %s $!
}

in_() { local holder=$1; shift; nsenter -t "$holder" -n "$@"; }

# has_link_local NAMESPACE LINK
has_link_local() { in_ "$1" ip -6 address show dev "$2" scope link -tentative | grep -q inet6; }

# client_and_relay FAMILY..: a client at our link s0 and, at s1, a relay with another client behind it, in the
# namespaces `client`, `relay` and `remote`; with addresses of these families, v4 or v6.
client_and_relay() {
    local family
    namespace client
    namespace relay
    namespace remote
    ip link set lo up
    ip link add s0 type veth peer name eth0 netns "$client"
    ip link add s1 type veth peer name up0 netns "$relay"
    in_ "$relay" ip link add down0 type veth peer name eth0 netns "$remote"
    ip link set s0 up
    ip link set s1 up
    in_ "$relay" ip link set up0 up
    in_ "$relay" ip link set down0 up
    in_ "$client" ip link set eth0 up
    in_ "$remote" ip link set eth0 up
    for family in "$@"; do "addresses_$family"; done
}

addresses_v4() {
    ip addr add 10.77.0.1/24 dev s0
    ip addr add 10.90.0.1/24 dev s1
    in_ "$relay" ip addr add 10.90.0.2/24 dev up0
    in_ "$relay" ip addr add 10.88.0.1/24 dev down0
    ip route add 10.88.0.0/24 via 10.90.0.2
}

addresses_v6() {
    ip addr add fd77::1/64 dev s0 nodad
    ip addr add fd90::1/64 dev s1 nodad
    in_ "$relay" ip addr add fd90::2/64 dev up0 nodad
    in_ "$relay" ip addr add fd88::1/64 dev down0 nodad
    until_true has_link_local "$$" s0
    until_true has_link_local "$$" s1
    until_true has_link_local "$client" eth0
    until_true has_link_local "$relay" up0
    until_true has_link_local "$relay" down0
    until_true has_link_local "$remote" eth0
}
