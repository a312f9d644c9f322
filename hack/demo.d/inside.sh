# shellcheck shell=bash
# What is done in the network of the demo.
: "${hack:?}" "${begun:?}" "${folder=}" "${kubectl=}"

# inside SERVERS ONCE VM
inside() {
  # shellcheck disable=SC2034 # read by those that it calls
  local servers=$1 once=$2 vm=$3
  trap end EXIT
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  umask 077
  unset KUBECONFIG
  ip link set lo up
  begin cluster separate "$hack/control-plane" up "$folder/cluster" --owner $$
  finish cluster "control plane is up"
  KUBECONFIG=$(tail -n 1 "$folder/logs/cluster.log")
  export KUBECONFIG
  # Processes started here end with the control plane, however this script ends.
  cd "$folder/cluster/scratch" || return
  open_to_the_outside
  links
  install
  start_registry
  start_operators
  documents
  discover
  claim_and_release
  if [ -n "$once" ]; then
    done_in "$begun" "all of it"
  else
    stay
  fi
}

# separate COMMAND..: without what only this script may hold open.
separate() (
  exec 9<&- {LISTENER}<&-
  exec "$@"
)

# end: nothing is left, but logs of what failed.
end() {
  local status=$?
  trap '' INT HUP TERM
  set +e # The terminal may be gone.
  erase
  end_jobs
  if [ "$status" -eq 1 ]; then
    cp "$folder"/cluster/scratch/*.log "$folder/cluster"/*.log "$folder/logs" 2>/dev/null || true
    say "hack/demo: all logs are in $folder/logs"
  fi
  cd /
  "$hack/control-plane" down "$folder/cluster"
  rm -f "$folder/kubeconfig"
  [ "$status" -eq 1 ] || rm -rf "$folder"
  tell "everything is ended"
}

# open_to_the_outside: the API server gets a port on loopback of this machine.
open_to_the_outside() {
  local inner
  inner=$(api_server)
  mkdir bin
  ln -s "$hack/demo.d/forward.pl" bin/forward
  # shellcheck disable=SC2153 # Both are from forward.pl.
  spawn forward "$PWD/bin/forward" accept "$LISTENER" "${inner##*:}"
  exec {LISTENER}<&-
  sed "s#$inner#https://127.0.0.1:$LISTENER_PORT#" "$KUBECONFIG" >"$folder/kubeconfig"
}

api_server() { sed -n 's/^ *server: //p' "$KUBECONFIG"; }

# stay: until somebody wants an end.
stay() {
  local path=
  type -P kubectl >/dev/null || path="
  export PATH=${kubectl%/kubectl}:\$PATH"
  tell "
All of it goes on running. In another terminal:

  export KUBECONFIG=$folder/kubeconfig$path
  kubectl get endpoints.metal.ironcore.dev,bmcs,servers
  kubectl apply --server-side -f $hack/demo.d/claim.yaml   # claim a server again
  kubectl get serverclaims,servers --watch
  kubectl delete serverclaim demo

The logs are in $PWD. Ctrl-C ends everything, and nothing is left."
  trap 'exit 0' INT
  while true; do
    all_run
    sleep 1
  done
}

# all_run: starts an operator that has ended again, as a kubelet would; fails if it keeps ending, or
# if anything else that was started here has ended.
all_run() {
  local pid name
  for pid in *.pid ../*.pid; do
    started "$(<"$pid")" >/dev/null && continue
    name=${pid##*/}
    name=${name%.pid}
    ! restart "$name" || continue
    tail -n 5 "${pid%.pid}.log" >&2
    fail "$name has ended, see above"
  done
}
