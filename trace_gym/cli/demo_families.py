"""The three families of environments as far as this machine can play them: tool use, code, the web.

A reference solution and random actions play a few held-out tasks of each suite, and an episode is forked.
Leaves out language models: what a small one can do is what the rest of the demo is about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from rich.table import Table

from trace_gym.cli.tables import folding
from trace_gym.core.errors import TraceGymError
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EvalConfig, evaluate
from trace_gym.parts import make_agent

FAMILIES: Final = (
    ("tool use", "wikihop"),
    ("code", "humaneval"),
    ("web", "shop"),
    ("web", "shop_browser"),
)
TASKS, WORKERS, FORKS = 6, 2, 5


@dataclass(frozen=True, slots=True)
class Shown:
    """What a suite showed: success of the reference solution and of random actions, milliseconds of a step
    and of a fork to its first turn; or why it cannot be played here."""

    family: str
    suite: str
    oracle: float | None = None
    random: float | None = None
    step_ms: float | None = None
    fork_ms: float | None = None
    absent: str = ""

    def json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def families(note: Callable[[str], None], suites: Sequence[tuple[str, str]] = FAMILIES) -> Iterator[Shown]:
    """Play `suites`, each named after its family, one after the other; `note` hears what is being played."""
    for family, name in suites:
        note(f"{family}: {name}")
        try:
            yield _shown(family, name)
        except TraceGymError as error:
            yield Shown(family, name, absent=str(error))


def _shown(family: str, name: str) -> Shown:
    found = suite(name)
    config = EvalConfig(tasks=TASKS, workers=WORKERS)
    reports = [asyncio.run(evaluate([found], make_agent(who), config=config)) for who in ("oracle", "random")]
    steps = sum(report.cost["steps"] for report in reports)
    seconds = sum(report.cost["env_seconds"] for report in reports)
    oracle, random = (report.success.mean for report in reports)
    return Shown(family, name, oracle, random, 1e3 * seconds / max(1, steps), _fork_ms(found))


def _fork_ms(found: Suite) -> float:
    """The median time to go back to where an episode stood after its first turn."""
    with closing(found.make(split=Split.TEST)) as env:
        env.reset(seed=0)
        first = env.oracle()
        if first is not None:
            env.step(first)
        snapshot = env.snapshot()
        taken = []
        for _ in range(FORKS):
            begun = time.perf_counter()
            env.restore(snapshot)
            taken.append(time.perf_counter() - begun)
        snapshot.close()
    return 1e3 * median(taken)


def table(shown: list[Shown]) -> Table:
    """For people."""
    made = folding("family", "suite", "reference solution", "random actions", "step", "fork")
    for each in shown:
        if each.absent:
            made.add_row(each.family, each.suite, each.absent)
            continue
        numbers = [f"{x:.2f}" if x is not None else "-" for x in (each.oracle, each.random)]
        times = [_milliseconds(each.step_ms), _milliseconds(each.fork_ms)]
        made.add_row(each.family, each.suite, *numbers, *times)
    return made


def _milliseconds(taken: float | None) -> str:
    """In two digits, or in whole ones."""
    if taken is None:
        return "-"
    return f"{taken:,.0f} ms" if taken >= 10 else f"{taken:.2g} ms"
