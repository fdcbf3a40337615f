"""Faults to be injected into small evaluations, and what a fault must not change."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from trace_gym.core.agent import Agent, Move, View
from trace_gym.core.errors import ModelFailed
from trace_gym.core.journal import Journal
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EpisodeLimits, EvalConfig, Report, evaluate
from trace_gym.parts import make_agent
from trace_gym.store import Store

CONFIG = EvalConfig(tasks=6, attempts=2, workers=3, limits=EpisodeLimits(turns=4))


def play(journal: Journal, *, agent: Agent | None = None, suites: list[Suite] | None = None) -> Report:
    chosen = suites or [suite("guess")]
    return asyncio.run(evaluate(chosen, agent or make_agent("random"), config=CONFIG, journal=journal))


def facts(report: Report) -> dict[str, Any]:
    """What a fault must not change."""
    told = report.json()
    return {
        name: told[name] for name in ("success", "by", "pass_at", "episodes", "stops", "checks", "survival")
    }


class Meddling:
    """A journal that passes everything on and, before the write number `at`, does something to the run."""

    def __init__(self, inner: Journal, at: int, fault: Callable[[], None]) -> None:
        self._inner, self._at, self._fault, self._writes = inner, at, fault, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def passed(*given: Any) -> Any:
            self._writes += name != "recover"
            if self._writes == self._at:
                self._fault()
            return method(*given)

        return passed


def pragma(store: Store, statement: str) -> None:
    """Set something of the run's own connection."""
    store._database.rows(f"PRAGMA {statement}")


def failing(name: str, fault: Callable[[AgenticEnv], None], *, times: int) -> Suite:
    """The tutorial suite whose first `times` second guesses at any task meet a fault."""
    found, met = suite("guess"), [0]

    class Faulty(found.env_class):  # type: ignore[name-defined, misc]
        def call(self, tool: str, arguments: Any) -> str:
            if len(self.state) == 1 and met[0] < times:
                met[0] += 1
                fault(self)
            return super().call(tool, arguments)  # type: ignore[no-any-return]

    return Suite(found.name, name, Faulty)


def broken(env: AgenticEnv) -> None:
    raise OSError("the page crashed")


def hanging(env: AgenticEnv) -> None:
    time.sleep(1.5)


class Buggy:
    """The random agent until the first turn from number `at` on that has two before it in its episode; there
    it raises."""

    trainable = False
    wants_oracle = False

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self._inner, self._left, self._error = make_agent("random"), at, error

    async def act(self, view: View) -> Move:
        self._left -= 1
        if self._left <= 0 and len(view.turns) > 2:
            raise self._error("in mid-turn")
        return await self._inner.act(view)


class Failing:
    """The random agent, whose model does not answer in the first `times` turns that have two before them."""

    trainable = False
    wants_oracle = False

    def __init__(self, times: int) -> None:
        self._inner, self._left = make_agent("random"), times

    async def act(self, view: View) -> Move:
        if self._left > 0 and len(view.turns) > 2:
            self._left -= 1
            raise ModelFailed("HTTP 500")
        return await self._inner.act(view)
