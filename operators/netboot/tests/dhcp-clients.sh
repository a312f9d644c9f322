#!/usr/bin/env bash
# Prints the folder that has Debian's udhcpc, dhcpcd and dnsmasq.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

unpacked dhcp-clients
