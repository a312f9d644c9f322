# shellcheck shell=bash
# What is done before anything is shown: installing and building.
: "${hack:?}" "${begun:?}"

# prepare SERVERS ONCE VM: becomes e2e/src/bin/demo.rs.
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
  finish build "metal-operator, boot-operator, netboot, metalman, hosts and the simulator are built"
  if [ -n "$3" ]; then
    # However it ends, the next demo removes what it has not finished.
    TMPDIR=$folder begin discovery "$hack/discovery-image" build "$folder/discovery" --kernel cloud
    finish discovery "the discovery image is built"
    TMPDIR=$folder begin node node_image
    finish node "the netboot image of the node is built"
  fi
  finish control_plane "etcd, kube-apiserver, kube-controller-manager and kubectl are built"
  umask 077
  unset KUBECONFIG
  # It holds the folder, as this shell does.
  BLOOMERY_BIN_DIR=$CARGO_TARGET_DIR/debug exec "$CARGO_TARGET_DIR/debug/demo" --folder "$folder" \
    --network-flags="$flags" --begun "$begun" --servers "$1" ${2:+--once} ${3:+--vm}
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
  cargo build --locked --package metal-operator --package boot-operator --package netboot \
    --package metalman --package hosts --package metal-host --package metal-agent \
    --package kubectl-metal --package metal-simulator --package e2e --bins
}

# node_image: what the virtual machine is installed with: no more than makes it a node.
node_image() {
  "$hack/disk-image" build "$folder/node.img" --small --agent "$CARGO_TARGET_DIR/debug/metal-agent" \
    --kubelet "$CARGO_TARGET_DIR/debug/kubelet-stand-in" &&
    "$hack/netboot-image" build "$folder/node" --disk "$folder/node.img" --kernel cloud
}

# end: nothing is left, but logs of what failed.
end() {
  local status=$?
  trap '' INT HUP TERM
  set +e # The terminal may be gone.
  erase
  end_jobs
  cd /
  [ "$status" -eq 1 ] || rm -rf "$folder"
  tell "everything is ended"
}
