# shellcheck shell=bash
# Debian packages, installed by one at a time, and after whoever else is installing.
# Needs ../lib.sh, and `work`, a folder of this run's own.
: "${work=}"

# How long to wait for others, in seconds: they may be fetching a lot on a slow line.
patience=${BLOOMERY_PATIENCE:-900}
# What apt and dpkg say when it is others that they wait for. Whoever may not open the lock is told something else.
taken='Could not get lock|is another process using it|lock was locked by another process'

# alone: waits for others who prepare this machine, by the same cache, and keeps them out until the end.
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
  # The lists may be missing or old; some of them may be of somebody whose server is gone.
  apt update || true
  apt "${options[@]}" "$@" && return
  tail -n 20 "$work/apt.log" >&2
  die "$* cannot be installed; install it by hand"
}

# become_root PACKAGES: `as_root` is what makes root of a command.
become_root() {
  has apt-get || die "no apt-get here; install what Debian has in $1"
  as_root=()
  [ "$(id -u)" -ne 0 ] || return 0
  sudo -n true 2>/dev/null || die "packages are missing here; as root: apt-get install --no-install-recommends $1"
  as_root=(sudo -n)
}

# apt WORD..: apt-get as root, once nobody else has the package manager. What it said is in $work/apt.log.
#
# Its own way to wait is for dpkg alone, and not for whoever has the lists or the archives, and does not
# tell by whom it is kept.
apt() {
  local until=$((SECONDS + patience)) told='' by
  # In a session of its own, where Ctrl-C leaves nothing half installed. What a package starts must not
  # keep our lock.
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
