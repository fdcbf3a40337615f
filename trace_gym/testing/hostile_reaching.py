"""Hostile programs that reach for what is not theirs: the host, its kernel, the network, other episodes.

Leaves out those that starve or outlast others (`hostile_programs.py`, which says how all are written).
"""

from __future__ import annotations

REACHING = {
    "host files": """
for path in ("/etc/shadow", "/root", "/home/user", "/var/run/docker.sock", "/run/docker.sock", "/proc/kcore",
             "/proc/1/environ", "/proc/1/root/etc", "/proc/1/cwd/etc", "/sys/kernel", "/boot",
             "/var/lib/docker"):
    breach(path, lambda: (os.listdir(path) or get("/nowhere")) if os.path.isdir(path) else get(path))
""",
    "the library and its graders": """
for name in ("trace_gym", "trace_gym_envs", "numpy", "pytest"): breach(name, lambda: __import__(name))
found = subprocess.run("find / -name 'trace_gym*' -not -path '/proc/*' -not -path '/run/agent*' 2>/dev/null",
                       shell=True, capture_output=True, text=True).stdout
if found: print("BREACH:", found)
""",
    "other episodes": """
found = subprocess.run("find / -name 'canary-of-the-neighbour' -not -path '/proc/*' 2>/dev/null", shell=True,
                       capture_output=True, text=True).stdout
if found: print("BREACH:", found)
for folder in os.listdir("/tmp"): print("BREACH: in /tmp", folder)
""",
    "kernel settings": """
for path in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory",
             "/proc/sys/kernel/randomize_va_space", "/proc/sysrq-trigger", "/proc/sys/net/ipv4/ip_forward",
             "/proc/irq/default_smp_affinity", "/proc/1/oom_score_adj", "/proc/sys/fs/file-max",
             "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/proc/acpi/wakeup",
             "/proc/sys/kernel/ns_last_pid", "/proc/sys/user/max_user_namespaces"):
    breach(path, lambda: put(path, "1"))
""",
    "mounts": """
breach("tmpfs", lambda: call(165, 40, b"none", b"/tmp", b"tmpfs", 0, None))
breach("bind", lambda: call(165, 40, b"/", b"/tmp", None, 0x1000, None))
breach("remount", lambda: call(165, 40, b"none", b"/usr", None, 0x1020, None))
breach("unmount", lambda: call(166, 39, b"/workspace", 2))
breach("open_tree", lambda: call(428, 428, -100, b"/", 1))
breach("fsopen", lambda: call(430, 430, b"tmpfs", 0))
breach("pivot_root", lambda: call(155, 41, b"/workspace", b"/workspace"))
breach("chroot", lambda: os.chroot("/workspace"))
breach("fusermount", lambda: subprocess.run(["mount", "-t", "tmpfs", "none", "/tmp"], check=True))
""",
    "name spaces": """
for flag in (0x10000000, 0x20000, 0x40000000, 0x8000000, 0x4000000, 0x20000000, 0x2000000):
    breach(f"unshare {flag:x}", lambda: call(272, 97, flag))
    breach(f"clone {flag:x}", lambda: call(56, 220, flag | 17, 0, 0, 0, 0) or os._exit(0))
breach("unshare program", lambda: subprocess.run(["unshare", "-Ur", "true"], check=True, stderr=-3))
for name in ("mnt", "pid", "net", "user"):
    breach("setns " + name, lambda: call(308, 268, os.open("/proc/self/ns/" + name, os.O_RDONLY), 0))
""",
    "tracing": """
child = fork(lambda: time.sleep(5))
breach("attach", lambda: call(101, 117, 16, child, 0, 0))
breach("seize", lambda: call(101, 117, 0x4206, 1, 0, 0))
breach("traceme", lambda: call(101, 117, 0, 0, 0, 0))
buffer = ctypes.create_string_buffer(64)
breach("process_vm_readv", lambda: call(310, 270, 1, buffer, 1, buffer, 1, 0))
breach("pidfd_getfd", lambda: call(438, 438, os.pidfd_open(child), 0, 0))
breach("kcmp", lambda: call(312, 272, os.getpid(), child, 0, 0, 0))
""",
    "raw and exotic sockets": """
for family, kind, protocol in ((17, 3, 0), (2, 3, 1), (10, 3, 58), (2, 3, 255), (38, 5, 0), (40, 1, 0),
                               (16, 3, 9), (15, 3, 2), (29, 3, 1), (30, 5, 0), (31, 3, 1), (16, 3, 15),
                               (44, 3, 0)):
    breach(f"socket({family}, {kind}, {protocol})", lambda: socket.socket(family, kind, protocol))
""",
    "the network": """
for host, port in (("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 22), ("172.17.0.1", 2375),
                   ("::1", 22)):
    breach(f"{host}:{port}", lambda: socket.create_connection((host, port), timeout=1))
breach("a datagram", lambda: socket.socket(2, 2).sendto(b"x", ("8.8.8.8", 53)))
breach("a name", lambda: socket.getaddrinfo("example.com", 80))
links = [name for name in os.listdir("/sys/class/net")] if os.path.isdir("/sys/class/net") else []
if set(links) - {"lo"}: print("BREACH: links", links)
""",
    "abstract sockets of the host": """
for line in get("/proc/net/unix", 1 << 20).decode().splitlines()[1:]:
    print("BREACH: a socket of somebody else", line)
""",
    "the clock and the host's name": """
now = struct.pack("=qq", 0, 0)
breach("clock_settime", lambda: call(227, 112, 0, now))
breach("settimeofday", lambda: call(164, 170, now, None))
breach("adjtimex", lambda: call(159, 171, ctypes.create_string_buffer(256)))
breach("hostname", lambda: socket.sethostname("mine"))
breach("domain name", lambda: call(171, 162, b"mine", 4))
""",
    "keys": """
breach("add_key", lambda: call(248, 217, b"user", b"k", b"v", 1, -3))
breach("keyctl", lambda: call(250, 219, 0, -3, 1))
breach("request_key", lambda: call(249, 218, b"user", b"k", None, -3))
""",
    "kernel interfaces": """
room = ctypes.create_string_buffer(256)
breach("bpf", lambda: call(321, 280, 0, room, 128))
breach("userfaultfd", lambda: call(323, 282, 1))
breach("perf_event_open", lambda: call(298, 241, room, 0, -1, -1, 0))
breach("io_uring", lambda: call(425, 425, 4, room))
breach("fanotify", lambda: call(300, 262, 0, 0))
breach("module", lambda: call(175, 105, room, 16, b""))
breach("finit_module", lambda: call(313, 273, 0, b"", 0))
breach("kexec", lambda: call(246, 104, 0, 0, None, 0))
breach("reboot", lambda: call(169, 142, 0xFEE1DEAD, 672274793, 0, None))
breach("swapon", lambda: call(167, 224, b"/workspace/swap", 0))
breach("acct", lambda: call(163, 89, b"/workspace/acct"))
breach("quotactl", lambda: call(179, 60, 0x800002 << 8, b"/dev/vda", 0, None))
breach("syslog", lambda: call(103, 116, 3, room, 64))
breach("open_by_handle_at", lambda: call(304, 265, os.open("/", os.O_RDONLY), room, 0))
breach("a call from the future", lambda: call(999, 999))
if not ARM:
    breach("iopl", lambda: call(172, 0, 3))
    breach("modify_ldt", lambda: call(154, 0, 0, room, 16))
""",
    "devices": """
for name in ("mem", "kmem", "port", "kvm", "sda", "vda", "nvme0n1", "loop-control", "loop0", "fuse",
             "net/tun", "kmsg", "uinput", "vhost-net", "vsock", "nvidia0", "dri/card0", "ppp", "snapshot",
             "rtc0"):
    breach("/dev/" + name, lambda: os.open("/dev/" + name, os.O_RDWR))
for folder in ("/workspace", "/tmp", "/dev/shm"):
    breach("mknod in " + folder, lambda: os.mknod(folder + "/disk", 0o60600, os.makedev(8, 0)))
    breach("mknod null in " + folder, lambda: os.mknod(folder + "/zero", 0o20600, os.makedev(1, 5)))
""",
    "becoming root": """
breach("user", lambda: (os.setuid(0), os.getuid()))
breach("group", lambda: (os.setgid(0), os.getgid()))
breach("groups", lambda: (os.setgroups([0]), os.getgroups()))
breach("users", lambda: (os.setresuid(0, 0, 0), os.getuid()))
breach("chown", lambda: os.chown("/workspace", 0, 0))
put("/workspace/sh", "x"); os.chmod("/workspace/sh", 0o6755)
for name in ("su", "sudo", "mount", "passwd", "newgrp", "chsh", "pkexec"):
    path = "/usr/bin/" + name
    if not os.path.exists(path) or not os.stat(path).st_mode & 0o4000: continue
    if not os.statvfs(path).f_flag & os.ST_NOSUID: print("BREACH: set-user-id works on", path)
lines = get("/proc/self/status").decode().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
    if int(status[name], 16): print("BREACH:", name, status[name])
if status["NoNewPrivs"] != "1": print("BREACH: privileges can be gained")
if status["Seccomp"] != "2": print("BREACH: no filter")
""",
    "control groups": """
for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"):
    breach("a group in " + path, lambda: os.mkdir(path + "/mine"))
    breach("leaving for " + path, lambda: put(path + "/cgroup.procs", "0"))
    breach("release_agent in " + path, lambda: put(path + "/release_agent", "/workspace/x"))
breach("a limit", lambda: put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"))
breach("version 2", lambda: put("/sys/fs/cgroup/memory.max", "max"))
""",
    "memory between processes that lasts": """
breach("shmget", lambda: call(29, 194, 7, 1 << 20, 0o1666))
breach("msgget", lambda: call(68, 186, 7, 0o1666))
breach("semget", lambda: call(64, 190, 7, 1, 0o1666))
""",
    "read-only folders": """
for folder in ("/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/dev", "/run", "/run/agent", "/var", "/home",
               "/proc"):
    breach("a file in " + folder, lambda: put(folder + "/planted", "x"))
    breach("removing from " + folder, lambda: os.rmdir(folder + "/" + os.listdir(folder)[0]))
for path in ("/etc/passwd", "/usr/bin/env", "/etc/hosts", "/usr/bin/python3"):
    breach("changing " + path, lambda: put(path, "x"))
    breach("renaming " + path, lambda: os.rename(path, path + "2"))
breach("moving the workspace", lambda: os.rename("/workspace", "/tmp/w"))
breach("removing the workspace", lambda: os.rmdir("/workspace"))
""",
    "links out of the workspace": """
for name, target in (("a", "/etc/shadow"), ("b", "/proc/1/root"), ("c", "../../../../etc/shadow"),
                     ("d", "/dev/mem"), ("grade.txt", "/proc/self/mem"), ("e", "/proc/1/fd/0"),
                     ("f", "/run/agent/__main__.py")):
    os.symlink(target, "/workspace/" + name)
for name in "abcd": breach(name, lambda: get("/workspace/" + name))
breach("a hard link", lambda: os.link("/etc/passwd", "/workspace/hard"))
breach("a hard link to a program", lambda: os.link("/usr/bin/env", "/workspace/hard2"))
""",
}
