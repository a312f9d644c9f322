# shellcheck shell=bash
# Packages that discovery images are made from, of any architecture: unpacked into the cache; a link with
# the requested name leads to the newest. Needs ../lib.sh and fetch.sh, whose with_lists sets apt's options.
: "${work=}"
lists=()

# fetch_deb PACKAGE ARCH LINK
fetch_deb() {
  local folder=''
  with_lists "$2" newest_deb "$1" "$2" || die_unless_there "$3"
  [ -z "$folder" ] || link "$folder" "$3"
}

# fetch_newer PACKAGE ARCH LINK: of the next Debian, if this is bookworm.
fetch_newer() {
  local folder='' own=''
  [ "$(codename)" = bookworm ] || { fetch_deb "$@" && return; }
  own=$(cache_root)/lists/trixie-$2
  mkdir -p "$own/lists/partial" "$own/archives/partial" "$own/parts"
  suite trixie >"$own/parts/trixie.sources"
  lists=(-qq -o "APT::Sandbox::User=$(id -un)" -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$own/parts"
    -o "APT::Architecture=$2" -o "APT::Architectures=$2" -o "Dir::State::lists=$own/lists" -o "Dir::Cache=$own")
  { read_once "trixie-$2" && newest_deb "$1" "$2"; } >"$work/fetch.log" 2>&1 || die_unless_there "$3"
  [ -z "$folder" ] || link "$folder" "$3"
}

# read_once NAME: reads the package lists of this name that `lists` is about, once in a run.
read_once() {
  case ${read_lists=} in *" $1 "*) return ;; esac
  apt-get "${lists[@]}" update && read_lists+="$1 "
}

# fetch_kernel KIND ARCH: resolves the metapackage, which depends on the newest kernel.
fetch_kernel() {
  local folder='' meta
  case $1 in
    cloud) meta=linux-image-cloud-$2 ;;
    *) meta=linux-image-$2 ;;
  esac
  with_lists "$2" newest_kernel "$meta" "$2" || die_unless_there "kernel:$1:$2"
  [ -z "$folder" ] || link "$folder" "kernel:$1:$2"
}

# newest_kernel META ARCH
newest_kernel() {
  local name
  name=$(apt-cache "${lists[@]}" depends "$1" |
    awk '$1 == "Depends:" && $2 ~ /^linux-image-/ && !name {name = $2} END {print name}')
  [ -n "$name" ] && newest_deb "$name" "$2"
}

# newest_deb PACKAGE ARCH: sets `folder`.
newest_deb() {
  local version new
  version=$(apt-cache "${lists[@]}" policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}')
  [ -n "$version" ] || { say "there is no package $1 for $2" && return 1; }
  folder=$(image_packages)/${1}_${version//:/%3a}_$2
  [ ! -d "$folder" ] || return 0
  mkdir -p "${folder%/*}"
  rm -rf "${folder%/*}"/fetch.??????
  new=$(mktemp -d "${folder%/*}/fetch.XXXXXX")
  if download "$new" "$1=$version" && find_dependencies "$new/root"; then
    mv "$new/root" "$folder"
    rm -rf "$new"
    return
  fi
  rm -rf "$new"
  folder=
  return 1
}

# find_dependencies ROOT: the modules' dependencies are computed once, for all builds.
find_dependencies() {
  local modules
  for modules in "$1"/lib/modules/* "$1"/usr/lib/modules/*; do
    [ ! -d "$modules" ] || depmod -b "${modules%/lib/modules/*}" "${modules##*/}" || return
  done
}

# link FOLDER NAME
link() {
  mkdir -p "$(image_packages)/newest"
  ln -sfn "../${1##*/}" "$(image_packages)/newest/$2"
}

# die_unless_there NAME: if nothing newer can be fetched, the existing package will do.
die_unless_there() {
  [ -d "$(image_packages)/newest/$1/" ] || die "$1 cannot be fetched: the package sources of this machine do not have it"
  say "whether there is a newer $1 cannot be told; what was fetched before is taken"
}
