# shellcheck shell=bash
# What is seen: one line for each step that is done, below it what is going on.
: "${folder=}"

export begun=${begun:-${EPOCHREALTIME//[!0-9]/}}
drawn=0     # lines below the last step that are drawn over
picture=    # what they show
last_sign=0 # second of the last sign of life where nothing can be drawn over

on_terminal() { [ -t 1 ] && [ "${TERM-dumb}" != dumb ]; }

# draw LINE..: in place of what was drawn before; nothing without a terminal.
draw() {
  on_terminal || return 0
  local width line
  [ "$*" != "$picture" ] || return 0
  erase
  picture=$*
  width=$(tput cols 2>/dev/null || echo 80)
  for line in "$@"; do printf '%s\n' "${line:0:width-1}"; done
  drawn=$#
}

erase() {
  if [ "$drawn" -gt 0 ]; then printf '\e[%dA\e[J' "$drawn"; fi
  drawn=0 picture=
}

# tell TEXT: a line that stays.
tell() {
  erase
  printf '%s\n' "$1"
}

# done_in MICROSECONDS TITLE: a step that began then is done.
done_in() {
  tell "$(printf '%7s s  %s' "$(seconds_since "$1")" "$2")"
}

# sign_of_life MICROSECONDS TITLE DETAIL: of a step that goes on since then.
sign_of_life() {
  local line
  line=$(printf '%5s s..  %s%s' "$(((${EPOCHREALTIME//[!0-9]/} - $1) / 1000000))" "$2" "${3:+: $3}")
  if on_terminal; then
    draw "$line"
  elif [ $((EPOCHSECONDS - last_sign)) -ge 20 ]; then
    [ "$last_sign" -eq 0 ] || printf '%s\n' "$line"
    last_sign=$EPOCHSECONDS
  fi
}

# begin NAME COMMAND..: in the background, in a process group of its own; finish waits for it.
begin() {
  local name=$1
  shift
  eval "since_$name=\${EPOCHREALTIME//[!0-9]/}"
  set -m
  "$@" </dev/null >"$folder/logs/$name.log" 2>&1 9<&- &
  set +m
  printf '%s %s\n' $! "$(started $! || true)" >"$folder/$name.job"
}

# finish NAME TITLE: shows the last line of its log until it ends; its failure is ours.
finish() {
  local name=$1 title=$2 since=since_$1 pid log="$folder/logs/$1.log"
  read -r pid _ <"$folder/$name.job"
  last_sign=0
  while started "$pid" >/dev/null; do
    sign_of_life "${!since}" "$title" "$(tail -c 500 "$log" | tr '\r' '\n' | sed 's/^ *//' | tail -n 1)"
    sleep 0.25
  done
  if ! wait "$pid"; then
    erase
    tail -n 20 "$log" >&2
    fail "$title: failed; all of its output is in $log"
  fi
  rm "$folder/$name.job"
  done_in "${!since}" "$title"
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

# fail REASON
fail() {
  erase
  say "hack/demo: $*"
  exit 1
}
