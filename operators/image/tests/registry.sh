#!/bin/sh
# Prints the path of Debian's docker-registry. It is fetched once into the cache, and nothing is
# installed; several callers at once are safe. Needs no root.
set -eu

if command -v docker-registry; then
    exit 0
fi
cache=${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bloomery}
binary=$cache/docker-registry/usr/bin/docker-registry

if [ ! -x "$binary" ]; then
    mkdir -p "$cache"
    exec 9>"$cache/docker-registry.lock"
    flock 9
fi
if [ ! -x "$binary" ]; then
    work=$(mktemp -d "$cache/docker-registry.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    if ! apt-get -qq download docker-registry >&2; then
        # A machine without package lists: use some of our own.
        mkdir -p state/lists/partial cache/archives/partial
        set -- -qq -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache" \
            -o Dir::State::status=/var/lib/dpkg/status
        apt-get "$@" update >&2
        apt-get "$@" download docker-registry >&2
    fi
    dpkg-deb -x docker-registry_*.deb root
    rm -rf "$cache/docker-registry"
    mv root "$cache/docker-registry"
fi
echo "$binary"
