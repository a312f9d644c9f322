# shellcheck shell=bash
# One control plane: its state is one folder, and everything in it can be thrown away.
# Needs ../lib.sh and build.sh.
: "${hack:?}"

# Ended in this order: the API server lingers for a minute when etcd goes before it.
parts=(supervisor apiserver controller-manager etcd)
# What the tests and the demo need of the controller manager.
controllers=clusterrole-aggregation-controller,garbage-collector-controller,namespace-controller
controllers+=,serviceaccount-controller,serviceaccount-token-controller
# Certificates of nodes are signed once they are approved; nobody but metalman approves any.
controllers+=,certificatesigningrequest-signing-controller
# What it may take to start on a busy machine, in seconds.
patience=120

# cluster_up DIR OWNER
cluster_up() {
  local bin owner=$2 born=
  if [ -n "$owner" ]; then
    born=$(started "$owner") || die "--owner $owner: no such process"
  fi
  need openssl
  bin=$(binaries)
  umask 077
  claim_folder "$1"
  stop
  trap leave EXIT
  trap 'exit 1' HUP INT TERM
  if [ -n "$owner" ]; then
    spawn supervisor "$hack/control-plane" supervise "$PWD/" "$owner" "$born"
  fi
  mkdir scratch
  certificates
  # What it advertises must have a port; nobody goes there.
  spawn etcd "$bin/etcd" --data-dir "$PWD/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls unix://client.sock --advertise-client-urls http://localhost:1 \
    --listen-peer-urls unix://peer.sock --initial-advertise-peer-urls http://localhost:1 \
    --initial-cluster default=http://localhost:1
  start_apiserver "$bin"
  spawn controller-manager "$bin/kube-controller-manager" --kubeconfig "$PWD/kubeconfig" \
    --secure-port 0 --leader-elect=false --use-service-account-credentials=true \
    --service-account-private-key-file sa.key --root-ca-file ca.crt \
    --cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key \
    --kube-api-qps 500 --kube-api-burst 1000 --controllers "$controllers"
  await controller-manager "$bin/kubectl" --kubeconfig kubeconfig -n default get serviceaccount default ||
    failed controller-manager
  trap - EXIT HUP INT TERM
  printf '%s\n' "$PWD/kubeconfig"
}

# cluster_down DIR: also of one that is half started, or gone already.
cluster_down() {
  [ -d "$1" ] || return 0
  claim_folder "$1"
  leave
}

# claim_folder DIR: makes it, goes there, and keeps everybody else out until this shell ends.
claim_folder() {
  while true; do
    mkdir -p "$1"
    exec 9<"$1"
    flock -w "$patience" 9 || die "$1: somebody else has been working on it for $patience s"
    # It may have been removed while this one waited.
    if [ "$1" -ef /proc/self/fd/9 ]; then break; fi
  done
  cd "$1" || return
}

