"""How well rollouts keep a model busy: rollouts with forks, and their very requests without environments.

Ways: `rollouts` plays with the embedded policy; `engine` computes the same requests with nothing in between;
`generate` is Hugging Face's, called for all that stand at the same turn. With vLLM `vllm` plays these tasks
through a server, and `vllm requests` asks it what `engine` computed. The first two stand as in the midst of a
run: memory has grown, and no prefix is known. Leaves out training.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from trace_gym.bench.rollout_requests import Recorder, Took, bare_engine, computed, generated, timed
from trace_gym.core.budget import Budget
from trace_gym.core.heap import settled
from trace_gym.core.policy import Checkpoint, Policy, SampleRequest
from trace_gym.core.task import Split
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import Suite
from trace_gym.model.load import SMALL, LoadedModel, Precision, load_model
from trace_gym.parts import make_predictor, make_renderer, make_scheduler
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.policy_torch import TorchPolicy

if TYPE_CHECKING:
    from trace_gym.rollout.vllm_fleet import VllmConfig

OUTSIDE, OUTSIDE_REAL = 0.10, 0.03
"""The part of wall time that may be spent outside a small model, and outside any other."""
OF_ENGINE, ON_FORKS, OF_GENERATE = 0.90, 0.95, 3.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played: `trajectories` rollouts of `tasks` tasks, `workers` at once, by TRACE with
    `continuations` forks a prefix."""

    tasks: int
    trajectories: int
    workers: int
    renderer: str
    max_tokens: int = 16
    temperature: float = 1.0
    continuations: int = 2
    seed: int = 0

    def small(self) -> Setting:
        """A few rollouts, to warm up."""
        return replace(self, tasks=8, trajectories=8, workers=8)


