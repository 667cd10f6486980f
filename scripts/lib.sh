# What the scripts share: saying, installing, finding.

# Where administrators' tools are (mke2fs, chroot): not on every user's path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# as_admin COMMAND...: runs it as root, with sudo where we are not.
as_admin() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Reads the mirror's lists once in a run; they may be missing or old.
apt_update() {
    [ -z "${APT_UPDATED:-}" ] || return 0
    as_admin apt-get update -qq
    APT_UPDATED=1
}

# install PACKAGES WHY: installs Debian packages.
install() {
    local packages=$1 why=$2
    command -v apt-get >/dev/null 2>&1 || fail "$why is missing: install it (Debian: $packages)"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "$why is missing: install it as root (apt-get install $packages)"
    fi
    say "installing $packages (for $why)"
    apt_update
    # shellcheck disable=SC2086 # several packages in one word
    as_admin env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

# need COMMAND PACKAGES: installs the packages if the command is missing.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    install "$2" "$1"
    command -v "$1" >/dev/null 2>&1 || fail "$1 is still missing after installing $2"
}

# Node 20 or newer, which the JavaScript SDKs want; where the distribution's is older, npm's own copy of node.
need_node() {
    local tools arch
    tools=$(git rev-parse --show-toplevel 2>/dev/null || pwd)/target/tools
    [ -d "$tools/node/bin" ] && export PATH="$tools/node/bin:$PATH"
    node_is_new && command -v npm >/dev/null 2>&1 && return
    need npm "npm nodejs"
    node_is_new && return
    case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) fail "node 20 or newer is missing" ;; esac
    say "installing node 22 into target/tools ($(node --version 2>/dev/null || echo none) is too old)"
    mkdir -p "$tools/node"
    npm install --silent --no-save --no-package-lock --prefix "$tools/node" "node-linux-$arch@22"
    ln -sfn "node_modules/node-linux-$arch/bin" "$tools/node/bin"
    export PATH="$tools/node/bin:$PATH"
    node_is_new || fail "node 20 or newer could not be installed"
}

node_is_new() {
    node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null
}

# What makes environments of Python; Debian has it apart.
need_ensurepip() {
    python3 -c "import ensurepip" 2>/dev/null ||
        install "python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" "ensurepip of python3"
}

need_rust() {
    command -v cargo >/dev/null 2>&1 && return
    [ -x "$HOME/.cargo/bin/cargo" ] && export PATH="$HOME/.cargo/bin:$PATH" && return
    fail "the Rust toolchain is missing: install it with rustup (Rust 1.88 or newer)"
}

# Where cgroup v2 is mounted and ours to write; nothing where it is not.
cgroup_mount() {
    local mount
    for mount in /sys/fs/cgroup /sys/fs/cgroup/unified; do
        if [ -e "$mount/cgroup.controllers" ] && [ -w "$mount" ]; then
            echo "$mount"
            return
        fi
    done
}

# The flags that place programs there.
cgroup_flags() {
    local mount
    mount=$(cgroup_mount)
    if [ -n "$mount" ]; then echo "-cgroup-root $mount"; else echo "-no-cgroups"; fi
}

# wait_for_health PORT PID: waits until the daemon answers, or fails when it ends.
wait_for_health() {
    local port=$1 pid=$2
    for _ in $(seq 1 100); do
        sleep 0.1
        # First that it lives: somebody else may answer on the port.
        kill -0 "$pid" 2>/dev/null || fail "the daemon ended; is port $port taken?"
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    done
    fail "the daemon does not answer on port $port"
}

# QEMU 7.2 or newer with qemu-img. On Debian 12 from the backports of the mirror that apt uses already: the release's
# own 7.2 cannot run newer kernels without KVM, and pushes a newer qemu-utils out.
need_qemu() {
    local packages="qemu-system-x86 qemu-utils" bookworm=
    grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release && bookworm=1
    if command -v qemu-system-x86_64 >/dev/null 2>&1 && command -v qemu-img >/dev/null 2>&1; then
        [ -n "$bookworm" ] && qemu-system-x86_64 --version | grep -q 'version 7\.' || return 0
        say "QEMU 7 cannot run this kernel without KVM: taking the one of bookworm-backports"
    fi
    if [ -n "$bookworm" ]; then
        need_backports
        packages="-t bookworm-backports $packages"
    fi
    install "$packages" QEMU
}

# Tells apt of Debian 12's backports, unless it knows them.
need_backports() {
    local mirror
    apt_update
    apt-get indextargets --format '$(RELEASE)' | grep -qx bookworm-backports && return
    mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | sed -n 's/^bookworm //p' | head -1)
    [ -n "$mirror" ] || fail "apt knows no mirror of Debian bookworm"
    say "adding bookworm-backports to apt's sources (/etc/apt/sources.list.d/thawd-backports.list)"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" |
        as_admin tee /etc/apt/sources.list.d/thawd-backports.list >/dev/null
    APT_UPDATED=
}
