# shellcheck shell=bash
# The path itself: from a BMC that is plugged in to a server that is claimed and given back.
: "${hack:?}" "${rack=}" "${servers=}"

# documents: those that the product was founded on, as they were written.
documents() {
  local since=${EPOCHREALTIME//[!0-9]/} namespace file
  for file in "$hack"/../config/samples/documents/*.yaml; do
    namespace=$(sed -n 's/^  namespace: *//p' "$file")
    if [ -n "$namespace" ] && ! kubectl get namespace "$namespace" >/dev/null 2>&1; then
      kubectl create namespace "$namespace" >/dev/null
    fi
    kubectl apply --server-side --validate=strict -f "$file" >>documents.log 2>&1 ||
      fail "$(tail -n 3 documents.log)"
  done
  done_in "$since" "the founding documents are applied: $(cut -d ' ' -f 1 documents.log | paste -sd ' ')"
  since=${EPOCHREALTIME//[!0-9]/}
  wait_until 60 "each of them says what it lacks" documents_speak
  complaints | sed 's/^/           /; s/;$//'
  done_in "$since" "each of them says what it lacks: their machines are not here"
}

documents_speak() {
  local lines
  lines=$(complaints | grep -c -E 'device-12345|my-bmc |my-bmc-inline|my-server |my-server-boot-config')
  says="$lines of 5"
  [ "$lines" -eq 5 ]
}

# discover: the machines are plugged in, and become Available.
discover() {
  local since=${EPOCHREALTIME//[!0-9]/} real=()
  ln -s "$CARGO_TARGET_DIR/debug/simulator" bin/simulator
  [ -z "$vm" ] || real=(--vm "0=tap0" --vm-folder "$PWD/vm")
  spawn simulator nsenter --net="/proc/$rack/ns/net" "$PWD/bin/simulator" --machines "$servers" \
    --bmc-dhcp oob --dhcp boot --control 127.0.0.1:9000 "${real[@]}"
  tell "           $servers machines are plugged in: their BMCs ask for an address"
  [ -z "$vm" ] || tell "           one of them is a virtual machine; its console: $PWD/vm/0/console.log"
  # Firmware is slow without KVM, and much slower on a machine with other work.
  wait_until $((120 + servers + (${#vm} ? 300 : 0))) "$servers servers become Available" servers
  done_in "$since" "$servers servers are Available"
  if [ "$servers" -le 12 ]; then kubectl get servers | sed 's/^/           /'; fi
  [ -z "$vm" ] || mark_vm
}

# mark_vm: the claim is for the others: what it wants to boot is no operating system.
mark_vm() {
  local uuid server
  uuid=$(machine 0 | sed 's/.*"uuid":"\([^"]*\)".*/\1/')
  server=$(kubectl get servers --output jsonpath="{.items[?(@.spec.systemUUID==\"$uuid\")].metadata.name}")
  kubectl label server "$server" demo=vm >/dev/null || fail "server $server gets no label"
  tell "           $server is the virtual machine; what it said on its console:"
  tail -n 6 vm/0/console.log | tr -d '\r' | cut -c 1-110 | sed 's/^/           /'
}

# servers: whether all are Available.
servers() {
  observe
  [ "$(servers_in Available)" -eq "$servers" ]
}

# claim_and_release: one of them, with an image and an ignition of its own.
claim_and_release() {
  local since=${EPOCHREALTIME//[!0-9]/} server index
  kubectl apply --server-side -f "$hack/demo.d/claim.yaml" >/dev/null
  wait_until 30 "the claim gets a server" bound
  done_in "$since" "claim default/demo holds server $server"
  since=${EPOCHREALTIME//[!0-9]/}
  index=$(index_of "$server")
  wait_until 60 "$server boots the image of its claim" boots_image
  journal "$index"
  done_in "$since" "$server is Reserved and On, and runs demo-os:1 with the ignition of its claim"
  since=${EPOCHREALTIME//[!0-9]/}
  kubectl delete serverclaim demo --wait=false >/dev/null
  wait_until 120 "the claim is gone, and $server off and Available" released
  done_in "$since" "the claim is deleted: $server is off, and Available"
}

bound() {
  says=$(kubectl get serverclaim demo \
    --output jsonpath='{.status.phase} {.status.conditions[?(@.type=="Scheduled")].message}')
  server=$(kubectl get serverclaim demo --output jsonpath='{.spec.serverRef.name}')
  [ "${says%% *}" = Bound ]
}

# boots_image: as the API server says, and as the machine does.
boots_image() {
  local image ignition host
  observe
  image=$(kubectl get ipxebootconfig demo --output jsonpath='{.spec.kernelURL}' 2>/dev/null) || return
  host=$(machine "$index") || return
  host=${host#*'"host":'} host=${host%%',"counters":'*}
  # shellcheck disable=SC2154 # of watch.sh
  says="${state[${server%-system-*}]} ${power[${server%-system-*}]} $host"
  ignition=$(kubectl get secret demo-ignition --output jsonpath='{.data.ignition}' |
    base64 -d | sha256sum | cut -d ' ' -f 1)
  [[ "$says" == "Reserved On "* && "$host" == *'"state":"tenant"'*"$image"*"\"ignition\":\"$ignition\""* ]]
}

released() {
  observe
  says="${state[${server%-system-*}]} ${power[${server%-system-*}]}"
  [ "$says" = "Available Off" ] && ! kubectl get serverclaim demo >/dev/null 2>&1
}
show_bound() { show_servers "$@"; }
show_boots_image() { show_servers "$@"; }
show_released() { show_servers "$@"; }

# machine INDEX: what the simulator says about it.
machine() { in_rack curl -fsS --max-time 5 "http://127.0.0.1:9000/machines/$1"; }

# index_of SERVER: its machine.
index_of() {
  local uuid all
  uuid=$(kubectl get server "$1" --output jsonpath='{.spec.systemUUID}')
  all=$(in_rack curl -fsS --max-time 5 http://127.0.0.1:9000/machines) || return
  [[ "$all" =~ \"index\":([0-9]+),\"uuid\":\"$uuid\" ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

# journal INDEX: what its host has done since it was switched on.
journal() {
  local rest line
  rest=$(machine "$1") || return
  rest=${rest##*'"event":"powered_on"'}
  while [[ "$rest" =~ \"event\":\"([a-z_]+)\"(,\"detail\":\"([^\"]*)\")? ]]; do
    line=$(printf '           %-13s %s' "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}")
    rest=${rest#*"${BASH_REMATCH[0]}"}
    # A token lets whoever has it read what the host may read.
    [[ "$line" != */t/* ]] || line=${line%%/t/*}/t/..
    [ ${#line} -le 120 ] || line=${line:0:118}..
    tell "$line"
  done
}

# journals: of some hosts that have not become Available.
journals() {
  local name left=3
  for name in "${!state[@]}"; do
    [ "${state[$name]}" != Available ] || continue
    say "the host of $name, since it was switched on:"
    journal "$(index_of "$name-system-0")" >&2 || true
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 0
  done
}
