# shellcheck shell=bash
# The operators as processes: what their Deployments say is done here, as a kubelet would.
: "${hack:?}" "${kubectl=}"

namespace=metal-operator-system

# kubectl ARGUMENTS..: it does not wait for ever, and does not hold what only this script may hold.
kubectl() { command "$kubectl" --request-timeout 20s "$@" 9<&-; }

# install: what config/dev has, with the addresses of the demo.
install() {
  local since=${EPOCHREALTIME//[!0-9]/}
  kubectl apply --server-side -k "$hack/demo.d/site" >install.log || fail "config/dev cannot be installed"
  kubectl wait --for=condition=Established customresourcedefinitions --all >>install.log
  done_in "$since" "config/dev is installed: $(wc -l <install.log) objects"
}

start_operators() {
  local since=${EPOCHREALTIME//[!0-9]/} name
  run_pod metal-operator 18081
  run_pod boot-operator 18082
  run_pod netboot 18083
  for name in metal-operator/18081 boot-operator/18082 netboot/18083; do
    wait_until 60 "${name%/*} gets ready" is_ready "${name#*/}"
  done
  done_in "$since" "metal-operator, boot-operator and netboot run under their ServiceAccounts"
}

# is_ready PORT
is_ready() {
  # What it waits for is in the body.
  says=$(curl -sS --max-time 2 -w '\n%{http_code}' "http://127.0.0.1:$1/readyz" 2>&1)
  [ "${says##*$'\n'}" = 200 ]
}

# run_pod DEPLOYMENT PORT: the container of a Deployment; health on PORT, metrics 1000 above.
run_pod() {
  local name=$1 port=$2 root=$PWD/root/$1 env=() args=() arg
  ln -s "$CARGO_TARGET_DIR/debug/$name" "bin/$name"
  account "$name"
  mount_volumes "$name" "$root"
  mapfile -t env < <(environment "$name")
  while IFS= read -r arg; do
    arg=$(expand "$arg" "${env[@]}")
    case "$arg" in
      --health-probe-bind-address=*) arg=${arg%%=*}=127.0.0.1:$port ;;
      --metrics-bind-address=*) arg=${arg%%=*}=127.0.0.1:$((port + 1000)) ;;
      *=/*) [ ! -e "$root${arg#*=}" ] && [ ! -d "$root$(dirname "${arg#*=}")" ] || arg=${arg%%=*}=$root${arg#*=} ;;
    esac
    args+=("$arg")
  done < <(of_pod "$name" '{range .containers[0].args[*]}{@}{"\n"}{end}')
  # Beside a virtual machine the simulated ones have no addresses of their own (network.sh).
  [ "$name-${vm-}" != boot-operator-vm ] || args+=(--machine-addresses=any)
  # The demo's logs are for people who look for a mistake of theirs, not of ours.
  command_of[$name]=$(printf '%q ' env -u KUBECONFIG RUST_LOG=info NO_COLOR=1 "${env[@]}" \
    "$PWD/bin/$name" --kubeconfig "$PWD/$name.kubeconfig" "${args[@]}")
  eval "spawn $name ${command_of[$name]}"
}

declare -A command_of restarts_of

# restart NAME: an operator that has ended, three times at most; its log is kept.
restart() {
  local count=$((${restarts_of[$1]-0} + 1)) reason
  [ -n "${command_of[$1]-}" ] && [ "$count" -le 3 ] || return 1
  restarts_of[$1]=$count
  reason=$(sed -n 's/^Error: //p' "$1.log" | tail -n 1)
  tell "           $1 has ended${reason:+: $reason}; it is started again"
  mv "$1.log" "$1.$count.log"
  eval "spawn $1 ${command_of[$1]}"
}

# of_pod DEPLOYMENT JSONPATH: a part of the specification of its pods.
of_pod() {
  kubectl --namespace "$namespace" get deployment "$1" \
    --output "jsonpath={range .spec.template.spec}$2{end}"
}

# account NAME: address and a day's token of a ServiceAccount, in NAME.kubeconfig.
account() {
  local token
  token=$(kubectl --namespace "$namespace" create token "$1" --duration 24h)
  sed -e "s/^\( *token:\).*/\1 \"$token\"/" -e "s/user: admin/user: admin, namespace: $namespace/" \
    "$KUBECONFIG" >"$1.kubeconfig"
}

# environment DEPLOYMENT: NAME=VALUE lines, from its ConfigMaps and from what the kubelet knows.
environment() {
  local map
  for map in $(of_pod "$1" '{range .containers[0].envFrom[*]}{.configMapRef.name}{"\n"}{end}'); do
    # shellcheck disable=SC2016 # of the template
    kubectl --namespace "$namespace" get configmap "$map" \
      --output go-template='{{range $name, $value := .data}}{{$name}}={{$value}}{{"\n"}}{{end}}'
  done
  printf '%s\n' "POD_NAME=$1-demo" "POD_NAMESPACE=$namespace" REGISTRY_ADDRESS=10.78.0.1
}

# expand TEXT NAME=VALUE..: with the values in place of $(NAME).
expand() {
  local text=$1 pair
  shift
  for pair in "$@"; do text=${text//"\$(${pair%%=*})"/${pair#*=}}; done
  printf '%s\n' "$text"
}

# mount_volumes DEPLOYMENT ROOT: files of its ConfigMaps and Secrets below ROOT.
mount_volumes() {
  local name path kind object
  while read -r name path; do
    mkdir -p "$2$path"
    for kind in configMap:name secret:secretName; do
      object=$(of_pod "$1" "{.volumes[?(@.name==\"$name\")].${kind/:/.}}")
      [ -z "$object" ] || copy_files "${kind%:*}" "$object" "$2$path"
    done
  done < <(of_pod "$1" '{range .containers[0].volumeMounts[*]}{.name}{" "}{.mountPath}{"\n"}{end}')
}

# copy_files KIND NAME FOLDER
copy_files() {
  local key decode=cat
  [ "$1" = configMap ] || decode="base64 -d"
  # shellcheck disable=SC2016 # of the template
  for key in $(kubectl --namespace "$namespace" get "$1" "$2" \
    --output go-template='{{range $name, $value := .data}}{{$name}}{{"\n"}}{{end}}'); do
    kubectl --namespace "$namespace" get "$1" "$2" --output "jsonpath={.data.${key//./\\.}}" |
      $decode >"$3/$key"
  done
}
