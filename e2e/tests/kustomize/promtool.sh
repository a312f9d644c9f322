#!/usr/bin/env bash
# Prints the path of promtool: the installed one, else one in the cache.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

type -P promtool || {
  folder=$(unpacked prometheus)
  printf '%s\n' "$folder/usr/bin/promtool"
}
