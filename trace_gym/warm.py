"""The tiny model, made here and warm-started by imitating the suites' oracles; cached once made.

Demonstrations are noisy: at some turns a random action is taken and the oracle then recovers. Only what the
oracle did is imitated, unless the model shall be clumsy. Only training tasks are shown. Leaves out how the
model is trained further.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from trace_gym.core.budget import Budget
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.errors import BadConfig, EnvironmentFailed, UnknownName, boundary
from trace_gym.core.package import cache_folder
from trace_gym.core.task import Split, Task
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import Suite, suite
from trace_gym.model.load import load_model
from trace_gym.model.quiet import quiet
from trace_gym.model.tiny import demand_shape, make_tiny
from trace_gym.parts import make_renderer
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.demonstrator import Demonstrator
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.stream import Source, TaskStream
from trace_gym.schedule.uniform import Uniform
from trace_gym.train.warmstart import CloningStep, warm_start

FORMAT = 6
"""Raised when the same settings would now make another model, so that old caches are not used."""


@dataclass(frozen=True, slots=True)
class WarmConfig:
    """The shape of the model and how it is warmed up: `demos` episodes with a share `noise` of random
    actions, which with `clumsy` are imitated too (so that the model knows all moves, and makes that share of
    them at random), then `steps` optimiser steps of `batch_tokens` tokens at `lr`. `suites` are those that it
    is shown, by spec (none: those it shall play), `shares` their parts of the episodes, relative to the
    others' (none: equal)."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    renderer: str = "compact"
    demos: int = 2500
    noise: float = 0.1
    clumsy: bool = False
    steps: int = 100
    batch_tokens: int = 3072
    lr: float = 1e-3
    seed: int = 0
    suites: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()


def demand_warm(suites: Sequence[Suite], config: WarmConfig) -> None:
    """See that `tiny` can have that shape and be shown those suites, before it is made. Raises UnknownName,
    BadConfig."""
    try:
        shown = _shown(suites, config)
    except (UnknownName, BadConfig) as error:
        raise type(error)(f"warmstart.suites: {error}") from error
    _parts(shown, config.shares)
    try:
        demand_shape(config.hidden, config.heads)
    except ValueError as error:
        raise BadConfig(f"section 'warmstart': {error}") from error


def warm_tiny(
    suites: Sequence[Suite],
    config: WarmConfig,
    *,
    cache: Path | None = None,
    note: Callable[[str], None],
    progress: Callable[[CloningStep], None],
) -> Path:
    """The folder of the warm model that shall play `suites`; made now if the cache has none.

    `progress` is called as training goes. Raises BadConfig where no suite has an oracle, for a shape that no
    model can have, where cloning diverges and for a cache that cannot be written to, EnvironmentFailed.
    """
    shown = _shown(suites, config)
    folder = cache_folder(cache) / "tiny" / _key(suites, config)
    if folder.is_dir():
        return folder
    vocabulary = [word for each in (*suites, *shown) for word in each.env_class.vocabulary]
    what = f"a warm model cannot be kept in {folder.parent} (TRACE_GYM_CACHE names another place)"
    with boundary(BadConfig, OSError, what=what):
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = TemporaryDirectory(dir=folder.parent, prefix=".warming-")
    with room as scratch:
        try:
            fresh = make_tiny(
                Path(scratch) / "fresh",
                vocabulary=list(dict.fromkeys(vocabulary)),
                seed=config.seed,
                hidden=config.hidden,
                layers=config.layers,
                heads=config.heads,
            )
        except ValueError as error:
            raise BadConfig(f"section 'warmstart': {error}") from error
        loaded = load_model(fresh)
        note(f"warm start: {config.demos} demonstrations of {', '.join(each.spec for each in shown)}")
        forest = demonstrate(shown, config, fresh)
        found = warm_start(
            loaded.model,
            [forest],
            steps=config.steps,
            batch_tokens=config.batch_tokens,
            lr=config.lr,
            imitated=(Actor.ORACLE, Actor.AGENT) if config.clumsy else (Actor.ORACLE,),
            dtype="bfloat16",
            seed=config.seed,
            on_progress=progress,
        )
        note(f"warm start: {found['loss']:.3f} nats a token after {found['seconds']:.0f} s")
        if not isfinite(found["loss"]):
            raise BadConfig("the warm start diverged, so nothing of it is kept; lower warmstart.lr")
        with quiet():
            loaded.model.save_pretrained(fresh)
        if not folder.exists():
            shutil.move(fresh, folder)
    return folder


def demonstrate(
    suites: Sequence[Suite], config: WarmConfig, model: Path, *, tasks: Sequence[Task] | None = None
) -> Forest:
    """Noisy oracle episodes on training tasks (`tasks`, or some of all), spelled in the model's own tokens.
    Raises BadConfig, and EnvironmentFailed where some could not be played: a warm model is kept under what it
    was made from."""
    tokenizer = load_model(model).tokenizer
    renderer = make_renderer(config.renderer, tokenizer)
    agent = Demonstrator(renderer, tokenizer, noise=config.noise, seed=config.seed)
    if tasks is None:
        tasks = TaskStream(_sources(suites, config.shares), config.seed).pool(0, config.demos)
    makers = {suite.name: suite.make for suite in suites}

    async def play() -> Forest:
        collecting = CollectorConfig(seed=config.seed)
        async with Collector(makers, agent, Uniform(n=1), config=collecting) as collector:
            return await collector.collect(0, tasks, Budget())

    forest = asyncio.run(play())
    _demand_played(forest)
    if not any(turn.actor is Actor.ORACLE for tree in forest.trees for turn in tree.turns):
        names = ", ".join(suite.name for suite in suites)
        raise BadConfig(f"a warm start needs an oracle to imitate, and {names} has none")
    return forest


def _shown(suites: Sequence[Suite], config: WarmConfig) -> Sequence[Suite]:
    """The suites that the model is shown, where it shall play `suites`."""
    return [suite(spec) for spec in config.suites] or suites


def _sources(suites: Sequence[Suite], shares: Sequence[float]) -> list[Source]:
    """The suites' training tasks by share."""
    parts = zip(suites, _parts(suites, shares), strict=True)
    return [Source(each.name, each.tasks(Split.TRAIN), part) for each, part in parts]


def _parts(suites: Sequence[Suite], shares: Sequence[float]) -> Sequence[float]:
    """A share a suite. Raises BadConfig."""
    if shares and len(shares) != len(suites):
        raise BadConfig(
            f"warmstart.shares has one number a suite shown; got {len(shares)} for {len(suites)} suites"
        )
    return shares or [1.0] * len(suites)


def _demand_played(forest: Forest) -> None:
    lost = [tree for tree in forest.trees if all(r.stop is StopReason.INVALID for r in tree.rollouts)]
    if lost:
        why = next((f": {record.detail}" for tree in lost for record in tree.rollouts), "")
        raise EnvironmentFailed(
            f"{len(lost)} of {len(forest.trees)} demonstrations for the warm start could not be played{why}"
        )


def _key(suites: Sequence[Suite], config: WarmConfig) -> str:
    facts = {"format": FORMAT, "played": [suite.spec for suite in suites], **asdict(config)}
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{'-'.join(suite.name for suite in suites)}-{digest}"
