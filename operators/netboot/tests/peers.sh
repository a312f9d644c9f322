#!/usr/bin/env bash
# Prints the folder that has Debian's dhclient, dhcrelay and dhcpd.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

unpacked dhcp-peers
