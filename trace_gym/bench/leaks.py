"""The leak drill: processes that play episodes in sandboxes are killed at random moments; what remains?

After each kill the reaper runs, and then no folder, mount, loop device, control group, process or container
of the dead process may be left. Everything happens below a folder for temporary files of its own, so
sandboxes of other processes are neither seen nor touched. Leaves out printing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from trace_gym.core.errors import BadConfig, SandboxFailed, SandboxUnavailable
from trace_gym.core.sandbox import FileSnapshot, SandboxLimits, SandboxSpec
from trace_gym.environment.sandbox import Kind, missing, provider
from trace_gym.environment.sandbox.cgroups import group_folders
from trace_gym.environment.sandbox.docker import connect
from trace_gym.environment.sandbox.lease import state_root
from trace_gym.environment.sandbox.mounts import mounted_below
from trace_gym.environment.sandbox.reaper import reap

_PATIENCE_S = 300.0
_LIMITS = SandboxLimits(memory_mb=64, pids=16, disk_mb=16, timeout_s=5.0)
_COMMANDS = (
    "echo x >> f",
    "sleep 0.2",
    "sleep 100 & echo y > g",
    "head -c 3000000 /dev/urandom > h",
    "rm -f f g h",
)


@dataclass(frozen=True, slots=True)
class Drill:
    """What came of a drill: `episodes` begun, `kills`, and `remains`, what was still there after a reaping,
    each with the kill that left it."""

    kind: str
    episodes: int
    kills: int
    remains: tuple[str, ...]
    seconds: float

    def json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def run(
    kind: Kind,
    *,
    episodes: int = 500,
    seed: int = 0,
    tell: Callable[[Drill], object] = lambda drill: None,
) -> Drill:
    """Kill players of a kind of sandbox until they have begun that many episodes, and `tell` what has come of
    it so far after each kill.

    Raises SandboxUnavailable; SandboxFailed: a player ended by itself, or the reaper failed.
    """
    if kind == "auto":
        raise BadConfig("a drill is for one kind of sandbox")
    reason = missing(kind)
    if reason is not None:
        raise SandboxUnavailable(reason)
    rng, drill, start = Random(seed), Drill(kind, 0, 0, (), 0.0), time.monotonic()
    with TemporaryDirectory(prefix="trace-gym-drill-") as scratch:
        while drill.episodes < episodes:
            after_s = rng.uniform(0.1, 3.0)
            killed = _kill_one(kind, Path(scratch), seed=rng.randrange(1 << 30), after_s=after_s)
            kills = drill.kills + 1
            found = [f"kill {kills}: {what}" for what in _swept(kind, Path(scratch), killed.process)]
            drill = Drill(
                kind,
                drill.episodes + killed.episodes,
                kills,
                (*drill.remains, *found),
                time.monotonic() - start,
            )
            tell(drill)
    return drill


def play(kind: Kind, *, seed: int) -> None:
    """Play episodes in sandboxes until killed; a line to standard output for each. The first sandbox stays
    open, so that all share one state."""
    rng, source = Random(seed), provider(kind)
    source.open(SandboxSpec(limits=_LIMITS))
    kept: list[FileSnapshot] = []
    while True:
        sys.stdout.write("episode\n")
        sys.stdout.flush()
        box = source.open(SandboxSpec(limits=_LIMITS))
        for _ in range(rng.randrange(1, 5)):
            box.run(["sh", "-c", rng.choice(_COMMANDS)])
            if rng.random() < 0.5:
                kept.append(box.snapshot())
            if kept and rng.random() < 0.5:
                box.restore(rng.choice(kept))
        while len(kept) > 4:
            kept.pop(0).close()
        box.close()


def sweep(kind: Kind, dead: int) -> list[str]:
    """Reap, then say what is still there below this process's folder for temporary files, and which control
    groups of the `dead` process."""
    daemon = connect() if kind == "docker" else None
    reap(daemon)
    root = state_root()
    return [
        *(f"folder {entry.name}" for entry in (root.iterdir() if root.is_dir() else ())),
        *(f"mount {target}" for target in mounted_below(root)),
        *(f"loop device of {backing}" for backing in _loops() if backing.startswith(str(root))),
        *(f"control group {group}" for group in group_folders(f"{kind}-{dead}-")),
        *(f"process {name}" for name in _processes(root)),
        *(f"{each.kind} {each.id}" for each in (daemon.found() if daemon else ()) if str(root) in each.lease),
    ]


@dataclass(frozen=True, slots=True)
class _Killed:
    process: int
    episodes: int


def _kill_one(kind: str, scratch: Path, *, seed: int, after_s: float) -> _Killed:
    """Kill a player at a random moment after its first episode began, or after it was started."""
    log = scratch / "log"
    with log.open("wb") as opened:
        player = _python(f"play({kind!r}, seed={seed})", scratch, stdout=opened)
        end = time.monotonic() + _PATIENCE_S
        patient = seed % 4 > 0
        while patient and not log.stat().st_size and player.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(after_s)
        ended = player.poll()
        player.kill()
        player.wait(_PATIENCE_S)
    if ended is not None:
        raise SandboxFailed(f"a player ended by itself with exit code {ended}")
    return _Killed(player.pid, log.read_bytes().count(b"\n"))


def _swept(kind: str, scratch: Path, dead: int) -> list[str]:
    sweeper = _python(f"print(json.dumps(sweep({kind!r}, {dead})))", scratch, stdout=subprocess.PIPE)
    said, _ = sweeper.communicate(timeout=_PATIENCE_S)
    if sweeper.returncode != 0:
        raise SandboxFailed("the reaper failed")
    found: list[str] = json.loads(said)
    return found


def _python(call: str, scratch: Path, *, stdout: Any) -> subprocess.Popen[bytes]:
    program = f"import json\nfrom trace_gym.bench.leaks import play, sweep\n{call}"
    environment = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen([sys.executable, "-c", program], stdout=stdout, env=environment)


def _loops() -> Iterator[str]:
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            yield backing.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # it went at this moment
            continue


def _processes(root: Path) -> Iterator[str]:
    """The processes that have something of the folder mounted, or in their words."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
        except OSError:
            continue
        if os.fsencode(root) in words and process.name != str(os.getpid()):
            yield f"{process.name} {words[:80]!r}"
