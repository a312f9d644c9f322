#!/usr/bin/env bash
# grub-script-check of the cache: exits with an error if a file is no script of GRUB.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

folder=$(unpacked grub-check)
LD_LIBRARY_PATH=$(dirname "$(find "$folder" -name 'libdevmapper.so.*' | head -n 1)")
export LD_LIBRARY_PATH
exec "$folder/usr/bin/grub-script-check" "$@"
