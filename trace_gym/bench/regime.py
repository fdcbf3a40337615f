"""Which training tasks a comparison is made on: all of them, or those that the warm policy always or never
solves.

`wide` measures the warm policy on a sample of training tasks and keeps tasks so that seven of ten sit at 0 or
1, as published training pools do; there most of what uniform allocation samples teaches nothing. Leaves out
the comparison.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from trace_gym.assemble import Narrator, warm_config
from trace_gym.config import RunConfig
from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Task
from trace_gym.environment.registry import Suite, suite
from trace_gym.policies import Voice, find_model, open_policy
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.uniform import Uniform
from trace_gym.sources import chosen_tasks

REGIMES = ("natural", "wide")
EXTREME = 0.7
"""The part of a wide pool that was solved always or never."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The tasks that were kept, by id, and how often the warm policy solved each of those measured."""

    kept: tuple[str, ...]
    rates: Mapping[str, float]

    @property
    def extreme(self) -> float:
        """The part of the kept tasks at 0 or 1."""
        return fmean(self.rates[task] in (0.0, 1.0) for task in self.kept)

    def json(self) -> dict[str, Any]:
        """Both, as JSON data."""
        return {"kept": list(self.kept), "rates": dict(self.rates)}


def keep_wide(rates: Mapping[str, float], *, seed: int = 0) -> list[str]:
    """As many tasks as can be kept with a part `EXTREME` of them at 0 or 1, in random order."""
    extreme = sorted(task for task, rate in rates.items() if rate in (0.0, 1.0))
    between = sorted(task for task, rate in rates.items() if rate not in (0.0, 1.0))
    size = int(min(len(extreme) / EXTREME, len(between) / (1.0 - EXTREME)) + 1e-9)
    many = round(EXTREME * size)
    rng = random.Random(seed)
    kept = rng.sample(extreme, min(many, len(extreme))) + rng.sample(between, min(size - many, len(between)))
    rng.shuffle(kept)
    return kept


def wide_pool(
    config: RunConfig,
    folder: Path,
    narrator: Narrator,
    *,
    sample: int = 400,
    attempts: int = 16,
    cache: Path | None = None,
) -> Pool:
    """The wide pool of a configuration with one suite, measured once and kept in `folder/pool.json`; the ids
    lie in `folder/only.txt`. Raises BadConfig where there are too few tasks of a kind."""
    file = folder / "pool.json"
    if file.is_file():
        data = json.loads(file.read_text(encoding="utf-8"))
        return Pool(tuple(data["kept"]), data["rates"])
    if len(config.suites) != 1:
        raise BadConfig("a wide pool is of one suite; name one")
    of = suite(config.suites[0].spec)
    tasks = list(chosen_tasks(of, config.suites[0]))
    random.Random(0).shuffle(tasks)
    narrator.note(f"wide pool: {attempts} attempts at each of {min(sample, len(tasks))} training tasks")
    rates = asyncio.run(_measured(config, of, tasks[:sample], narrator, attempts=attempts, cache=cache))
    kept = keep_wide(rates)
    if len(kept) < 10:
        raise BadConfig(
            f"only {len(kept)} tasks would be kept of {len(rates)}: measure more, or warm up less"
        )
    pool = Pool(tuple(kept), rates)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "only.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    file.write_text(json.dumps(pool.json()), encoding="utf-8")
    narrator.note(f"wide pool: {len(kept)} tasks, {pool.extreme:.0%} of them solved always or never")
    return pool


async def _measured(
    config: RunConfig,
    of: Suite,
    tasks: Sequence[Task],
    narrator: Narrator,
    *,
    attempts: int,
    cache: Path | None,
) -> dict[str, float]:
    """Success of the warm policy at each task, by id."""
    model = find_model(
        config.policy.model,
        [of],
        warm=warm_config(config),
        cache=cache,
        note=narrator.note,
        progress=narrator.warming,
    )
    voice = Voice(
        config.agent.renderer, config.agent.max_tokens, config.agent.temperature, config.agent.top_p
    )
    opened = open_policy(config.policy.model, model, voice, context_size=config.policy.context)
    settings = CollectorConfig(
        seed=config.run.seed, workers=config.run.workers, turn_tokens=config.agent.max_tokens
    )
    try:
        makers, scheduler = {of.name: of.make}, Uniform(attempts)
        async with Collector(makers, opened.agent, scheduler, config=settings) as collector:
            forest = await collector.collect(0, tasks, Budget())
    finally:
        opened.close()
    return {tree.task.id: fmean(outcomes.values()) for tree in forest.trees if (outcomes := tree.outcomes())}
