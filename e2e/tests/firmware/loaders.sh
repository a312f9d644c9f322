#!/usr/bin/env bash
# Copies shim and GRUB of Debian to the folder $1, by the names by which they look for each other.
set -euo pipefail
# shellcheck source=../../../hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../hack/lib.sh"
# shellcheck source=../../../hack/image.d/common.sh
. "$hack/image.d/common.sh"

shim=$(package deb:shim-signed:amd64)
grub=$(package newer:grub-efi-amd64-signed:amd64)
cp "$shim/usr/lib/shim/shimx64.efi.signed" "$1/shimx64.efi"
cp "$grub/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed" "$1/grubx64.efi"
