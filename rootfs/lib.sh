# What the building of images shares: tools, packages, kernels, trees. Needs scripts/lib.sh.

CACHE=$PWD/target/images/cache
# Every file of an image has this time (2024-01-01): newer than any that a guest's clock starts with.
export SOURCE_DATE_EPOCH=1704067200
# Raise it when the functions below put trees together in another way: trees in the cache carry it in their names.
LAYOUT=1

need_image_tools() {
    need apt-get apt
    need dpkg-deb dpkg
    need mke2fs e2fsprogs
    need python3 python3
    need zstd zstd
    need lz4 lz4
    need xz xz-utils
    [ "$(id -u)" = 0 ] || need fakeroot fakeroot
}

# as_root COMMAND...: runs it as root, or as something that believes it: owners then last within one call.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else fakeroot -- "$@"; fi
}

# content_key PATH...: a name for what files and folders hold.
content_key() {
    local path
    for path in "$@"; do
        if [ -d "$path" ]; then find "$path" -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; fi
        if [ -f "$path" ]; then sha256sum <"$path"; fi
    done | sed "s# .*/# #" | sha256sum | cut -c1-16
}

product_version() {
    "$1" -product-version 2>/dev/null | sed -n 's/^thawd \([^ ]*\).*/\1/p'
}

# forget_others DIR PREFIX: removes what older scripts left in the cache under the same name.
forget_others() {
    local other
    for other in "$CACHE/$2"-*; do
        if [ "$other" != "$1" ]; then rm -rf "$other"; fi
    done
}

# --- packages ---------------------------------------------------------------------------------------------------------

# apt with a state of its own below the cache, so that it needs no root and changes nothing on this machine. It knows
# the machine's sources and, on Debian bookworm, the backports of the same mirror.
private_apt() {
    local tool=$1 state=$CACHE/apt
    shift
    "$tool" -o Dir::State="$state/state" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
        -o Dir::Etc::sourceparts="$state/sources" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Debug::NoLocking=1 "$@"
}

release() { (. /etc/os-release && echo "${!1-}"); }

# Fetches the lists of packages, once for each cache.
private_apt_ready() {
    local state=$CACHE/apt
    [ -f "$state/ready" ] && return
    say "fetching the lists of packages"
    rm -rf "$state"
    mkdir -p "$state"/{state/lists/partial,cache/archives/partial,sources}
    : >"$state/status"
    cp -rL /etc/apt/sources.list.d/. "$state/sources/" 2>/dev/null || true
    if [ -f /etc/apt/sources.list ]; then cp /etc/apt/sources.list "$state/sources/machine.list"; fi
    if [ "$(release VERSION_CODENAME)" = bookworm ] && ! grep -rqs bookworm-backports "$state/sources"; then
        local mirror
        [ -n "$(apt-get indextargets --format '$(RELEASE)')" ] || apt_update
        mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(REPO_URI)' | sed -n 's/^[^ ]* bookworm //p' | head -1)
        [ -n "$mirror" ] || fail "apt knows no mirror of Debian bookworm"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
            >"$state/sources/backports.list"
    fi
    private_apt apt-get update -qq
    touch "$state/ready"
}

# fetch FOLDER PACKAGE...: downloads packages there.
fetch() {
    local folder=$1
    shift
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && private_apt apt-get download -qq "$@")
}

# --- kernel -----------------------------------------------------------------------------------------------------------

# Fetches the distribution's kernel for virtual machines and takes apart what an image needs; prints the folder.
distribution_kernel() {
    local arch codename dir name suite= debs
    arch=$(dpkg --print-architecture)
    codename=$(release VERSION_CODENAME)
    dir=$CACHE/kernel-$codename-$arch-$(content_key rootfs/modules rootfs/tools/modules rootfs/tools/vmlinux)
    if ! [ -f "$dir/key" ]; then
        private_apt_ready
        name=linux-image-cloud-$arch
        # The kernel of bookworm itself has no generation counter for copied machines (CONFIG_VMGENID).
        [ "$codename" = bookworm ] && suite=/bookworm-backports
        [ "$(release ID)" = ubuntu ] && name=linux-image-virtual
        name=$(private_apt apt-cache depends "$name$suite" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)/\1/p' | head -1)
        [ -n "$name" ] || fail "apt knows no kernel for virtual machines"
        debs=("$name")
        # Ubuntu has the modules in a package of their own.
        if private_apt apt-cache show "${name/image/modules}" >/dev/null 2>&1; then debs+=("${name/image/modules}"); fi
        say "fetching the kernel $name"
        rm -rf "$dir"
        mkdir -p "$dir/tree"
        fetch "$dir/debs" "${debs[@]}"
        for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/tree"; done
        rootfs/tools/vmlinux "$dir"/tree/boot/vmlinuz-* "$dir/vmlinux"
        rootfs/tools/modules "$(kernel_modules "$dir/tree")" "$dir/modules" rootfs/modules
        cp "$dir"/tree/boot/config-* "$dir/config" 2>/dev/null || true
        rm -rf "$dir/tree" "$dir/debs"
        content_key "$dir/vmlinux" "$dir/modules" >"$dir/key"
        forget_others "$dir" "kernel-$codename-$arch"
    fi >&2
    echo "$dir"
}

