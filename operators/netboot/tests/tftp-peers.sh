#!/usr/bin/env bash
# Prints the folder that has Debian's TFTP clients and servers, and its iPXE.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

# The two servers cannot be installed side by side; unpacked they can lie there.
unpacked tftp-peers
