# shellcheck shell=bash
# What Debian 12 has of an age that is too old: QEMU 7.2, and an OVMF that does not boot by HTTPS. QEMU is
# taken from its backports; the OVMF of the next Debian is unpacked and not installed, beside that of this
# one. The package sources of this machine stay as they are.
# Needs ../lib.sh, install.sh, and `work`, a folder of this run's own.
: "${work=}"

# suite NAME: a source of packages of another suite than this Debian's, from where that comes from.
suite() {
  local base
  # shellcheck disable=SC2016 # apt-get's own.
  base=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 2>/dev/null |
    sed -n "s/ $(codename) main\$//p" | head -n 1) || true
  [ -n "$base" ] || die "the package sources name no $(codename), so there is no $1"
  cat <<SOURCES
Types: deb
URIs: $base
Suites: $1
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
}

# install_qemu PACKAGE..
install_qemu() {
  local code parts=$work/parts
  if [ "$(codename)" != bookworm ]; then
    install "$@"
    return
  fi
  code=$(codename)-backports
  become_root "-t $code $*"
  mkdir -p "$parts" "$work/lists/partial"
  cp /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list "$parts" 2>/dev/null || true
  suite "$code" >"$parts/backports.sources"
  chmod -R a+rX "$work"
  local sources=(-o "Dir::Etc::sourceparts=$parts" -o "Dir::State::lists=$work/lists")
  say "installing $* from $code"
  if ! { apt "${sources[@]}" update && apt "${sources[@]}" install -y --no-install-recommends -t "$code" "$@"; }; then
    tail -n 20 "$work/apt.log" >&2
    die "$* cannot be installed from $code; install it by hand"
  fi
}

# fetch_newer_firmware: where newer_firmware looks for it.
fetch_newer_firmware() {
  local cache new package
  cache=$(cache_root)/ovmf
  mkdir -p "$cache"
  rm -rf "$cache"/new.??????
  new=$(mktemp -d "$cache/new.XXXXXX")
  mkdir -p "$new/lists/partial" "$new/archives/partial" "$new/parts"
  suite trixie >"$new/parts/trixie.sources"
  say "fetching ovmf of trixie"
  (
    # Whoever calls this asks how it ended, so nothing else ends it.
    apt=(apt-get -qq -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$new/parts"
      -o "Dir::State::lists=$new/lists" -o "Dir::Cache=$new" -o "APT::Sandbox::User=$(id -un)")
    cd "$new" && "${apt[@]}" update && "${apt[@]}" download ovmf || exit
    package=$(echo ovmf_*.deb)
    dpkg-deb -x "$package" root && mv root "$cache/${package%.deb}"
  ) >"$new/log" 2>&1 || {
    tail -n 20 "$new/log" >&2
    die "ovmf of trixie cannot be fetched"
  }
  rm -rf "$new"
}
