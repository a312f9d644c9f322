#!/usr/bin/env bash
# Prints the folder that has Debian's dhclient and dhcrelay, unpacked and not installed. Downloads
# them once; several may ask at once.
set -euo pipefail

cache=${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bloomery}/dhcp-peers
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

if [ ! -d "$cache/root" ]; then
    new=$(mktemp -d "$cache/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # Package lists of our own, so that this works without root, and where there are none yet.
    mkdir -p "$new/lists/partial" "$new/archives/partial" "$new/root"
    apt=(apt-get -q -o "Dir::State::lists=$new/lists" -o "Dir::Cache=$new" -o APT::Sandbox::User=)
    (
        cd "$new"
        apt-get -q -o APT::Sandbox::User= download isc-dhcp-client isc-dhcp-relay ||
            { "${apt[@]}" update && "${apt[@]}" download isc-dhcp-client isc-dhcp-relay; }
        for package in ./*.deb; do
            dpkg-deb -x "$package" root
        done
    ) >&2
    mv "$new/root" "$cache/root"
fi
echo "$cache/root"
