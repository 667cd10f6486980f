# What the scripts share: saying, installing, finding.

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND PACKAGE...: installs the Debian packages if the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return
    command -v apt-get >/dev/null 2>&1 || fail "$command is missing: install it (Debian: $*)"
    local as=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "$command is missing: install it as root (apt-get install $*)"
        as=(sudo)
    fi
    say "installing $* (for $command)"
    "${as[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_rust() {
    command -v cargo >/dev/null 2>&1 && return
    [ -x "$HOME/.cargo/bin/cargo" ] && export PATH="$HOME/.cargo/bin:$PATH" && return
    fail "the Rust toolchain is missing: install it with rustup (Rust 1.88 or newer)"
}

# The flags that place programs in cgroups where cgroup v2 is mounted and ours to write.
cgroup_flags() {
    local root
    for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
        if [ -e "$root/cgroup.controllers" ] && [ -w "$root" ]; then
            echo "-cgroup-root $root"
            return
        fi
    done
    echo "-no-cgroups"
}

# wait_for_health PORT PID: waits until the daemon answers, or fails when it ends.
wait_for_health() {
    local port=$1 pid=$2
    for _ in $(seq 1 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "$pid" 2>/dev/null || fail "the daemon ended; is port $port taken?"
        sleep 0.1
    done
    fail "the daemon does not answer on port $port"
}
