"""The kill drill: training and evaluation, with every kind of sandbox and of policy, killed at random moments
and resumed until they are done. Afterwards nothing may be lost, doubled, played again or different.

A process is killed with its children (SIGKILL), a quarter of them before their work began. After every kill
what was committed is noted, and must be in the finished run unchanged. Leaves out what is checked (`intact`),
and printing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

from trace_gym.bench import boxed
from trace_gym.bench.endpoint import Endpoint
from trace_gym.bench.intact import Rows, changed, committed, differing, unsound
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, EnvironmentFailed
from trace_gym.environment.sandbox import missing
from trace_gym.store import FILE, Store

Job: TypeAlias = Literal["eval", "train"]
WORKERS = 4
_PATIENCE_S = 1800.0
_SMALL = (
    *("predictor.name=value_head", "budget.step_trajectories=12", "run.pool=6", "run.steps=4"),
    *("train.lr=1e-3", "train.eps=1e-3", "warmstart.hidden=32", "warmstart.layers=1", "warmstart.demos=60"),
    *("warmstart.steps=25", "warmstart.batch_tokens=512", "warmstart.lr=1e-2", "eval.tasks=3"),
    f"run.workers={WORKERS}",
)
"""A training run of seconds."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is killed: a job with a kind of sandbox (`none`, `bwrap`, `docker`) and of policy (`scripted`,
    `tiny`, `chat`)."""

    job: Job
    sandbox: str
    policy: str

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.job} {self.sandbox} {self.policy}"


BOXES = ("none", "bwrap", "docker")
CELLS = (
    *(Cell("eval", box, policy) for box in BOXES for policy in ("scripted", "tiny", "chat")),
    *(Cell("train", box, "tiny") for box in BOXES),
)


@dataclass(slots=True)
class Drill:
    """What came of one cell: `runs` that were killed and finished, `kills`, of which `early` before the work
    began; `turns` in the finished runs, `asked` requests to the endpoint beyond them; `faults` in words.
    `broken`: attempts that a sandbox broke, on a machine too busy for it. They were played anew with other
    seeds, so what was played is then not compared."""

    cell: str
    runs: int = 0
    kills: int = 0
    early: int = 0
    turns: int = 0
    broken: int = 0
    asked: int | None = None
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def run(
    *, kills: int, seed: int = 0, cells: Sequence[Cell] = CELLS, longest_s: float = 2.0
) -> Iterable[Drill]:
    """Kill until there were `kills` in all, about as many in every cell; a cell whose sandbox is missing here
    is an error. `longest_s`: how long a process works at most before it is killed.

    Raises BadConfig; EnvironmentFailed: a process failed by itself.
    """
    absent = {cell.sandbox: missing(cell.sandbox) for cell in cells if cell.sandbox != "none"}
    reasons = [reason for reason in absent.values() if reason is not None]
    if reasons:
        raise BadConfig(f"the kill drill needs every sandbox it is for: {reasons[0]}")
    rng = Random(seed)
    with TemporaryDirectory(prefix="trace-gym-kills-") as name:
        for place, cell in enumerate(cells):
            share = kills * (place + 1) // len(cells) - kills * place // len(cells)
            if share:
                yield _drilled(cell, share, Path(name), rng=rng, longest_s=longest_s)


def _drilled(cell: Cell, kills: int, scratch: Path, *, rng: Random, longest_s: float) -> Drill:
    """Kill runs of a cell so often, and compare each with one that was left alone."""
    began, drill = time.monotonic(), Drill(cell.name)
    home = scratch / cell.name.replace(" ", "-")
    home.mkdir()
    with ExitStack() as stack:
        endpoint = stack.enter_context(Endpoint()) if cell.policy == "chat" else None
        bench = _Bench(cell, home, _policy_of(cell, scratch), endpoint)
        if cell.sandbox != "none":
            stack.callback(lambda: drill.faults.extend(f"left: {what}" for what in bench.left()))
        bench.play("whole")
        while drill.kills < kills:
            name, asked = f"killed-{drill.runs}", endpoint.asked if endpoint else 0
            notes = bench.killed(name, drill, most=kills, rng=rng, longest_s=longest_s)
            drill.runs += 1
            with (
                Store.open(home / name, read_only=True) as store,
                Store.open(home / "whole", read_only=True) as whole,
            ):
                after, turns = committed(home / name), store.cost().steps
                drill.turns += turns
                told = [fault for before in notes for fault in changed(before, after)]
                told += unsound(store)
                broken = sum(each.stops().get(StopReason.INVALID, 0) for each in (store, whole))
                told += [] if broken else differing(store, whole)
            drill.broken += broken
            if endpoint is not None:
                again = endpoint.asked - asked - turns
                drill.asked = (drill.asked or 0) + again
                if not 0 <= again <= WORKERS * len(notes):
                    told.append(f"{again} requests beyond the {turns} turns, in {len(notes)} kills")
            drill.faults += [f"{name}: {fault}" for fault in told]
    drill.seconds = time.monotonic() - began
    return drill


def _policy_of(cell: Cell, scratch: Path) -> Path | None:
    """The model of a cell that evaluates one: what a short training run left, made for the first of them."""
    if (cell.job, cell.policy) != ("eval", "tiny"):
        return None
    trained = scratch / "trained"
    if not trained.exists():
        _Bench(Cell("train", "none", "tiny"), scratch, None, None).play(trained.name)
    return trained


@dataclass(frozen=True, slots=True)
class _Bench:
    """Starts the processes of a cell, with all their files below `home`."""

    cell: Cell
    home: Path
    model: Path | None
    endpoint: Endpoint | None

    def play(self, name: str) -> None:
        """A run that nobody disturbs."""
        self._ended(self._started(self._words(name)))

    def killed(self, name: str, drill: Drill, *, most: int, rng: Random, longest_s: float) -> list[Rows]:
        """A run that is killed again and again, until it is done; what was committed after each kill."""
        folder, notes = self.home / name, list[Rows]()
        resume = [self.cell.job, "--resume", "--out", str(folder)]
        if self.cell.job == "eval":  # how many are played at once is not recorded
            resume += ["--workers", str(WORKERS)]
        while True:
            process = self._started(resume if (folder / FILE).exists() else self._words(name))
            if drill.kills >= most:
                self._ended(process)
                return notes
            early = rng.random() < 0.25
            if not early:
                assert process.stderr is not None
                process.stderr.readline()
            try:
                self._ended(process, rng.uniform(0.0, longest_s))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate(timeout=_PATIENCE_S)
                drill.kills, drill.early = drill.kills + 1, drill.early + early
                notes.append(committed(folder))
            else:
                return notes

    def left(self) -> list[str]:
        """What the cell's sandboxes left behind, after a reaping."""
        call = f"print(*sweep({self.cell.sandbox!r}, 0), sep='\\n')"
        words = [sys.executable, "-c", f"from trace_gym.bench.leaks import sweep; {call}"]
        given = self._environment()
        said = subprocess.run(
            words, env=given, stdout=subprocess.PIPE, timeout=_PATIENCE_S, check=True
        ).stdout
        return [line for line in said.decode().splitlines() if line]

    def _words(self, name: str) -> list[str]:
        plain = self.cell.sandbox == "none"
        suite = f"{boxed.__file__}:" + ("Open" if plain else f"Boxed?sandbox={self.cell.sandbox}")
        out = ["--out", str(self.home / name)]
        if self.cell.job == "train":
            changes = [f"suites={suite}", "scheduler.name=trace", "scheduler.options={}", *_SMALL]
            return ["train", "guess", *(word for change in changes for word in ("--set", change)), *out]
        who = ["--agent", "random"]
        if self.model is not None:
            who = ["--policy", str(self.model)]
        if self.endpoint is not None:
            who = ["--agent", f"chat_api?model=drill&base_url={self.endpoint.address}"]
        attempts = "6" if self.cell.sandbox == "docker" else "24"
        return ["eval", suite, *who, "-k", attempts, "--workers", str(WORKERS), "--max-tokens", "8", *out]

    def _started(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "trace_gym.cli", *words],
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        temporary = self.home / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(temporary), "TRACE_GYM_CACHE": str(self.home.parent / "cache")}

    def _ended(self, process: subprocess.Popen[bytes], within_s: float = _PATIENCE_S) -> None:
        try:
            _, said = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as late:
            if within_s < _PATIENCE_S:
                raise
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=_PATIENCE_S)
            raise EnvironmentFailed(f"{self.cell.name} did not end in {within_s:g} s") from late
        if process.returncode != 0:
            last = said.decode("utf-8", "replace").strip()[-500:]
            raise EnvironmentFailed(f"{self.cell.name} ended by itself with {process.returncode}: {last}")
