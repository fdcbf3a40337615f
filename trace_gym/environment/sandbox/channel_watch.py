"""What the processes of a sandbox use of memory, as its agent sees it. Runs with `channel_agent.py`.

Leaves out control groups themselves, which limit it exactly where there are any.
"""

from __future__ import annotations

import os
import resource

from trace_gym.environment.sandbox.channel_child import ignoring

_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_GROUP_EVENTS = [path for path in _EVENTS if os.path.exists(path)]


def memory_beyond(limit: int) -> bool:
    """Do the processes but this one hold more than `limit` bytes? Shared pages are shared out where counting
    them for each process would exceed it."""
    held = [int(text.split()[1]) for text in _read("statm").values()]
    return sum(held) * resource.getpagesize() > limit and _proportional() > limit


def _proportional() -> int:
    """Bytes of all processes, each page shared out among those that map it. A process that waits for its
    child to run another program (vfork) shows its memory twice, for the child uses it; once is enough."""
    found, maps, states = 0, _read("smaps_rollup"), _read("stat")
    for name, text in maps.items():
        _, _, rest = states.get(name, "").rpartition(") ")
        parent = rest.split()[1] if rest else ""
        _, _, waiting = states.get(parent, "").rpartition(") ")
        if not (waiting.startswith("D") and maps.get(parent) == text):
            found += sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))
    return found


def _read(file: str) -> dict[str, str]:
    """A file of every process but this one."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with ignoring(OSError), open(f"/proc/{name}/{file}", errors="replace") as opened:
                found[name] = opened.read()
    return found


def killed_for_memory() -> int:
    """How many processes the memory limit of the control group around this sandbox has killed, where one is
    shown inside."""
    for path in _GROUP_EVENTS:
        with ignoring(OSError), open(path) as opened:
            return sum(int(line.split()[1]) for line in opened if line.startswith("oom_kill "))
    return 0
