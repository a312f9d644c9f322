# shellcheck shell=bash
# Debian packages, unpacked into the cache and never installed, and the kernels in them.

# apt_options ARCH: how apt reads what there is for an architecture.
apt_options() {
  local lists
  printf '%s\n' -qq -o "APT::Sandbox::User=$(id -un)"
  [ "$1" != "$(dpkg --print-architecture)" ] || return 0
  # Another architecture than this machine's has lists of its own.
  lists=$(cache_root)/discovery-image/lists-$1
  mkdir -p "$lists/partial"
  printf '%s\n' -o "APT::Architecture=$1" -o "APT::Architectures=$1" -o "Dir::State::lists=$lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
}

# update ARCH: once for each run, where something is not found without.
updated=" "
update() {
  local options root=()
  case $updated in *" $1 "*) return 1 ;; esac
  updated+="$1 "
  mapfile -t options < <(apt_options "$1")
  if [ "$1" = "$(dpkg --print-architecture)" ] && [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
  say "reading package lists for $1"
  "${root[@]}" apt-get "${options[@]}" update >&2
}

# candidate PACKAGE ARCH: the version that apt would take.
candidate() {
  local options version
  mapfile -t options < <(apt_options "$2")
  version=$(apt-cache "${options[@]}" policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}')
  if [ -z "$version" ]; then
    update "$2" || die "there is no package $1 for $2"
    version=$(apt-cache "${options[@]}" policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}')
  fi
  [ -n "$version" ] || die "there is no package $1 for $2"
  printf '%s\n' "$version"
}

# package PACKAGE ARCH: prints the folder with its content.
package() {
  local version folder
  version=$(candidate "$1" "$2")
  folder=$(cache_root)/discovery-image/packages/${1}_${version//:/%3a}_$2
  if [ ! -d "$folder" ]; then
    mkdir -p "${folder%/*}"
    (
      flock 9
      [ -d "$folder" ] || fetch "$1" "$version" "$2" "$folder"
    ) 9>"${folder%/*}/lock" >&2 || die "package $1 cannot be fetched"
  fi
  printf '%s\n' "$folder"
}

# fetch PACKAGE VERSION ARCH FOLDER
fetch() {
  local work options
  mapfile -t options < <(apt_options "$3")
  work=$(mktemp -d "${4%/*}/fetch.XXXXXX")
  say "fetching $1 $2"
  (
    # Whoever calls this asks how it ended, so nothing else ends it: half a package must not stay.
    cd "$work" || exit
    # Lists that are older than the mirror name files that are gone.
    apt-get "${options[@]}" download "$1=$2" || { update "$3" && apt-get "${options[@]}" download "$1"; } || exit
    dpkg-deb -x ./*.deb root || exit
    # Which module needs which is found once, for all who build of it.
    for modules in root/lib/modules/* root/usr/lib/modules/*; do
      [ ! -d "$modules" ] || depmod -b "${modules%/lib/modules/*}" "${modules##*/}" || exit
    done
    mv root "$4"
  )
  local result=$?
  rm -rf "$work"
  return "$result"
}

# kernel_package FLAVOUR ARCH: the package behind the one that always depends on the newest.
kernel_package() {
  local meta options
  case $1 in
    cloud) meta=linux-image-cloud-$2 ;;
    generic) meta=linux-image-$2 ;;
    *) die "--kernel is cloud or generic" ;;
  esac
  candidate "$meta" "$2" >/dev/null
  mapfile -t options < <(apt_options "$2")
  apt-cache "${options[@]}" depends "$meta" | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}'
}
