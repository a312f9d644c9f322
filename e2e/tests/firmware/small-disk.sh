#!/usr/bin/env bash
# Writes a disk image for tests, compressed by zstd, to the file $1: a GPT with one partition of 24 MiB, and
# in it a root file system on which there is the folder /etc/$2, and nothing else; without $2 it is /etc/cloud, the
# place for cloud-init. Nothing can be booted from it.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

# A test reads with debugfs what was written.
for tool in zstd mke2fs sfdisk debugfs; do need "$tool"; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/etc/${2-cloud}"
mke2fs -q -t ext4 -d "$work/tree" -E root_owner=0:0 "$work/root" 24M
truncate -s 32M "$work/disk"
printf 'label: gpt\nstart=1MiB, size=24MiB, type=linux\n' | sfdisk --quiet "$work/disk"
dd if="$work/root" of="$work/disk" bs=1M seek=1 conv=notrunc status=none
zstd -q --no-progress "$work/disk" -o "$1"
