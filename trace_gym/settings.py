"""A run's configuration in the words of its parts: the trainer's, the watchdogs', the purse's.

Leaves out what needs names looked up (`assemble.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trace_gym.config import RunConfig
from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig
from trace_gym.core.scheduler import Candidate, Scheduler
from trace_gym.core.task import Task
from trace_gym.outfit import Limits
from trace_gym.schedule.catalogue import CREDIT
from trace_gym.train.config import TrainConfig
from trace_gym.train.watchdog import WatchConfig

LARGEST_GROUP = 1024
"""No scheduler needs more trajectories at once than this."""


def train_config(config: RunConfig) -> TrainConfig:
    """How is trained. Raises BadConfig."""
    if not config.agent.temperature:
        raise BadConfig("agent.temperature 0 samples the same rollout again and again; training needs more")
    if config.run.max_staleness and (config.train.correction, config.train.old_logprobs) == (
        "none",
        "recompute",
    ):
        raise BadConfig(
            "run.max_staleness trains on tokens of older weights; set train.correction (tis, icepop, "
            "geometric) or train.old_logprobs=behaviour"
        )
    try:
        return TrainConfig(
            **config.train.model_dump(), seed=config.run.seed, temperature=config.agent.temperature
        )
    except ValueError as error:
        raise BadConfig(f"section 'train': {error}") from error


def unlike_method(config: RunConfig) -> list[str]:
    """A sentence for every choice of the trainer that leaves out what is part of the scheduler's method."""
    name = config.scheduler.name
    return [
        f"{name} comes with train.{key}={own}, and this run has {chosen}: it is {name}'s allocation alone"
        for key, own in CREDIT.get(name, {}).items()
        if (chosen := getattr(config.train, key)) != own
    ]


def watch_config(config: RunConfig) -> WatchConfig:
    """What is watched. A sampler that leaves out unlikely tokens records other log-probs than the trainer
    computes: there drift tells nothing."""
    watch = config.watch.model_dump()
    return WatchConfig(**watch | ({"drift": "off"} if config.agent.top_p < 1.0 else {}))


def oldest(config: RunConfig) -> int:
    """How many updates old the tokens may be that are trained."""
    return config.run.max_staleness + config.train.replay


def run_limits(config: RunConfig) -> Limits:
    """The purse of the run."""
    b = config.budget
    return Limits(trajectories=b.trajectories, tokens=b.tokens, seconds=b.seconds, usd=b.usd)


def step_limits(config: RunConfig) -> Limits:
    """The purse of one step."""
    b = config.budget
    return Limits(
        trajectories=b.step_trajectories, tokens=b.step_tokens, seconds=b.step_seconds, usd=b.step_usd
    )


def demand_payable(config: RunConfig, scheduler: Callable[[], Scheduler], tasks: Sequence[Task]) -> None:
    """See that the trajectories of a step, and of the run, pay for what a fresh scheduler grants at once to
    these tasks. Raises BadConfig with the least that does."""
    budget = config.budget
    limits = [(budget.step_trajectories, "step_trajectories"), (budget.trajectories, "trajectories")]
    given = [(limit, key) for limit, key in limits if limit is not None]
    if not given:
        return
    pool = [
        Candidate(index, task.key, task.suite, task.family, task.limits.max_turns)
        for index, task in enumerate(tasks)
    ]

    def pays(trajectories: int) -> bool:
        return bool(scheduler().propose(pool, Budget(trajectories=trajectories)))

    limit, key = min(given)
    if pays(limit):
        return
    least = next(filter(pays, range(limit + 1, LARGEST_GROUP)), None)
    raise BadConfig(
        f"budget.{key} = {limit} pays for no rollout of scheduler {config.scheduler.name!r}"
        + (f", which needs at least {least}" if least else "")
    )
