#!/usr/bin/env bash
# Prints the folder that has Debian's dhclient, dhcrelay and dhcpd, unpacked and not installed.
# Downloads them once; several may ask at once.
set -euo pipefail

cache=${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bloomery}/dhcp-peers
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

packages=(isc-dhcp-client isc-dhcp-relay isc-dhcp-server)
root=$cache/peers-${#packages[@]}
if [ ! -d "$root" ]; then
    new=$(mktemp -d "$cache/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # Package lists of our own, so that this works without root, and where there are none yet.
    mkdir -p "$new/lists/partial" "$new/archives/partial" "$new/root"
    apt=(apt-get -q -o "Dir::State::lists=$new/lists" -o "Dir::Cache=$new" -o APT::Sandbox::User=)
    (
        cd "$new"
        apt-get -q -o APT::Sandbox::User= download "${packages[@]}" ||
            { "${apt[@]}" update && "${apt[@]}" download "${packages[@]}"; }
        for package in ./*.deb; do
            dpkg-deb -x "$package" root
        done
    ) >&2
    mv "$new/root" "$root"
fi
echo "$root"
