#!/usr/bin/env bash
# Prints the folder that has Debian's TFTP clients and servers and its iPXE, unpacked and not
# installed. Downloads them once; several may ask at once.
set -euo pipefail

cache=${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bloomery}/tftp-peers
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

if [ ! -d "$cache/root" ]; then
    new=$(mktemp -d "$cache/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # Package lists of our own, so that this works without root, and where there are none yet.
    mkdir -p "$new/lists/partial" "$new/archives/partial" "$new/root"
    apt=(apt-get -q -o "Dir::State::lists=$new/lists" -o "Dir::Cache=$new" -o APT::Sandbox::User=)
    # The two servers cannot be installed side by side; unpacked they can lie there.
    packages=(atftp tftp-hpa atftpd tftpd-hpa ipxe libreadline8 libtinfo6 libpcre2-8-0 libwrap0
        libnsl2 libtirpc3 libgssapi-krb5-2)
    (
        cd "$new"
        apt-get -q -o APT::Sandbox::User= download "${packages[@]}" ||
            { "${apt[@]}" update && "${apt[@]}" download "${packages[@]}"; }
        for package in ./*.deb; do
            dpkg-deb -x "$package" root
        done
    ) >&2
    mv "$new/root" "$cache/root"
fi
echo "$cache/root"
