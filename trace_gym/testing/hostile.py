"""Is a sandbox, and everything beside it, as good after a hostile program as before?

Leaves out the programs (`hostile_programs.py`).
"""

from __future__ import annotations

from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import ExecResult, Sandbox, SandboxLimits, SandboxProvider
from trace_gym.testing.demand import demand
from trace_gym.testing.hostile_programs import HOSTILE, PRELUDE, STARVING
from trace_gym.testing.sandbox_files import opened

LIMITS = SandboxLimits(memory_mb=128, pids=48, disk_mb=64, output_bytes=1 << 16, timeout_s=20.0)
STARVING_S = 1.5
CANARY = "/workspace/canary-of-the-neighbour"


def check_hostile(provider: SandboxProvider, name: str) -> ExecResult:
    """Run a hostile program beside a neighbour, then an honest episode in the same sandbox: what came of it.

    AssertionError: it got through, the neighbour or the next episode is harmed. SandboxFailed: it broke the
    sandbox, which is as bad.
    """
    with opened(provider, limits=LIMITS) as neighbour, opened(provider, limits=LIMITS) as box:
        neighbour.write(CANARY, b"sings")
        standing = neighbour.run(["python3", "-c", _STANDING]).stdout
        most_s = STARVING_S if name in STARVING else LIMITS.timeout_s
        result = box.run(["python3", "-c", PRELUDE + HOSTILE[name]], timeout_s=most_s)
        said = result.stdout + result.stderr
        demand(b"BREACH" not in said, f"{name}: {said[-2000:].decode(errors='replace')}")
        _files_hold(box, name)
        box.snapshot().close()
        box.reset()
        _is_well(box, name)
        now = box.run(["python3", "-c", _STANDING]).stdout
        demand(now == standing, f"{name}: priorities {standing!r} became {now!r}")
        demand(neighbour.read(CANARY) == b"sings", f"{name}: the neighbour is harmed")
    return result


def _files_hold(box: Sandbox, name: str) -> None:
    """The file calls answer with content or PathRefused, never with something of the host's."""
    try:
        names = list(box.files("/workspace", most=300_000))
    except PathRefused:
        names = []
    for path in ["a", "b", "c", "d", "e", "grade.txt", *names[:5]]:
        try:
            box.read(f"/workspace/{path}", max_bytes=1 << 27)
        except PathRefused:
            continue
    for path in ("/workspace/a", "/workspace/b/etc/planted", "/workspace/0/in/f"):
        try:
            box.write(path, b"graded")
        except PathRefused:
            continue
    outside = box.run(["ls", "/etc/planted", "/etc/shadow"])
    demand(not outside.stdout, f"{name}: a file is written outside the workspace")


def _is_well(box: Sandbox, name: str) -> None:
    """Is this as a new episode is to find it: no files, no processes, and all of its limits to itself?"""
    for folder in ("/workspace", "/tmp", "/dev/shm"):
        demand(not box.files(folder), f"{name}: {folder} is not empty after reset")
    seen = box.run(["python3", "-c", _HONEST])
    demand(seen.ok and seen.stdout == b"2 well 10 40000000\n", f"{name}: then {seen}")
    box.write("/workspace/x", b"y")
    demand(box.read("/workspace/x") == b"y", f"{name}: files do not work afterwards")
    box.reset()


# What the kernel gives to the root of the sandbox, and to a command. The root is what a command is while it
# starts one; then it comes first again, and has a second for that.
_STANDING = """
import os, time
end = time.monotonic() + 1.0
while os.getpriority(os.PRIO_PROCESS, 1) >= os.getpriority(os.PRIO_PROCESS, 0) and time.monotonic() < end:
    time.sleep(0.01)
for process in (1, 0):
    processors = sorted(os.sched_getaffinity(process))
    print(os.getpriority(os.PRIO_PROCESS, process), os.sched_getscheduler(process), processors)
"""

# How many processes there are; 64 of 128 MiB; ten children; 40 of 64 MB on the disk.
_HONEST = """
import os, subprocess
processes = sum(name.isdigit() for name in os.listdir("/proc"))
held = bytearray(64 << 20)
held[::4096] = b"1" * len(held[::4096])
children = [subprocess.Popen(["sleep", "0.05"]) for _ in range(10)]
done = sum(child.wait() == 0 for child in children)
with open("/workspace/f", "wb") as opened:
    for _ in range(40): opened.write(bytes(1000000))
size = os.path.getsize("/workspace/f")
os.unlink("/workspace/f")
print(processes, "well", done, size)
"""
