#!/usr/bin/env bash
# Prints how unshare makes a network namespace here. What a test needs inside of it is installed or
# built now: it has no way out of there.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

need openssl openssl
"$hack/control-plane" path >/dev/null
network_flags
