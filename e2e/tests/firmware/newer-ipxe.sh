#!/usr/bin/env bash
# Prints the folder of the next Debian's iPXE, which speaks HTTPS, and trusts whom its firmware trusts.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"
# shellcheck source=../../../hack/image.d/common.sh
. "$hack/image.d/common.sh"

folder=$(package newer:ipxe:amd64)
printf '%s/usr/lib/ipxe\n' "$folder"
