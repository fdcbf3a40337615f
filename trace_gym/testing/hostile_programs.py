"""Programs that try to break out of a sandbox, to outlast it, or to starve what runs beside it.

Each tries something that must fail, and prints BREACH where it did not. They are Python; `breach(what, do)`
and `call(number, ...)`, a raw system call on x86-64 and AArch64, are given to them. Leaves out what is made
of their end (`hostile.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trace_gym.testing.hostile_reaching import REACHING

PRELUDE = r"""
import ctypes, errno, os, platform, resource, signal, socket, struct, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
def call(x86, arm, *arguments):
    done = libc.syscall(arm if ARM else x86, *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done
def breach(what, do):
    try:
        found = do()
    except (OSError, ValueError, MemoryError, subprocess.SubprocessError, ImportError):
        return
    print("BREACH:", what, repr(found)[:200], flush=True)
def put(path, data):
    with open(path, "w") as opened:
        opened.write(data)
def get(path, size=4096):
    with open(path, "rb") as opened:
        return opened.read(size)
def fork(do):
    child = os.fork()
    if child == 0:
        try:
            do()
        finally:
            os._exit(0)
    return child
"""

_STARVING = {
    "fork bomb": """
while True:
    try: os.fork()
    except OSError: time.sleep(0.01)
""",
    "thread bomb": """
try:
    while True: threading.Thread(target=time.sleep, args=(60,)).start()
except RuntimeError: pass
""",
    "memory bomb": "hold = []\nwhile True: hold.append(bytearray(b'x' * (8 << 20)))",
    "memory bomb of many, out of the killer's sight": """
def swell():
    try: put("/proc/self/oom_score_adj", "0")
    except OSError: pass
    hold = []
    while True: hold.append(os.urandom(1 << 16))
for _ in range(24): fork(swell)
time.sleep(60)
""",
    "memory in unlinked shared memory": """
opened = open("/dev/shm/hidden", "wb"); os.unlink("/dev/shm/hidden")
try:
    while True: opened.write(bytes(1 << 20))
except OSError: pass
""",
    "memory in anonymous files": """
hold = []
while True:
    hold.append(os.memfd_create("m"))
    os.write(hold[-1], bytes(32 << 20))
""",
    "disk fill": """
for folder in ("/workspace", "/tmp", "/dev/shm"):
    try:
        with open(folder + "/fill", "wb") as opened:
            while True: opened.write(bytes(1 << 20))
    except OSError: pass
""",
    "a million empty files": """
try:
    for number in range(10 ** 6):
        os.close(os.open(f"/workspace/{number}", os.O_CREAT))
        if number % 1000 == 0 and number >= 200_000: print("BREACH: 200,000 files"); break
except OSError: pass
""",
    "unlinked files that stay open": """
hold = []
try:
    while True:
        hold.append(open("/tmp/gone", "wb")); os.unlink("/tmp/gone"); hold[-1].write(bytes(1 << 20))
except OSError: pass
time.sleep(60)
""",
    "sparse terabyte": """
with open("/workspace/sparse", "wb") as opened:
    breach("a sparse file of 1 TiB", lambda: (os.ftruncate(opened.fileno(), 1 << 40), 1)[1])
""",
    "deep folders": """
os.chdir("/workspace")
try:
    for _ in range(3000): os.mkdir("d"); os.chdir("d")
except OSError: pass
""",
    "folders without rights": """
for number in range(20):
    os.makedirs(f"/workspace/{number}/in"); put(f"/workspace/{number}/in/f", "x")
    os.chmod(f"/workspace/{number}/in", 0); os.chmod(f"/workspace/{number}", 0)
""",
    "endless output": "while True: os.write(1, b'x' * 65536)",
    "endless output on both streams from many": """
for _ in range(8): fork(lambda: [os.write(1 + _ % 2, b"y" * 65536) for _ in iter(int, 1)])
time.sleep(60)
""",
    "output to a full device": """
with open("/dev/full", "wb", buffering=0) as opened:
    breach("writing to /dev/full", lambda: opened.write(b"x"))
""",
    "closed streams": "os.close(0); os.close(1); os.close(2); time.sleep(60)",
    "open files without end": """
hold = []
try:
    while True: hold.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
if len(hold) > 100_000: print("BREACH: open files")
""",
    "watches without end": """
try:
    for _ in range(100_000): call(294, 26, 0)
    print("BREACH: 100,000 inotify instances")
except OSError: pass
time.sleep(60)
""",
    "pipes without end": """
hold = []
try:
    while True:
        hold.append(os.pipe()); os.set_blocking(hold[-1][1], False); os.write(hold[-1][1], bytes(65536))
except OSError: pass
""",
    "busy on every core": "for _ in range(16): fork(lambda: [0 for _ in iter(int, 1)])\ntime.sleep(60)",
    "core dump": """
try: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
except (OSError, ValueError): pass
os.abort()
""",
    "stack overflow": "sys.setrecursionlimit(10 ** 9)\ndef f(): return f()\nf()",
    "stopped for ever": "os.kill(os.getpid(), signal.SIGSTOP)",
    "stopped children": "for _ in range(5): fork(lambda: os.kill(os.getpid(), signal.SIGSTOP))",
}

_LINGERING = {
    "daemon by double fork": """
def hide():
    os.setsid()
    if os.fork(): os._exit(0)
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: put("/workspace/alive", str(time.time())); time.sleep(0.01)
os.waitpid(fork(hide), 0)
""",
    "children that fork as they are killed": """
def breed():
    while True:
        try:
            if os.fork() == 0: os.setsid()
        except OSError: pass
fork(breed); time.sleep(0.3)
""",
    "kill everybody": "os.kill(-1, signal.SIGKILL)",
    "signals to the root of the sandbox": """
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
""",
    "the channel through /proc": """
for number in os.listdir("/proc"):
    if number.isdigit() and number != str(os.getpid()):
        breach(f"memory of {number}", lambda: open(f"/proc/{number}/mem", "r+b"))
        breach(f"files of {number}", lambda: os.listdir(f"/proc/{number}/fd"))
        breach(f"root of {number}", lambda: os.listdir(f"/proc/{number}/root"))
for number in range(3, 1024):
    breach(f"an inherited descriptor {number}", lambda: os.fstat(number))
""",
    "limits of the root of the sandbox": """
for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS):
    breach("its limits", lambda: resource.prlimit(1, kind, (1, 1)))
