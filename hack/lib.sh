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

# Everything that is kept between runs, outside of the checkout.
cache_root() {
  printf '%s\n' "${BLOOMERY_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or BLOOMERY_CACHE}/.cache}/bloomery}"
}

# seconds_since MICROSECONDS: one decimal, of a time taken as ${EPOCHREALTIME//[!0-9]/}.
seconds_since() {
  local tenths=$(((${EPOCHREALTIME//[!0-9]/} - $1 + 50000) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# need COMMAND PACKAGE..: installs the Debian packages where there is no such command.
need() {
  local command=$1 root=()
  shift
  ! command -v "$command" >/dev/null 2>&1 || return 0
  command -v apt-get >/dev/null 2>&1 || die "no $command here; install it"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "no $command here; install $*"
    root=(sudo -n)
  fi
  say "installing $* for $command"
  local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@")
  # The lists may be missing or old.
  "${install[@]}" >/dev/null 2>&1 || {
    "${root[@]}" apt-get update -qq >&2 && "${install[@]}" >&2
  } || die "$* cannot be installed; install it by hand for $command"
}

# need_rust: rustup leaves it where not every shell looks.
need_rust() {
  command -v cargo >/dev/null 2>&1 || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  command -v cargo >/dev/null 2>&1 || die "no cargo here; install Rust"
  need cc gcc libc6-dev
}

# use_target_dir: compile into $CARGO_TARGET_DIR, else into the cache, where checkouts share what is
# compiled of others. What is compiled of a checkout itself is thrown away when it is another one's:
# cargo would take it for its own wherever it is newer than the files here.
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

# network_flags: how unshare makes a network namespace here, in which links can be made.
network_flags() {
  local flags
  need ip iproute2
  for flags in -n -Urn; do
    if unshare "$flags" ip link add left type veth peer name right 2>/dev/null; then
      printf '%s\n' "$flags"
      return
    fi
  done
  die "no network namespace can be made here: be root, or allow user namespaces" \
    "(sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)"
}

# started PID: when the process began, in ticks since boot; nothing where it is gone or a zombie.
# With the number it tells a process for ever: numbers are used again.
started() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The name is in brackets and may hold anything.
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && printf '%s\n' "${fields[19]}"
}

# venv NAME: prints the folder of a Python environment with hack/NAME.d/requirements.txt, which is
# installed once from PyPI into the cache; several callers at once are safe. The folder has its name
# before it is complete, because its scripts know it, and the file `complete` last.
venv() {
  local requirements=$hack/$1.d/requirements.txt key folder
  need python3 python3 python3-venv
  python3 -c 'import ensurepip' 2>/dev/null || need "python3 -m venv" python3-venv
  key=$({ python3 --version && cat "$requirements"; } | sha256sum | cut -c 1-16)
  folder=$(cache_root)/$1/$key
  if [ ! -e "$folder/complete" ]; then
    mkdir -p "${folder%/*}"
    (
      flock 9
      [ -e "$folder/complete" ] || fill_venv "$folder" "$requirements"
    ) 9>"$folder.lock" >&2
  fi
  printf '%s\n' "$folder"
}

# fill_venv FOLDER REQUIREMENTS
fill_venv() {
  say "installing ${2#"$hack"/} from PyPI"
  python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$2" ||
    die "what ${2#"$hack"/} names cannot be installed from PyPI"
  touch "$1/complete"
}

# unpacked NAME PACKAGE..: prints the folder that has the Debian packages, unpacked into the cache and
# not installed: so they need no root, and may exclude each other. With a `+` behind its name a package
# brings what it needs and is not installed here. They are fetched once; several callers at once are safe.
unpacked() {
  local name=$1 key folder
  shift
  command -v apt-get >/dev/null 2>&1 || die "no apt-get here, which would fetch $*"
  key=$({ sed -n 's/^VERSION_CODENAME=//p' /etc/os-release && printf '%s\n' "$@"; } | sha256sum | cut -c 1-16)
  folder=$(cache_root)/$name/$key
  if [ ! -d "$folder" ]; then
    mkdir -p "${folder%/*}"
    (
      flock 9
      [ -d "$folder" ] || unpack "$folder" "$@"
    ) 9>"$folder.lock" >&2 || return
  fi
  printf '%s\n' "$folder"
}

# unpack FOLDER PACKAGE..: the folder is there when all of it is. Changes to another folder.
unpack() {
  local folder=$1 work
  shift
  work=$(mktemp -d "$folder.XXXXXX")
  say "fetching $*"
  # Where the lists of this machine are missing or old: some of our own.
  mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
  local apt=(apt-get -qq -o APT::Sandbox::User=)
  local own=("${apt[@]}" -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work")
  cd "$work" &&
    { download "$@" || { apt=("${own[@]}") && "${apt[@]}" update && download "$@"; }; } &&
    find . -maxdepth 1 -name '*.deb' -exec dpkg-deb -x {} root \; &&
    mv root "$folder"
  local result=$?
  rm -rf "$work"
  [ "$result" -eq 0 ] || die "$* cannot be fetched: the package sources of this machine do not have all of it"
}

# download PACKAGE..: into this folder, by the command in `apt`.
download() {
  local package all=() needed
  for package in "$@"; do
    all+=("${package%+}")
    case $package in *+)
      needed=$("${apt[@]}" --simulate --no-install-recommends install "${package%+}") || return
      mapfile -t -O "${#all[@]}" all < <(awk '$1 == "Inst" { print $2 }' <<<"$needed")
      ;;
    esac
  done
  mapfile -t all < <(printf '%s\n' "${all[@]}" | sort -u)
  "${apt[@]}" download "${all[@]}"
}
