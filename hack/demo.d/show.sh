# shellcheck shell=bash
# What is seen while something is built, as e2e/src/demo/screen.rs has it for the rest: a line for
# each step that is done, below it what is going on.
: "${folder=}"

drawn=      # the line below the last step, where it can be drawn over
last_sign=0 # second of the last sign of life where it can't
declare -A since # when a job began

on_terminal() { [ -t 1 ] && [ "${TERM-dumb}" != dumb ]; }

erase() {
  [ -z "$drawn" ] || printf '\e[1A\e[J'
  drawn=
}

# tell TEXT: a line that stays.
tell() {
  erase
  printf '%s\n' "$1"
}

# sign_of_life MICROSECONDS TITLE DETAIL: of a step that goes on since then.
sign_of_life() {
  local line width
  line=$(printf '%5s s..  %s%s' "$(((${EPOCHREALTIME//[!0-9]/} - $1) / 1000000))" "$2" "${3:+: $3}")
  if on_terminal; then
    [ "$line" != "$drawn" ] || return 0
    width=$(tput cols 2>/dev/null || echo 80)
    erase
    printf '%s\n' "${line:0:width-1}"
    drawn=$line
  elif [ $((EPOCHSECONDS - last_sign)) -ge 20 ]; then
    [ "$last_sign" -eq 0 ] || printf '%s\n' "$line"
    last_sign=$EPOCHSECONDS
  fi
}

# begin NAME COMMAND..: in the background, in a process group of its own; finish waits for it.
begin() {
  local name=$1
  shift
  since[$name]=${EPOCHREALTIME//[!0-9]/}
  set -m
  "$@" </dev/null >"$folder/logs/$name.log" 2>&1 9<&- &
  set +m
  printf '%s %s\n' $! "$(started $! || true)" >"$folder/$name.job"
}

# finish NAME TITLE: shows the last line of its log until it ends; its failure is ours.
finish() {
  local title=$2 pid log="$folder/logs/$1.log"
  read -r pid _ <"$folder/$1.job"
  last_sign=0
  while started "$pid" >/dev/null; do
    sign_of_life "${since[$1]}" "$title" "$(tail -c 500 "$log" | tr '\r' '\n' | sed 's/^ *//' | tail -n 1)"
    sleep 0.25
  done
  if ! wait "$pid"; then
    erase
    tail -n 20 "$log" >&2
    say "hack/demo: $title: failed; all of its output is in $log"
    exit 1
  fi
  rm "$folder/$1.job"
  tell "$(printf '%7s s  %s' "$(seconds_since "${since[$1]}")" "$title")"
}

# end_jobs: those that are still running, also of a demo that was killed.
end_jobs() {
  local job pid born
  for job in "$folder"/*.job; do
    { read -r pid born <"$job"; } 2>/dev/null || continue
    rm -f "$job"
    [ "$(started "$pid" || true)" = "$born" ] || continue
    kill -9 -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
