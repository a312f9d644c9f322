#!/usr/bin/env bash
# Prints the folder that has Debian's Kea and its perfdhcp.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

unpacked kea
