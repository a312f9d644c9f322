# shellcheck shell=bash
# What is done in the network of this machine: installing, building, and moving out of it.
: "${hack:?}"

# prepare SERVERS ONCE VM
prepare() {
  local flags
  folder=$(cache_root)/demo
  take_folder
  trap end EXIT
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  "$hack/prepare" --no-build demo ${3:+vm}
  need_rust
  flags=$(network_flags)
  use_target_dir
  begin control_plane "$hack/control-plane" build
  begin build build
  finish build "metal-operator, boot-operator, netboot and the simulator are built"
  if [ -n "$3" ]; then
    # However it ends, the next demo removes what it has not finished.
    TMPDIR=$folder begin discovery "$hack/discovery-image" build "$folder/discovery" --kernel cloud
    finish discovery "the discovery image is built"
  fi
  finish control_plane "etcd, kube-apiserver, kube-controller-manager and kubectl are built"
  kubectl=$(tail -n 1 "$folder/logs/control_plane.log")/kubectl
  registry=$("$hack/../operators/image/tests/registry.sh")
  export folder kubectl registry
  exec perl "$hack/demo.d/forward.pl" listen unshare "$flags" "$hack/demo" inside "$@"
}

# take_folder: it, and what is in it, is ours alone.
take_folder() {
  (umask 077 && mkdir -p "$folder")
  exec 9<"$folder"
  flock -w 5 9 || die "there is a demo running already; KUBECONFIG is $folder/kubeconfig"
  end_jobs
  "$hack/control-plane" down "$folder/cluster"
  rm -rf "${folder:?}"/*
  mkdir "$folder/logs"
}

# build: the binaries, where use_target_dir says.
build() {
  cd "$hack/.." || return
  cargo build --locked --package metal-operator --package boot-operator \
    --package netboot --package metal-simulator --bins
}