# stop: ends what runs in this folder, and leaves nothing of it.
stop() {
  local name names pid
  # Whoever uses the control plane has processes of its own, and may have been killed before them.
  names=(scratch/*.pid)
  names=("${parts[@]}" "${names[@]%.pid}")
  for name in "${names[@]}"; do
    pid=$(running "$name") || continue
    [ "$pid" = $$ ] || kill -9 "$pid" 2>/dev/null || true
  done
  for name in "${names[@]}"; do
    while pid=$(running "$name") && [ "$pid" != $$ ]; do sleep 0.02; done
  done
  rm -rf etcd certs scratch ./*.sock ca.key ca.crt ca.srl apiserver.key apiserver.crt sa.key sa.pub tokens.csv kubeconfig \
    "${parts[@]/%/.log}" "${parts[@]/%/.pid}"
}

# leave: as stop, and the folder goes too unless somebody else's files are there.
leave() {
  stop
  rmdir "$PWD" 2>/dev/null || true
}

# spawn NAME COMMAND..: in a session of its own, so that a Ctrl-C here is not for it.
spawn() {
  local name=$1
  shift
  # It writes its own number before it becomes the command: there is no moment in which it runs
  # and is not on record.
  # shellcheck disable=SC2016
  setsid bash -c 'echo $$ >"$0.pid" && exec "$@"' "$name" "$@" </dev/null >"$name.log" 2>&1 9<&- &
  disown
  until [ -s "$name.pid" ]; do sleep 0.01; done
}

# running NAME: its process number, if that is still the process that was started here.
running() {
  local pid words
  { read -r pid <"$1.pid"; } 2>/dev/null || return 1
  for _ in {1..100}; do
    started "$pid" >/dev/null || return 1
    mapfile -d '' words 2>/dev/null <"/proc/$pid/cmdline" || return 1
    # In the middle of its exec it has none.
    if [ ${#words[@]} -gt 0 ]; then break; fi
    sleep 0.01
  done
  case "${words[*]}" in *"$PWD/"*) printf '%s\n' "$pid" ;; *) return 1 ;; esac
}

# await NAME COMMAND..: until the command succeeds; fails when NAME or etcd ends, or it takes too long.
await() {
  local name=$1 part until=$((EPOCHSECONDS + patience))
  shift
  until "$@" >/dev/null 2>&1; do
    for part in etcd "$name"; do
      running "$part" >/dev/null || return 1
    done
    [ "$EPOCHSECONDS" -lt "$until" ] || {
      say "$name: not ready after $patience s"
      return 1
    }
    sleep 0.05
  done
}

# start_apiserver BIN: on a free port. Only a listener knows for sure that a port is free, so where
# it lost the race another one is tried.
start_apiserver() {
  local port
  for _ in {1..20}; do
    port=$(likely_port)
    kubeconfig "$port"
    spawn apiserver "$1/kube-apiserver" --etcd-servers unix://client.sock \
      --bind-address 127.0.0.1 --secure-port "$port" --tls-cert-file apiserver.crt \
      --tls-private-key-file apiserver.key --cert-dir "$PWD/certs" \
      --advertise-address 127.0.0.1 --endpoint-reconciler-type none \
      --service-cluster-ip-range 10.0.0.0/24 --token-auth-file tokens.csv --client-ca-file ca.crt \
      --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
      --service-account-issuer https://kubernetes.default.svc \
      --service-account-signing-key-file sa.key --service-account-key-file sa.pub --profiling=false
    await apiserver "$1/kubectl" --kubeconfig kubeconfig get --raw /readyz && return
    grep -q 'address already in use' apiserver.log || break
    rm apiserver.pid
  done
  failed apiserver
}

# failed NAME: with what it and etcd said last.
failed() {
  tail -n 5 etcd.log "$1.log" >&2
  die "$1 does not start"
}

# A port that nobody listens on, below those that the kernel hands to connections.
likely_port() {
  local port listening
  listening=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  while true; do
    port=$((20000 + RANDOM % 12000))
    case "$listening" in *":$(printf %04X $port) "*) ;; *) break ;; esac
  done
  printf '%s\n' $port
}

certificates() {
  local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.crt -days 3650 -subj /CN=control-plane 2>/dev/null
  openssl req "${ec[@]}" -keyout apiserver.key -subj /CN=kube-apiserver 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out apiserver.crt -extfile <(
      # Virtual machines reach it as 10.77.0.1.
      echo subjectAltName=IP:127.0.0.1,IP:10.0.0.1,IP:10.77.0.1,DNS:localhost,DNS:kubernetes.default.svc,DNS:kubernetes.default
    ) 2>/dev/null
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sa.key 2>/dev/null
  openssl pkey -in sa.key -pubout -out sa.pub
  printf '%s,admin,admin,system:masters\n' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" >tokens.csv
}

# kubeconfig PORT
kubeconfig() {
  cat >kubeconfig <<E
apiVersion: v1
kind: Config
clusters:
  - name: local
    cluster:
      server: https://127.0.0.1:$1
      certificate-authority-data: $(base64 -w0 ca.crt)
users:
  - name: admin
    user:
      token: $(cut -d, -f1 tokens.csv)
contexts:
  - name: local
    context: {cluster: local, user: admin}
current-context: local
E
}

# supervise DIR OWNER BORN: ends the control plane of DIR when the process has ended.
supervise() {
  local born
  while born=$(started "$2") && [ "$born" = "$3" ]; do sleep 0.5; done
  cluster_down "$1"
}