kernel_modules() {
    local found
    for found in "$1"/lib/modules/* "$1"/usr/lib/modules/*; do
        if [ -d "$found/kernel" ]; then echo "$found" && return; fi
    done
    fail "the kernel's package has no modules"
}

# own_kernel FILE DIR
own_kernel() {
    [ -f "$2/key" ] && return
    mkdir -p "$2"
    rootfs/tools/vmlinux "$1" "$2/vmlinux"
    content_key "$2/vmlinux" >"$2/key"
}

# --- trees ------------------------------------------------------------------------------------------------------------

# A tree is a folder of the cache with tree.tar and the file key.

# flavour_tree FLAVOUR: makes the flavour's own tree from packages; prints its folder. The flavour says which (PACKAGES,
# WITHOUT, CLOSURE) and puts them together (make_tree DEBS TREE).
flavour_tree() {
    local flavour=$1 dir
    dir=$CACHE/$flavour-$(release VERSION_CODENAME)-$(dpkg --print-architecture)-$LAYOUT-$(content_key "rootfs/flavours/$flavour")
    if ! [ -f "$dir/key" ]; then
        private_apt_ready
        local packages=$PACKAGES
        if [ -n "$CLOSURE" ]; then packages=$(with_needs "$PACKAGES" | grep -Evx "$WITHOUT"); fi
        say "fetching $(wc -w <<<"$packages") packages for $flavour"
        # shellcheck disable=SC2086 # several packages in one word
        fetch "$dir/debs" $packages
        say "putting them together"
        as_root bash -euo pipefail -c '
            cd "$1"; source scripts/lib.sh; source rootfs/lib.sh; source "rootfs/flavours/$2"
            rm -rf "$3/tree"; mkdir -p "$3/tree"
            make_tree "$3/debs" "$3/tree"
            tar -C "$3/tree" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner --format=gnu -cf "$3/tree.tar" .
            rm -rf "$3/tree"' - "$PWD" "$flavour" "$dir"
        (cd "$dir/debs" && ls) >"$dir/packages"
        rm -rf "$dir/debs"
        content_key "$dir/tree.tar" >"$dir/key"
        forget_others "$dir" "$flavour-$(release VERSION_CODENAME)-$(dpkg --print-architecture)"
    fi >&2
    echo "$dir"
}

# with_needs PACKAGES: adds what they need, one package a line, as apt would install them on an empty disk.
with_needs() {
    # shellcheck disable=SC2086 # several packages in one word
    private_apt apt-get -s --no-install-recommends install $1 | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}

# unpack_debs DEBS TREE: unpacks packages into one tree in which /bin, /sbin and /lib are links below /usr.
unpack_debs() {
    local name deb
    for name in bin sbin lib lib64; do
        mkdir -p "$2/usr/$name"
        ln -sfn "usr/$name" "$2/$name"
    done
    for deb in "$1"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$2" --keep-directory-symlink --numeric-owner -xpf -
    done
}

# base_tree DIR|TAR: makes a tree of what somebody else made; prints its folder.
base_tree() {
    local base=$1 dir
    if [ -d "$base" ]; then
        dir=$CACHE/base-$(find "$base" -printf '%P %m %U %G %s %T@ %l\n' | LC_ALL=C sort | sha256sum | cut -c1-16)
    else
        dir=$CACHE/base-$(content_key "$base")
    fi
    if ! [ -f "$dir/key" ]; then
        mkdir -p "$dir"
        if [ -d "$base" ]; then
            tar -C "$base" --sort=name --numeric-owner -cf "$dir/tree.tar" .
        else
            unpacked "$base" >"$dir/tree.tar"
        fi
        content_key "$dir/tree.tar" >"$dir/key"
    fi >&2
    echo "$dir"
}

# unpacked TAR: gives it without its compression.
unpacked() {
    case $(head -c 4 "$1" | od -An -tx1 | tr -d ' ') in
    1f8b*) gzip -dc "$1" ;;
    fd377a58) xz -dc "$1" ;;
    28b52ffd) zstd -dcq "$1" ;;
    *) cat "$1" ;;
    esac
}
