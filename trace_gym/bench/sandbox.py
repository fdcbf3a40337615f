"""Sandboxes measured: a command's round trip, a fork, a checkout, many at once; beside plain Docker.

Every kind of sandbox that this machine has is measured in the same run, in turns, so that what else the
machine does weighs on all alike. Plain Docker is `docker run`, `docker exec` and `docker commit`. Leaves out
printing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from trace_gym.core.errors import SandboxFailed, SandboxUnavailable, boundary
from trace_gym.core.sandbox import Sandbox, SandboxProvider, SandboxSpec
from trace_gym.environment.sandbox import KINDS, missing, provider

TRUE = ("true",)
IMAGE = "trace-gym-base:latest"
_PATIENCE_S = 300
_WORKSPACE = (
    "import os\n"
    "for index in range({files}):\n"
    "    os.makedirs(f'd{{index % 20}}', exist_ok=True)\n"
    "    open(f'd{{index % 20}}/f{{index}}', 'w').write(str(index) * 50)\n"
)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds: the least, the median and the ninth decile of `count` measurements; what is promised of
    the median, if anything. The least is what is left where the machine does other things besides."""

    least_ms: float
    median_ms: float
    decile_ms: float
    count: int
    target_ms: float | None = None

    @property
    def met(self) -> bool | None:
        """Is the median within the promise?"""
        return None if self.target_ms is None else self.median_ms <= self.target_ms


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found: `timings[who][what]`; `absent` says why a kind was not measured."""

    files: int
    many: int
    load: float
    timings: dict[str, dict[str, Timing]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def run(
    kinds: Sequence[str] = KINDS,
    *,
    repeats: int = 50,
    files: int = 1000,
    many: int = 64,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Measure each kind of sandbox that is here, and plain Docker where its program and the sandboxes' image
    are. `repeats` for each figure (a command's round trip: four times as many).

    Raises SandboxUnavailable: there is none; SandboxFailed.
    """
    found = Measured(files, many, os.getloadavg()[0])
    for kind in kinds:
        reason = missing(kind)
        if reason is not None:
            found.absent[kind] = reason
    here = [kind for kind in kinds if kind not in found.absent]
    if not here:
        raise SandboxUnavailable(" ".join(found.absent.values()))
    samples: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        stands = [stack.enter_context(_Stand(kind, files, clock).standing()) for kind in here]
        for _ in range(repeats):
            for stand in stands:
                for what, seconds in stand.once():
                    samples.setdefault(stand.kind, {}).setdefault(what, []).append(seconds)
        for stand in stands:
            samples[stand.kind][f"{many} at once"] = [stand.crowd(many)]
    if "docker" in here:
        samples["plain docker"] = dict(_plain_docker(max(3, repeats // 10), files, clock))
    for who, timings in samples.items():
        found.timings[who] = {
            what: _timing(values, _TARGETS.get((who, what))) for what, values in timings.items()
        }
    return found


_ROUND_TRIP, _CHECKOUT = "command round trip", "warm checkout and command"
_FORK, _SNAPSHOT = "fork and command", "snapshot"
_TARGETS = {
    ("bwrap", _ROUND_TRIP): 2.0,
    ("docker", _ROUND_TRIP): 2.0,
    ("bwrap", _FORK): 15.0,
    ("docker", _FORK): 20.0,
    ("bwrap", _CHECKOUT): 20.0,
    ("docker", _CHECKOUT): 20.0,
}


class _Stand:
    """One kind of sandbox with a workspace to fork and a child to fork it into."""

    def __init__(self, kind: str, files: int, clock: Clock) -> None:
        self.kind = kind
        self._provider: SandboxProvider = provider(kind)
        self._files = files
        self._clock = clock

    @contextmanager
    def standing(self) -> Iterator[_Stand]:
        """Open what is measured, for the length of a `with` statement."""
        with closing(self._provider.open(SandboxSpec())) as parent:
            made = parent.run(["python3", "-c", _WORKSPACE.format(files=self._files)])
            if not made.ok:
                raise SandboxFailed(f"the workspace cannot be made: {made}")
            with closing(self._provider.open(SandboxSpec())) as child, closing(parent.snapshot()) as whole:
                self._parent, self._child, self._whole = parent, child, whole
                yield self

    def once(self) -> Iterator[tuple[str, float]]:
        """One measurement of each figure, in seconds."""
        for _ in range(4):
            yield _ROUND_TRIP, self._time(lambda: self._child.run(TRUE))
        yield _FORK, self._time(self._fork)
        self._child.run(["sh", "-c", "echo changed > d0/f0; rm d1/f1"])
        begun = self._clock()
        changed = self._child.snapshot()
        yield _SNAPSHOT, self._clock() - begun
        changed.close()
        begun = self._clock()
        fresh = self._provider.open(SandboxSpec())
        fresh.run(TRUE)
        yield _CHECKOUT, self._clock() - begun
        fresh.close()

    def crowd(self, many: int) -> float:
        """Seconds until `many` sandboxes, all open at once, have each answered a command."""
        begun = self._clock()
        with ThreadPoolExecutor(16) as threads, ExitStack() as stack:
            boxes = list(threads.map(lambda _: self._provider.open(SandboxSpec()), range(many)))
            for box in boxes:
                stack.callback(box.close)
            answers = list(threads.map(_answers, range(many), boxes))
            seconds = self._clock() - begun
        if not all(answers):
            raise SandboxFailed(f"{answers.count(False)} of {many} sandboxes gave another's answer")
        return seconds

    def _fork(self) -> None:
        self._child.restore(self._whole)
        self._child.run(TRUE)

    def _time(self, action: Callable[[], object]) -> float:
        begun = self._clock()
        action()
        return self._clock() - begun


def _answers(number: int, box: Sandbox) -> bool:
    box.write("/workspace/number", str(number).encode())
    return box.run(["cat", "number"]).stdout == str(number).encode()


def _plain_docker(repeats: int, files: int, clock: Clock) -> Iterator[tuple[str, list[float]]]:
    """`docker run`, `docker exec`, `docker commit` in seconds; nothing where the program is not here."""
    program = shutil.which("docker")
    if program is None:
        return

    def call(*words: str) -> str:
        with boundary(SandboxFailed, OSError, subprocess.SubprocessError, what="docker"):
            done = subprocess.run(
                [program, *words], check=True, capture_output=True, text=True, timeout=_PATIENCE_S
            )
        return done.stdout.strip()

    def timed(*words: str) -> float:
        begun = clock()
        call(*words)
        return clock() - begun

    yield "docker run", [timed("run", "--rm", "--network", "none", IMAGE, "true") for _ in range(repeats)]
    container = call("run", "-d", "--init", "--network", "none", "-w", "/tmp", IMAGE, "sleep", "600")
    images: list[str] = []
    try:
        call("exec", container, "python3", "-c", _WORKSPACE.format(files=files))
        yield "docker exec", [timed("exec", container, "true") for _ in range(repeats)]
        commits = []
        for number in range(repeats):
            images.append(f"trace-gym-bench:{os.getpid()}-{number}")
            commits.append(timed("commit", container, images[-1]))
        yield "docker commit", commits
        runs = [timed("run", "--rm", "--network", "none", images[0], "true") for _ in range(repeats)]
        yield "docker commit and run", [commit + run for commit, run in zip(commits, runs, strict=True)]
    finally:
        call("rm", "-f", container)
        if images:
            call("rmi", "-f", *images)


def _timing(seconds: list[float], target_ms: float | None) -> Timing:
    decile = quantiles(seconds, n=10)[-1] if len(seconds) > 1 else seconds[0]
    return Timing(min(seconds) * 1e3, median(seconds) * 1e3, decile * 1e3, len(seconds), target_ms)
