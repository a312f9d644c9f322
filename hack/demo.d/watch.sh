# shellcheck shell=bash
# What the API server says, and waiting for it to say something else.
: "${servers=}"

declare -A address has_bmc state power holder reason
says=

# wait_until SECONDS TITLE CHECK..: until the check succeeds. A check may leave in `says` what it has seen.
wait_until() {
  local until=$((EPOCHSECONDS + $1)) since=${EPOCHREALTIME//[!0-9]/} title=$2
  shift 2
  says=
  # shellcheck disable=SC2034 # of show.sh
  last_sign=0
  until "$@"; do
    all_run
    [ "$EPOCHSECONDS" -lt "$until" ] || {
      erase
      complaints >&2
      journals
      fail "$title: not after $(seconds_since "$since") s${says:+; last seen: $says}"
    }
    [ "$(type -t "show_$1")" != function ] || "show_$1" "$since" "$title"
    sleep 0.1
  done
  erase
}

# observe: reads Endpoints, BMCs and Servers of simulated machines into the arrays above.
observe() {
  local kind name a b c d
  address=() has_bmc=() state=() power=() holder=() reason=()
  while IFS='|' read -r kind name a b c d; do
    [[ "$name" == compute-* ]] || continue
    case "$kind" in
      Endpoint) address[$name]=$a ;;
      BMC) has_bmc[$name]=yes ;;
      Server)
        name=${name%-system-*}
        state[$name]=${a:-Initial} power[$name]=$b holder[$name]=$c reason[$name]=$d
        ;;
    esac
  done < <(kubectl get endpoints.metal.ironcore.dev,bmcs,servers --output jsonpath='
{range .items[*]}{.kind}|{.metadata.name}|{.spec.ip}{.status.state}|{.status.powerState}|{.spec.serverClaimRef.name}|{.status.conditions[?(@.type=="Ready")].message}
{end}' 2>/dev/null)
}

# servers_in STATE: how many there are.
servers_in() {
  local each count=0
  for each in "${state[@]}"; do [ "$each" != "$1" ] || count=$((count + 1)); done
  printf '%d\n' "$count"
}

# show_servers MICROSECONDS TITLE: a line for each machine, or the sum of many.
show_servers() {
  local name lines=() each
  if [ "$servers" -gt 12 ]; then
    show_sum "$1" "$2"
    return
  fi
  for name in $(printf '%s\n' "${!address[@]}" | sort); do
    each=Endpoint
    [ -z "${has_bmc[$name]-}" ] || each=BMC
    printf -v each '           %-20s %-14s %-10s %-11s %s' "$name" "${address[$name]}" \
      "${state[$name]-$each}" "${power[$name]-}" "${holder[$name]:+claim ${holder[$name]}: }${reason[$name]-}"
    lines+=("$each")
  done
  if on_terminal; then
    draw "$(printf '%5s s..  %s' "$((${EPOCHREALTIME//[!0-9]/} / 1000000 - $1 / 1000000))" "$2")" "${lines[@]}"
  else
    tell_changes "$1" "${lines[@]}"
  fi
}

declare -A told

# tell_changes MICROSECONDS LINE..: those that have not been told like this before.
tell_changes() {
  local since=$1 line words
  shift
  for line in "$@"; do
    read -ra words <<<"$line"
    # Power and reasons change all the time; the state is what counts.
    [ "${told[${words[0]}]-}" != "${words[2]}" ] || continue
    told[${words[0]}]=${words[2]}
    tell "$(printf '%7s s..%s' "$(seconds_since "$since")" "${line:9}")"
  done
}

# show_sum MICROSECONDS TITLE
show_sum() {
  local each sum
  sum="${#address[@]} Endpoints, ${#has_bmc[@]} BMCs"
  for each in Initial Discovery Available Reserved Error; do
    each="$(servers_in "$each") $each"
    [ "${each%% *}" -eq 0 ] || sum+=", $each"
  done
  says=$sum
  sign_of_life "$1" "$2" "$sum"
}

# complaints: every condition that does not hold, with its reason and message, and boot
# configurations that nobody has answered; not too many.
complaints() {
  kubectl get --all-namespaces endpoints.metal.ironcore.dev,bmcs,servers,serverbootconfigurations,serverclaims \
    --output jsonpath='
{range .items[*]}{.kind} {.metadata.name} {.status.state}{.status.phase}:{range .status.conditions[?(@.status=="False")]} {.type}: {.reason}: {.message};{end}
{end}' 2>/dev/null |
    grep -E ';$|^ServerBootConfiguration [^ ]+ (Pending)?:' | head -n 20 || true
}
