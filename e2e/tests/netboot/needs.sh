#!/usr/bin/env bash
# Prints how unshare makes a network namespace here. What a test needs inside of it is looked for now:
# what is missing is told before, and hack/prepare installs it.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

need openssl
"$hack/control-plane" path >/dev/null
network_flags
