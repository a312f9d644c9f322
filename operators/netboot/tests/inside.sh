# shellcheck shell=bash disable=SC2154 # dir is the script's
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
