# shellcheck shell=bash
# The unified kernel image: an EFI program that carries kernel, initial RAM disk and command line.
# shellcheck disable=SC2154 # $hack and $work are of whoever sources this.

# uki ARCH KERNEL INITRD RELEASE CMDLINE OUT
uki() {
  local stub objcopy name parts base end=0 size start at arguments=()
  case $1 in
    amd64) name=linuxx64 ;;
    arm64) name=linuxaa64 ;;
  esac
  stub=$(package "deb:systemd-boot-efi:$1")/usr/lib/systemd/boot/efi/$name.efi.stub
  objcopy=$(gnu "$1")-objcopy
  need "$objcopy"
  parts=$(mktemp -d "$work/uki.XXXXXX")
  printf '%s' "$5" >"$parts/cmdline"
  printf '%s\0' "$4" >"$parts/uname"
  printf 'ID=bloomery\nNAME="Bloomery discovery image"\nVERSION_ID=%s\n' "$4" >"$parts/osrel"
  cp "$2" "$parts/linux"
  cp "$3" "$parts/initrd"
  # Sections are appended after the last one of the stub, each aligned to a page.
  base=$((16#$("${objcopy%objcopy}objdump" -p "$stub" | awk '/^ImageBase/ {print $2}')))
  while read -r size start; do
    at=$((16#$size + 16#$start))
    [ "$at" -le "$end" ] || end=$at
  done < <("${objcopy%objcopy}objdump" -h "$stub" | awk 'NF == 7 && $1 ~ /^[0-9]+$/ {print $3, $4}')
  [ "$end" -gt "$base" ] || die "$stub is no EFI program"
  for name in osrel cmdline uname linux initrd; do
    end=$(((end + 0xfff) & ~0xfff))
    arguments+=(--add-section ".$name=$parts/$name" --change-section-vma ".$name=$(printf 0x%x "$end")")
    end=$((end + $(stat -c %s "$parts/$name")))
  done
  "$objcopy" "${arguments[@]}" "$stub" "$6"
  rm -rf "$parts"
  # objcopy's time stamp and checksum, which firmware ignores.
  at=$(od -An -tu4 -j60 -N4 "$6")
  zero "$6" $((at + 8))
  zero "$6" $((at + 24 + 64))
}

# zero FILE OFFSET: overwrites four bytes.
zero() { printf '\0\0\0\0' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
