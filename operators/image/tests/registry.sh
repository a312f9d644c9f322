#!/usr/bin/env bash
# Prints the path of Debian's docker-registry: the installed one, else one in the cache.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

type -P docker-registry || {
  folder=$(unpacked docker-registry)
  printf '%s\n' "$folder/usr/bin/docker-registry"
}
