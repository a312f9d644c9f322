# shellcheck shell=bash
# The disk image of tests, before their programs are in it: a small Debian with systemd and cloud-init. Needs
# ../lib.sh, install.sh and `work`, a folder of this run. hack/disk-image makes disks of it.
# shellcheck disable=SC2154 # as_root is set by become_root.
: "${hack:?}" "${work=}"

# fetch_disk PACKAGE..: as root, because its files belong to root.
fetch_disk() {
  local folder new sources
  folder=$(disk_folder)
  mkdir -p "${folder%/*}"
  # We hold the lock, so these are of other versions, or of a process that was killed.
  rm -rf --one-file-system "$(cache_root)"/disk-image/*
  new=$(mktemp -d "$folder.XXXXXX")
  become_root "mmdebstrap e2fsprogs"
  # shellcheck disable=SC2016 # apt-get's own.
  sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | sort -u)
  [ -n "$sources" ] || die "apt has read no lists of Debian; run apt-get update"
  say "installing a small Debian into a disk image, which takes minutes"
  apt-config dump | grep -E '^Acquire::(http|https|Check-Date|Check-Valid-Until|Retries|ForceIPv[46])[: ]' >"$new/apt.conf" || true
  if ! { disk_root "$new" "$@" <<<"$sources" && disk_files "$new"; } >"$new/log" 2>&1; then
    tail -n 20 "$new/log" >&2
    "${as_root[@]}" rm -rf --one-file-system "$new"
    die "there is no disk image"
  fi
  mv -T "$new" "$folder"
}

# disk_root FOLDER PACKAGE..: installs it to FOLDER/root; the package sources are on standard input.
disk_root() {
  local folder=$1 bin include exclude options=()
  shift
  bin=$(unpacked mmdebstrap)/usr/bin
  include=$(IFS=, && printf '%s' "$*")
  for exclude in doc man info locale i18n lintian; do
    options+=("--dpkgopt=path-exclude=/usr/share/$exclude/*")
  done
  "${as_root[@]}" env "PATH=$bin:$PATH" unshare --mount --pid --fork --kill-child --mount-proc -- "$bin/mmdebstrap" \
    --mode=root --variant=minbase --quiet --aptopt="$folder/apt.conf" "${options[@]}" --include="$include" \
    --essential-hook="sh -e $hack/disk-image.d/setup before \"\$1\"" --customize-hook="sh -e $hack/disk-image.d/setup after \"\$1\"" \
    "$(codename)" "$folder/root" -
}

# disk_files FOLDER: what disks are made of, from FOLDER/root, which is removed.
disk_files() {
  local folder=$1 kernel size
  kernel=$(echo "$folder"/root/boot/vmlinuz-*)
  printf '%s\n' "${kernel##*/vmlinuz-}" >"$folder/release"
  "${as_root[@]}" cp "$kernel" "$folder/vmlinuz" || return
  "${as_root[@]}" cp "$folder/root/boot/initrd.img-${kernel##*/vmlinuz-}" "$folder/initrd" || return
  "${as_root[@]}" rm -rf "$folder"/root/boot/* || return
  # A quarter for file system and programs; the partition grows to the size of the disk.
  size=$("${as_root[@]}" du -s --block-size=1M "$folder/root" | cut -f 1) || return
  truncate -s "$((size * 5 / 4 + 32))M" "$folder/root.ext4" || return
  "${as_root[@]}" mke2fs -q -t ext4 -L root -m 0 -d "$folder/root" "$folder/root.ext4" || return
  "${as_root[@]}" rm -rf --one-file-system "$folder/root" || return
  "${as_root[@]}" chown -R "$(id -u)" "$folder"
}
