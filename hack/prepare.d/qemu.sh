# shellcheck shell=bash
# Replacements for what is too old in Debian 12: QEMU 7.2, and an OVMF that cannot boot by HTTPS. QEMU is
# installed from the backports; the next Debian's OVMF is only unpacked, beside the installed one. This
# machine's package sources are not changed. Needs ../lib.sh, install.sh, and `work`, a folder of this run.
: "${work=}"

# suite NAME: a package source for another suite, from the same mirror as this Debian's.
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

# fetch_newer_firmware: to where newer_firmware looks for it.
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
    # The caller tests the exit status, so `set -e` has no effect in here.
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
