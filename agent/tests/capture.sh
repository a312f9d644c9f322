#!/bin/sh
# Prints the files that metalprobe reads on this machine, as a fixture for tests/machines/.
# Run as root: capture.sh > NAME.tree    (POSIX sh, busybox suffices; serial numbers are printed too)
#
#   /path                a file; its lines follow, each behind a tab
#   /path -> target      a symbolic link
#   /path *              a binary file; hexadecimal lines follow, each behind a tab
#
# shellcheck disable=SC2046,SC2086 # no name in sysfs has a space
text() { for f in "$@"; do if [ -f "$f" ] && lines=$(cat "$f" 2>/dev/null); then
  echo "$f"; [ -z "$lines" ] || printf '%s\n' "$lines" | sed 's/^/\t/'; fi; done; }
binary() { for f in "$@"; do if [ -s "$f" ] || [ -r "$f" ]; then
  echo "$f *"; od -An -v -tx1 "$f" | tr -d ' ' | sed 's/^/\t/'; fi; done; }
link() { for f in "$@"; do [ ! -L "$f" ] || echo "$f -> $(readlink "$f")"; done; }

text /proc/cpuinfo
echo /proc/meminfo
grep MemTotal /proc/meminfo | sed 's/^/\t/'
binary /sys/firmware/dmi/tables/smbios_entry_point /sys/firmware/dmi/tables/DMI
text /sys/firmware/efi/fw_platform_size /sys/class/tpm/tpm0/tpm_version_major /proc/sys/kernel/osrelease
binary /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
for d in /sys/devices/system/cpu/cpu[0-9]*; do
  text $d/topology/physical_package_id $d/topology/core_id $d/cpufreq/cpuinfo_max_freq
done
for d in /sys/devices/system/node/node[0-9]*; do
  text $d/cpulist $d/distance
  [ ! -d $d ] || echo $d/meminfo
  [ ! -d $d ] || grep MemTotal $d/meminfo | sed 's/^/\t/'
done
for l in /sys/bus/pci/devices/*; do
  link $l
  d=$(readlink -f $l)
  text $d/vendor $d/device $d/class $d/revision $d/subsystem_vendor $d/subsystem_device $d/numa_node
  text $d/current_link_speed $d/current_link_width
  link $d/driver
  text $d/infiniband/*/fw_ver
done
for l in /sys/block/*; do
  case $l in */loop*|*/ram*|*/zram*) continue ;; esac
  link $l
  d=$(readlink -f $l)
  text $d/size $d/ro $d/removable $d/hidden $d/serial $d/wwid $d/queue/rotational
  text $d/queue/physical_block_size $d/queue/logical_block_size $d/queue/hw_sector_size
  link $d/device
  link $(readlink -f $d/device)/nvme[0-9]*
  for p in $(readlink -f $d/device) $(readlink -f $d/device/device) $(readlink -f $d/device/nvme[0-9]*); do
    text $p/vendor $p/model $p/serial $p/wwid $p/firmware_rev $p/rev $p/numa_node $p/transport
    binary $p/vpd_pg80
  done
done
for l in /sys/class/net/*; do
  link $l
  d=$(readlink -f $l)
  text $d/address $d/type $d/ifindex $d/flags $d/mtu $d/operstate $d/carrier $d/speed $d/duplex
  link $d/device
  case $(readlink $d/device) in *virtio*) link $(readlink -f $d/device)/driver ;; esac
done