""",
    "a slow root of the sandbox": """
end = time.monotonic() + 0.5
while time.monotonic() < end:
    for slow in (lambda: os.setpriority(os.PRIO_PROCESS, 1, 19), lambda: os.sched_setaffinity(1, {0}),
                 lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))):
        try: slow()
        except OSError: pass
""",
    "fake end markers": r"""
fake = b'{"status": 0, "seconds": 0, "timed_out": false, "truncated": false, "over_memory": false}'
frame = b"X" + struct.pack(">I", len(fake)) + fake
for descriptor in range(1, 64):
    try: os.write(descriptor, frame * 3 + b"\n")
    except OSError: pass
sys.exit(3)
""",
    "terminal input": """
breach("TIOCSTI", lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"))
breach("a terminal", lambda: os.open("/dev/tty", os.O_RDWR))
""",
    "planted start-up files": """
for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "json.py", "os.py", "site.py",
             "select.py"):
    for folder in ("/workspace", "/tmp", "/workspace/.local/lib/python3.11/site-packages"):
        os.makedirs(folder, exist_ok=True)
        put(f"{folder}/{name}", "open('/workspace/planted', 'w').write('ran')")
put("/workspace/.bashrc", "exit 9"); put("/workspace/.profile", "exit 9"); put("/workspace/.pythonrc", "1/0")
for folder in ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/local/lib", "/run", "/run/agent", "/etc"):
    breach("planting in " + folder, lambda: put(folder + "/sitecustomize.py", "1/0"))
""",
}

STARVING = frozenset(_STARVING)  # most of these end only when their time is up
HOSTILE: Mapping[str, str] = MappingProxyType({**_STARVING, **_LINGERING, **REACHING})
