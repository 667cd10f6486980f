# Checks the duties of the first process from inside a machine, as root, by whatever shell is there.
# Prints a line for each: `ok NAME`, or `FAIL NAME`; ends with 1 if one failed. Run it as a program of the agent: it looks at
# its parent.
failed=0
probe() {
    name=$1
    shift
    if ("$@") >/dev/null 2>&1; then echo "ok $name"; else echo "FAIL $name" && failed=1; fi
}
mounted() { awk -v at="$1" -v kind="$2" '$2 == at && $3 == kind { found = 1 } END { exit !found }' /proc/mounts; }
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
alive() { kill -0 "$1" 2>/dev/null; }

probe proc mounted /proc proc
probe sysfs mounted /sys sysfs
probe devtmpfs mounted /dev devtmpfs
probe devpts mounted /dev/pts devpts
probe terminals-are-everybodys mode /dev/ptmx 666
probe shm mounted /dev/shm tmpfs
probe shm-is-everybodys mode /dev/shm 1777
probe run mounted /run tmpfs
probe tmp-is-everybodys mode /tmp 1777
probe cgroup2 mounted /sys/fs/cgroup cgroup2
for controller in cpu io memory pids; do
    probe "controller-$controller" grep -qw "$controller" /sys/fs/cgroup/cgroup.subtree_control
done
for link in fd stdin stdout stderr; do probe "link-$link" test -L "/dev/$link"; done
probe null-works sh -c 'echo x >/dev/null'
probe ptmx test -c /dev/ptmx
probe fd-works sh -c 'echo x | cat /dev/fd/0 | grep -q x'
probe loopback sh -c 'ip addr show lo | grep -q "inet 127.0.0.1/8" && ip link show lo | grep -q "[<,]UP[,>]"'
probe hostname sh -c '[ "$(hostname)" != "(none)" ] && [ -n "$(hostname)" ]'
probe hosts-has-localhost grep -q '^127.0.0.1.*localhost' /etc/hosts
probe hosts-has-us sh -c 'grep -q "^127.0.1.1[[:space:]]*$(hostname)$" /etc/hosts'
probe open-files sh -c '[ "$(ulimit -Sn)" = 1024 ] && [ "$(ulimit -Hn)" = 524288 ]'
if grep -q ' ip=[0-9]' /proc/cmdline; then
    address=$(sed 's/.* ip=\([0-9.]*\).*/\1/' /proc/cmdline)
    probe address sh -c "ip addr | grep -q 'inet $address/'"
    probe default-route sh -c 'ip route | grep -q "^default via"'
    probe name-server grep -q ^nameserver /etc/resolv.conf
fi
probe user sh -c '[ "$(id -u user)" = 1000 ] && [ "$(stat -c %U:%G /home/user)" = user:user ]'
probe agent-under-both-names test /usr/bin/envd -ef /usr/bin/thawd
probe entropy-from-the-host sh -c '[ "$(cat /sys/class/misc/hw_random/rng_current)" = virtio_rng.0 ]'
probe sockets-can-be-ended sh -c 'grep -qw tcp_diag /proc/modules || [ -d /sys/module/tcp_diag ]'
probe no-initramfs-left sh -c '! grep -q " / rootfs " /proc/mounts && [ ! -e /modules ]'

# The agent is a child of process 1, before everybody and spared, and programs are not.
agent=$PPID
probe agent-is-not-process-1 sh -c "[ $agent -gt 1 ]"
probe agent-is-spared sh -c "[ \$(cat /proc/$agent/oom_score_adj) = -1000 ]"
probe agent-goes-first sh -c "[ \$(cut -d' ' -f19 /proc/$agent/stat) = -20 ]"
probe agent-has-a-cgroup sh -c "! grep -qx 0::/ /proc/$agent/cgroup"
probe programs-are-not-spared sh -c '[ "$(cat /proc/self/oom_score_adj)" = 100 ]'
probe programs-do-not-go-first sh -c '[ "$(cut -d" " -f19 /proc/self/stat)" = 0 ]'

# A process that loses its parent is process 1's, and leaves no zombie.
(sleep 0.2 & echo $! >/tmp/.orphan)
orphan=$(cat /tmp/.orphan) && rm -f /tmp/.orphan
probe orphan-goes-to-process-1 sh -c "[ \$(awk '/^PPid:/ { print \$2 }' /proc/$orphan/status) = 1 ]"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do alive "$orphan" && sleep 0.1; done
probe orphan-is-reaped sh -c "! [ -e /proc/$orphan ]"
exit $failed
