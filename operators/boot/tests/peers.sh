#!/usr/bin/env bash
# Reads a medium as others do: peers.sh FOLDER, in which there are medium.iso, uki.efi and credential.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

peers=$(unpacked medium-peers)
PATH=$peers/usr/bin:$peers/usr/sbin:$peers/sbin:$PATH
LD_LIBRARY_PATH=$(echo "$peers"/usr/lib/*-linux-gnu)
export PATH LD_LIBRARY_PATH
cd "$1"

say "xorriso: El Torito for UEFI"
xorriso -indev medium.iso -report_el_torito plain -toc >said 2>&1
grep "Volume id *: 'BLOOMERY'" said
grep 'El Torito boot img *: *1 *UEFI *y' said

say "isoinfo: the one file, which is the file system"
isoinfo -x '/ESP.IMG;1' -i medium.iso >esp.img
tail -c +$((23 * 2048 + 1)) medium.iso | cmp - esp.img

say "fsck.fat: nothing to repair"
fsck.fat -n -v esp.img >said
grep 'FATs, 16 bit entries' said

say "mtools: by the partition of the MBR, byte for byte"
start=$(od -An -tu4 -j454 -N4 medium.iso)
export MTOOLS_SKIP_CHECK=1
esp=(-n -i "medium.iso@@$((start * 512))")
mcopy "${esp[@]}" ::/EFI/BOOT/BOOTX64.EFI read.efi
cmp read.efi uki.efi
mcopy "${esp[@]}" ::/EFI/BOOT/BOOTX64.EFI.extra.d/ignition.config.url.cred read.credential
cmp read.credential credential
