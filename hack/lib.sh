# shellcheck shell=bash
# What the scripts in this folder share. Source it; it sets no options of the shell.

# This folder.
# shellcheck disable=SC2034
hack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A line for people, on standard error: standard output belongs to results.
say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# The folder of everything that is kept between runs, outside of the checkout.
cache_root() {
  printf '%s\n' "${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or BLOOMERY_CACHE}/.cache}/bloomery}"
}

# seconds_since MICROSECONDS: one decimal, of a time taken as ${EPOCHREALTIME//[!0-9]/}.
seconds_since() {
  local tenths=$(((${EPOCHREALTIME//[!0-9]/} - $1 + 50000) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# Not every user has the folders of root's commands in their path.
PATH=$PATH:/usr/sbin:/sbin

# has COMMAND: whether there is a command other than a builtin of the shell.
has() { type -P "$1" >/dev/null; }

# need COMMAND: exits if it is missing. Only hack/prepare installs anything, before everything else: if two
# tests did so at the same time, one would fail.
need() { has "$1" || missing "$1"; }

# missing WHAT: exits, and says what to run; WHAT is a name in prepare.d/packages.
missing() {
  local sets
  read -r sets _ < <(listed "$1") || die "no $1 here; install it"
  die "no $1 here; run: hack/prepare ${sets%%,*}"
}

# listed WHAT: its line in the list of packages.
listed() { awk -v what="$1" '!/^#/ && $2 == what' "$hack/prepare.d/packages"; }

# codename: of this Debian.
codename() { (. /etc/os-release && printf '%s' "${VERSION_CODENAME-}"); }

# need_cargo: rustup's folder is not in every shell's path.
need_cargo() {
  has cargo || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  has cargo || die "no cargo here; install Rust"
}

# need_rust: everything that Rust needs to compile.
need_rust() {
  need_cargo
  need cc
}

# use_target_dir: compile into $CARGO_TARGET_DIR, else into the cache, where all checkouts share compiled
# dependencies. Compiled crates of another checkout are removed, as cargo would use them if they are newer
# than the files here.
use_target_dir() {
  local here mark kind
  CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(cache_root)/target/$(rustc --version | cut -d ' ' -f 2)}
  export CARGO_TARGET_DIR
  here=$(cd "$hack/.." && pwd)
  mark=$CARGO_TARGET_DIR/checkout
  [ "$(cat "$mark" 2>/dev/null)" != "$here" ] || return 0
  mkdir -p "$CARGO_TARGET_DIR"
  for kind in dev release probe "probe --target $(rustc -vV | sed -n 's/^host: //p')"; do
    # shellcheck disable=SC2086 # words of their own
    (cd "$here" && cargo clean --quiet --locked --workspace --profile $kind) || return
  done
  printf '%s\n' "$here" >"$mark"
}

# network_flags: the flags with which unshare makes a network namespace that can have links.
network_flags() {
  local flags
  need ip
  for flags in -n -Urn; do
    if unshare "$flags" ip link add left type veth peer name right 2>/dev/null; then
      printf '%s\n' "$flags"
      return
    fi
  done
  die "no network namespace can be made here: be root, or allow user namespaces" \
    "(sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)"
}

# started PID: when the process began, in ticks since boot; nothing if it is gone or a zombie. Together with
# the pid this identifies a process, as pids are reused.
started() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The name is in brackets and may contain anything.
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && printf '%s\n' "${fields[19]}"
}

# venv NAME: prints the folder of the Python environment with hack/NAME.d/requirements.txt.
venv() {
  local folder
  need python3
  folder=$(venv_folder "$1")
  [ -e "$folder/complete" ] || missing "venv:$1"
  printf '%s\n' "$folder"
}

# venv_folder NAME: where it is, or would be.
venv_folder() {
  local key
  key=$({ python3 --version && cat "$hack/$1.d/requirements.txt"; } | sha256sum | cut -c 1-16)
  printf '%s\n' "$(cache_root)/$1/$key"
}

# unpacked NAME: prints the folder in which the Debian packages of that name are unpacked.
unpacked() {
  local folder
  folder=$(unpacked_folder "$1")
  [ -d "$folder" ] || missing "unpacked:$1"
  printf '%s\n' "$folder"
}

# unpacked_folder NAME: where it is, or would be.
unpacked_folder() {
  local key
  # Only the packages count: another set with the same packages has the same folder.
  key=$({ codename && listed "unpacked:$1" | sed -E 's/^[^ ]+ +[^ ]+ +//'; } | sha256sum | cut -c 1-16)
  printf '%s\n' "$(cache_root)/$1/$key"
}

# image_packages: the folder that has the packages of discovery images.
image_packages() { printf '%s\n' "$(cache_root)/discovery-image/packages"; }

# disk_folder: where the Debian of disk images is, or would be: root.ext4, vmlinuz, initrd and release.
disk_folder() {
  local key
  key=$({ codename && listed disk && cat "$hack/disk-image.d/setup"; } | sha256sum | cut -c 1-16)
  printf '%s\n' "$(cache_root)/disk-image/$key"
}

# newer_firmware: prints the folder with the OVMF of the next Debian; fails where it is missing.
newer_firmware() {
  local package
  [ "$(codename)" = bookworm ] || { printf '/usr/share/OVMF\n' && return; }
  for package in "$(cache_root)"/ovmf/ovmf_*; do
    [ ! -d "$package" ] || { printf '%s\n' "$package/usr/share/OVMF" && return; }
  done
  return 1
}
