"""Small recorded runs to look at: an agent that plays badly, a scheduler that forks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EvalConfig, evaluate
from trace_gym.parts import make_agent, make_predictor, make_scheduler
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.store import RunStatus, Store
from trace_gym_envs.guess import GuessNumber


class Drawn(GuessNumber):
    """The tutorial suite with a picture: a bar as long as the number of guesses."""

    metadata: ClassVar = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}

    def render(self) -> Any:
        if self.render_mode != "rgb_array":
            return super().render()
        image = np.full((40, 64, 3), 255, dtype=np.uint8)
        image[10:30, : 8 * (1 + len(self.state))] = (200, 30, 30)
        return image


HOSTILE = "</script><img src=x onerror=window.hurt=1>"


def recorded(folder: Path, *, seed: int) -> Path:
    """Two steps of TRACE over eight small tasks, journalled, with a metric and a hostile log line."""
    guess = suite("guess")
    tasks = [task for task in guess.tasks(Split.TRAIN) if task.payload["size"] == 10][:8]
    with Store.create(folder, kind="train", config={"suites": ["guess"], "note": HOSTILE}) as store:
        scheduler = make_scheduler("trace", {"continuations": 2}, seed=seed)
        predictor = make_predictor("beta", {}, seed=seed)
        config = CollectorConfig(seed=seed, workers=4)

        async def play() -> None:
            async with Collector(
                {"guess": guess.make},
                make_agent("random"),
                scheduler,
                journal=store,
                predictor=predictor,
                config=config,
            ) as collector:
                for step in range(2):
                    forest = await collector.collect(step, tasks, Budget(trajectories=24))
                    predictor.learn(forest)
                    store.close_step(
                        step, {"effective_ratio": forest.effective_ratio(), "success_bare": 0.25}
                    )

        asyncio.run(play())
        store.log("warning", HOSTILE)
        store.set_status(RunStatus.FINISHED)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, `one` and `deeper/two`."""
    root = tmp_path_factory.mktemp("runs")
    recorded(root / "one", seed=1)
    recorded(root / "deeper" / "two", seed=2)
    return root


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one evaluation, `drawn`, that kept screenshots."""
    root: Path = tmp_path_factory.mktemp("drawn")
    config = EvalConfig(tasks=3, attempts=2, workers=2, screenshots=True)

    def play() -> None:
        with Store.create(root / "drawn", kind="eval", config={}) as store:
            suites = [Suite("guess", "guess", Drawn)]
            asyncio.run(evaluate(suites, make_agent("random"), config=config, journal=store))

    with ThreadPoolExecutor(1) as apart:  # a browser under test has an event loop on this thread
        apart.submit(play).result()
    return root