@dataclass(frozen=True, slots=True)
class Measured:
    """One way: `tokens` sampled in `seconds`; `cpu_seconds` of this process, all its threads together, where
    nobody else computes (on a busy machine they say more); `batch`: mean rows in a decoding step (with vLLM:
    requests at the server); `outside`: part of the wall time in which the model did nothing for us; `forks`
    and `turns`: part of the tokens before a fork, or before any later turn, that were found in the cache."""

    way: str
    tokens: int
    seconds: float
    cpu_seconds: float | None = None
    batch: float | None = None
    outside: float | None = None
    forks: float | None = None
    turns: float | None = None

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All ways of one policy on one suite and machine."""

    policy: str
    parameters: int
    suite: str
    dtype: str
    device: str
    setting: Setting
    rows: tuple[Measured, ...]

    def ratio(self, way: str, other: str) -> float | None:
        """How many times the tokens a second of `other` `way` has; None where one was not measured."""
        rates = {row.way: row.rate for row in self.rows}
        return rates[way] / rates[other] if rates.get(way) and rates.get(other) else None

    def verdicts(self) -> dict[str, tuple[float, float, bool]]:
        """What was aimed at, by name: what was found, the goal, and whether it was reached."""
        played = self.rows[0]
        limit = OUTSIDE if self.parameters <= SMALL else OUTSIDE_REAL
        found: dict[str, tuple[float, float, bool]] = {}
        if played.outside is not None:
            found["outside the model, at most"] = (played.outside, limit, played.outside <= limit)
        goals = [
            ("of the engine's tokens/s, at least", self.ratio("rollouts", "engine"), OF_ENGINE),
            ("found in the cache on forks, at least", played.forks, ON_FORKS),
            ("times generate, at least", self.ratio("rollouts", "generate"), OF_GENERATE),
            ("times vLLM's rollouts, at least", self.ratio("rollouts", "vllm"), 1.0),
            ("times vLLM on the same requests, at least", self.ratio("engine", "vllm requests"), 1.0),
        ]
        for name, value, goal in goals:
            if value is not None:
                found[name] = (value, goal, value >= goal)
        return found

    def json(self) -> dict[str, Any]:
        """Everything, as JSON data."""
        facts = {name: getattr(self, name) for name in ("policy", "parameters", "suite", "dtype", "device")}
        rows = [{**asdict(row), "rate": row.rate} for row in self.rows]
        goals = {
            name: {"found": value, "goal": goal, "reached": reached}
            for name, (value, goal, reached) in self.verdicts().items()
        }
        return {**facts, "setting": asdict(self.setting), "rows": rows, "goals": goals}


def run(
    name: str,
    model: str | Path,
    suite: Suite,
    *,
    setting: Setting,
    dtype: Precision | None = None,
    device: str | None = None,
    vllm: VllmConfig | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Report:
    """Measure `model`, found for the policy's `name`, on a suite; through vLLM too if told how. Raises
    ModelFailed, BadConfig."""
    loaded = load_model(model, dtype=dtype, device=device)
    with settled():
        rows = tuple(_rows(loaded, suite, setting, vllm, note))
    place = loaded.model.device
    machine = torch.cuda.get_device_name(place) if place.type == "cuda" else platform.machine()
    kind = str(loaded.model.dtype).removeprefix("torch.")
    return Report(
        name, loaded.model.num_parameters(), suite.spec, kind, f"{place.type} {machine}", setting, rows
    )


def _rows(
    loaded: LoadedModel,
    suite: Suite,
    setting: Setting,
    vllm: VllmConfig | None,
    note: Callable[[str], None],
) -> Iterator[Measured]:
    with TorchPolicy(loaded) as policy:
        note("warming up")
        _play(Recorder(policy), loaded, suite, replace(setting, seed=setting.seed + 1))
        asyncio.run(policy.load(Checkpoint(loaded.path, 1)))  # prefixes are forgotten, as after an update
        note("rollouts")
        asked, before = Recorder(policy), policy.throughput
        forest, took = _play(asked, loaded, suite, setting)
        after = policy.throughput
    busy = after.prefill_seconds + after.decode_seconds - before.prefill_seconds - before.decode_seconds
    steps = after.steps - before.steps
    yield Measured(
        "rollouts",
        asked.tokens,
        took.seconds,
        took.cpu_seconds,
        batch=(after.decoded - before.decoded) / steps if steps else 0.0,
        outside=max(0.0, 1 - busy / took.seconds),
        **_found(forest),
    )
    requests = asked.requests
    note("the same requests, engine alone")
    engine = bare_engine(loaded, rows=setting.workers)
    computed(engine, requests, rows=setting.workers)
    engine.clear()
    (tokens, batch), took = timed(lambda: computed(engine, requests, rows=setting.workers))
    yield Measured("engine", tokens, took.seconds, took.cpu_seconds, batch)
    note("Hugging Face's generate")
    (tokens, batch), took = timed(lambda: generated(loaded, asked.by_turn(), rows=setting.workers))
    yield Measured("generate", tokens, took.seconds, took.cpu_seconds, batch)
    if vllm is not None:
        note("vLLM")
        yield from _through_vllm(loaded, suite, setting, vllm, requests)


def _through_vllm(
    loaded: LoadedModel,
    suite: Suite,
    setting: Setting,
    config: VllmConfig,
    requests: Sequence[SampleRequest],
) -> Iterator[Measured]:
    from trace_gym.rollout.policy_vllm import VllmPolicy

    dtype = str(loaded.model.dtype).removeprefix("torch.")
    with (
        TemporaryDirectory(prefix="trace-gym-vllm-log-") as folder,
        VllmPolicy(loaded.path, config, folder=Path(folder), dtype=dtype) as policy,
    ):
        _play(Recorder(policy), loaded, suite, setting.small())
        asked, idle = Recorder(policy), policy.shares.seconds
        forest, took = _play(asked, loaded, suite, setting)
        busy = policy.shares.seconds - idle
        yield Measured(
            "vllm",
            asked.tokens,
            took.seconds,
            batch=policy.shares.mean,
            outside=max(0.0, 1 - busy / took.seconds),
            **_found(forest),
        )
        again = Recorder(policy)
        _, took = timed(lambda: asyncio.run(_asked(again, requests, setting.workers)))
        yield Measured("vllm requests", again.tokens, took.seconds)


async def _asked(policy: Policy, requests: Sequence[SampleRequest], at_once: int) -> None:
    seats = asyncio.Semaphore(at_once)

    async def one(request: SampleRequest) -> None:
        async with seats:
            await policy.sample(request)

    await asyncio.gather(*map(one, requests))


def _play(policy: Policy, loaded: LoadedModel, suite: Suite, setting: Setting) -> tuple[Forest, Took]:
    """One step of rollouts, and how long it took."""
    agent = ModelAgent(
        policy,
        make_renderer(setting.renderer, loaded.tokenizer),
        tokenizer=loaded.tokenizer,
        max_tokens=setting.max_tokens,
        temperature=setting.temperature,
    )
    scheduler = make_scheduler("trace", {"continuations": setting.continuations}, seed=setting.seed)
    config = CollectorConfig(seed=setting.seed, workers=setting.workers, turn_tokens=setting.max_tokens)
    tasks = suite.tasks(Split.TRAIN)
    chosen = list(tasks[:: max(1, len(tasks) // setting.tasks)][: setting.tasks])

    async def play() -> Forest:
        async with Collector(
            {suite.name: suite.make},
            agent,
            scheduler,
            predictor=make_predictor("beta", {}, seed=setting.seed),
            config=config,
        ) as collector:
            return await collector.collect(0, chosen, Budget(trajectories=setting.trajectories))

    return timed(lambda: asyncio.run(play()))


def _found(forest: Forest) -> dict[str, float | None]:
    """The parts of earlier tokens that were found in the cache, on forks and on all later turns."""
    seen = {"forks": [0, 0], "turns": [0, 0]}
    for tree in forest.trees:
        first: set[int] = set()
        for record in tree.rollouts:
            if record.anchor and record.tip != record.anchor:
                path = tree.path(record.tip)
                first.add(path[path.index(record.anchor) + 1])
        for node, turn in enumerate(tree.turns):
            if node == 0 or turn.parent == 0:
                continue
            before = len(tree.tokens(turn.parent))
            for kind in ("forks", "turns") if node in first else ("turns",):
                seen[kind][0] += min(turn.cost.cached, before)
                seen[kind][1] += before
    return {kind: found / total if total else None for kind, (found, total) in seen.items()}
