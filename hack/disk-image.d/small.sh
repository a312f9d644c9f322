# shellcheck shell=bash
# A disk without Debian: the kernel, an initial RAM disk that starts metal-agent and the kubelet, and a root file
# system with these two, the libraries that they need, and a place for what the installer leaves.
# shellcheck disable=SC2154 # $hack and $work are of whoever sources this.

# small_root OUT: $work/agent and $work/kubelet.
small_root() {
  local tree=$work/tree program size
  mkdir -p "$tree"/{dev,etc/cloud,proc,sys,tmp,usr/local/bin,var/lib/kubelet}
  install -m 755 "$work/agent" "$tree/usr/local/bin/metal-agent"
  install -m 755 "$work/kubelet" "$tree/usr/local/bin/kubelet"
  for program in "$work/agent" "$work/kubelet"; do libraries "$program" "$tree"; done
  size=$(du -s --block-size=1M "$tree" | cut -f 1)
  mke2fs -q -t ext4 -L root -m 0 -E root_owner=0:0 -d "$tree" "$1" "$((size * 5 / 4 + 32))M"
}

# libraries PROGRAM TREE: those that it is linked to, at the places where it looks for them.
libraries() {
  local library
  while read -r library; do
    mkdir -p "$2${library%/*}"
    cp -L "$library" "$2$library"
  done < <(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+')
}

# small_uki OUT
small_uki() {
  local kernel base release root busybox
  kernel=$(package kernel:cloud:amd64)
  busybox=$(unpacked dhcp-clients)
  busybox=$(find "$busybox" -path '*bin/busybox' | head -n 1)
  base=$kernel
  [ -d "$base/lib/modules" ] || base=$kernel/usr
  release=$(basename "$base"/lib/modules/*)
  root=$(mktemp -d "$work/initrd.XXXXXX")
  mkdir -p "$root"/{bin,dev,etc,proc,root,sys} "$root/lib/modules/$release"
  install -m 755 "$busybox" "$root/bin/busybox"
  install -m 755 "$hack/disk-image.d/small/init" "$root/init"
  install -m 755 "$hack/disk-image.d/small/udhcpc" "$root/etc/udhcpc"
  install -m 644 "$hack/disk-image.d/small/modules" "$root/etc/modules"
  modules_list=$hack/disk-image.d/small/modules add_modules "$base" "$release" "$root/lib/modules/$release"
  pack "$root" "$work/initrd"
  uki amd64 "$kernel/boot/vmlinuz-$release" "$work/initrd" "$release" \
    "console=tty0 console=ttyS0,115200 loglevel=4 panic=60" "$1"
}
