# shellcheck shell=bash
# What images for machines have in common: the discovery image, the netboot image, and the disk image of
# tests. Needs ../lib.sh.
: "${hack:?}"

# gnu ARCH: what GNU and Rust call it.
gnu() {
  case $1 in
    amd64) printf 'x86_64-linux-gnu\n' ;;
    arm64) printf 'aarch64-linux-gnu\n' ;;
    *) die "--arch is amd64 or arm64" ;;
  esac
}

# static_binary PACKAGE ARCH [BINARY]: builds it, static and small, and prints where it is.
static_binary() {
  local triple binary=${3-$1}
  triple=$(gnu "$2") && triple=${triple/-linux/-unknown-linux}
  need_rust
  use_target_dir
  say "building $binary for $triple"
  (
    cd "$hack/.."
    # What cargo tells the tests that it runs is not for the cargo below: build scripts would run again, and
    # much be compiled again.
    unset "${!CARGO_PKG_@}" "${!CARGO_MANIFEST_@}"
    # For this target alone: build scripts stay as they are.
    export "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_RUSTFLAGS=-C target-feature=+crt-static"
    cargo build --quiet --locked --profile probe --target "$triple" -p "$1" --bin "$binary"
  ) >&2 || die "$binary cannot be built for $triple"
  printf '%s\n' "$CARGO_TARGET_DIR/$triple/probe/$binary"
}

# serial ARCH: the argument for the usual serial line.
serial() {
  case $1 in
    amd64) printf 'console=ttyS0,115200' ;;
    arm64) printf 'console=ttyAMA0,115200' ;;
  esac
}

# package NAME: prints the folder with its content, as it was when this began.
package() {
  local folder
  folder=$(readlink -e "$(image_packages)/newest/$1") || missing "$1"
  printf '%s\n' "$folder"
}
