# shellcheck shell=bash
# Installs Debian packages, one run at a time, and after other users of the package manager. Needs
# ../lib.sh, and `work`, a folder of this run.
: "${work=}"

# How long to wait for others, in seconds: their downloads may be slow.
patience=${BLOOMERY_PATIENCE:-900}
# The messages of apt and dpkg about locks that others hold. Without the right to open a lock the message is
# another one.
taken='Could not get lock|is another process using it|lock was locked by another process'

# alone: waits for other runs that use the same cache, and keeps them out until the end.
alone() {
  local lock
  lock=$(cache_root)/prepare.lock
  mkdir -p "${lock%/*}"
  exec 9>>"$lock"
  if ! flock -n 9; then
    say "waiting for process $(cat "$lock"), which is preparing this machine"
    flock -w "$patience" 9 ||
      die "process $(cat "$lock") has been preparing this machine for $patience s; let it end, and run this again"
  fi
  printf '%s\n' $$ >"$lock"
}

# install PACKAGE..
install() {
  local options=(install -y --no-install-recommends)
  become_root "$*"
  say "installing $*"
  apt "${options[@]}" "$@" && return
  # The lists may be missing or old; the server of some of them may be gone.
  apt update || true
  apt "${options[@]}" "$@" && return
  tail -n 20 "$work/apt.log" >&2
  die "$* cannot be installed; install it by hand"
}

# become_root PACKAGES: `as_root` is the command prefix that makes a command run as root.
become_root() {
  has apt-get || die "no apt-get here; install what Debian has in $1"
  as_root=()
  [ "$(id -u)" -ne 0 ] || return 0
  sudo -n true 2>/dev/null || die "packages are missing here; as root: apt-get install --no-install-recommends $1"
  as_root=(sudo -n)
}

# apt WORD..: runs apt-get as root, once nobody else holds the package manager. Its output is in
# $work/apt.log.
#
# apt's own waiting covers only dpkg's lock, not those of the lists and the archives, and does not report
# the holder.
apt() {
  local until=$((SECONDS + patience)) told='' by
  # In its own session, so that Ctrl-C does not interrupt an installation. Daemons that a package starts
  # must not inherit our lock.
  until setsid --wait "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
    apt-get -qq -o DPkg::Lock::Timeout=0 "$@" >"$work/apt.log" 2>&1 </dev/null 9>&-; do
    by=$(grep -E -m 1 "$taken" "$work/apt.log") || return 1
    [ "$SECONDS" -lt "$until" ] ||
      die "another process has had the package manager for $patience s (${by#E: }); let it end, and run this again"
    [ -n "$told" ] || say "waiting for another process: ${by#E: }"
    told=told
    sleep 1
  done
}
