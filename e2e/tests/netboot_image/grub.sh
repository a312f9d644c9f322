#!/usr/bin/env bash
# Prints the path of a program that checks GRUB's scripts.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"

unpacked grub-check >/dev/null
printf '%s\n' "$hack/../e2e/tests/netboot_image/grub-check.sh"
