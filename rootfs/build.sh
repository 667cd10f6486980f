#!/usr/bin/env bash
# Builds a bootable image of a machine whose agent is thawd, without root rights and without mounting anything.
#
# Usage: rootfs/build.sh [--flavour scratch|debian] [--out DIR] [--kernel FILE] [--base DIR|TAR] [--size MIB] [--thawd FILE]
#
#   --flavour  scratch (default): thawd and busybox, nothing else. debian: a small Debian with systemd and python.
#   --out      where to (default: target/images/FLAVOUR)
#   --kernel   a kernel of one's own (vmlinux or bzImage); what its modules would do must be built in
#   --base     a tree, or a tar of one, to put the agent in, instead of the flavour's own
#   --size     of the disk in MiB (default: 512 for scratch, 1024 for the others)
#   --thawd    the agent (default: built by scripts/static)
#
# Makes vmlinux, initrd.cpio, disk.ext4 and image.json there. The same input gives the same bytes. Packages come from
# the mirror that this machine's apt uses; what was fetched is kept in target/images/cache.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
source scripts/lib.sh
source rootfs/lib.sh

flavour=scratch out= kernel= base= size= thawd=
while [ $# -gt 0 ]; do
    case $1 in
    --flavour | --out | --kernel | --base | --size | --thawd)
        [ $# -gt 1 ] || fail "$1 needs a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit ;;
    *) fail "$1 is not known; see rootfs/build.sh --help" ;;
    esac
done
[ -f "rootfs/flavours/$flavour" ] || fail "there is no flavour $flavour; see rootfs/flavours"
out=${out:-target/images/$flavour}
mkdir -p "$out" "$CACHE"

need_image_tools
[ -n "$thawd" ] || thawd=$(scripts/static | tail -1)
[ -x "$thawd" ] || fail "$thawd is no program"
# shellcheck source=/dev/null
source "rootfs/flavours/$flavour"
size=${size:-$SIZE}

if [ -n "$kernel" ]; then
    kernel_dir=$CACHE/kernel-$(content_key "$kernel")
    own_kernel "$kernel" "$kernel_dir"
else
    kernel_dir=$(distribution_kernel)
fi
if [ -n "$base" ]; then tree=$(base_tree "$base"); else tree=$(flavour_tree "$flavour"); fi

key=$(content_key "$thawd" "$kernel_dir/key" "$tree/key" rootfs/build.sh rootfs/lib.sh rootfs/pack rootfs/flavours \
    rootfs/tools rootfs/systemd rootfs/openrc)-$size
if [ -f "$out/.key" ] && [ "$(cat "$out/.key")" = "$key" ] && [ -f "$out/image.json" ]; then
    say "$out is up to date"
    exit
fi

say "packing the initramfs"
rm -f "$out/.key" "$out/image.json"
cp "$kernel_dir/vmlinux" "$out/vmlinux"
initrd=("init=$thawd" dev/ proc/ sys/ root/)
[ -d "$kernel_dir/modules" ] && initrd+=("modules=$kernel_dir/modules")
rootfs/tools/newc "$out/initrd.cpio" "${initrd[@]}"

say "packing the disk ($size MiB)"
as_root rootfs/pack "$flavour" "$tree/tree.tar" "$thawd" "$out/disk.ext4" "$size"

cat >"$out/image.json" <<JSON
{
  "flavour": "$flavour",
  "kernel": "vmlinux",
  "initrd": "initrd.cpio",
  "disk": "disk.ext4",
  "cmdline": "root=/dev/vda rootfstype=ext4 rw net.ifnames=0 $CMDLINE",
  "arch": "$(uname -m)",
  "thawd_version": "$(product_version "$thawd")"
}
JSON
sed -i 's/ *",$/",/' "$out/image.json"
echo "$key" >"$out/.key"
say "built $out: $(du -ch "$out"/{vmlinux,initrd.cpio,disk.ext4} | tail -1 | cut -f1) on the disk"
