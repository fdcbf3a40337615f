"""Watchdogs: numbers that a training run must not show, and what is done when it does.

Each looks at one thing, is off, warns or stops, and says what it saw, what was allowed and what to do about
it. Silent wrongness is what they are for: weights that did not arrive, tokens that are not those that were
sampled, a policy that has collapsed. Leaves out where the numbers come from (`trainer.py`, `probe.py` and
the loop) and how a run is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any, Literal, TypeAlias

Action: TypeAlias = Literal["off", "warn", "stop"]
GAPS: Mapping[str, float] = {"float64": 1e-3, "float32": 1e-3, "bfloat16": 0.05}
"""By the coarser precision of sampler and trainer: how far apart their log-probs may be, mean in nats."""
MEMORY, LEAST = 20, 3
"""Steps that are remembered, more where `barren_limit` is more, and how many there must be before a step is
compared with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchConfig:
    """What is watched, each "off", "warn" or "stop", and its limit.

    `parity`: mean distance in nats between sampler and trainer on freshly sampled probes after an update,
    `probes` of up to `probe_tokens` tokens (limit None: by precision). `drift`: the same on the tokens that
    are trained. `stale`: the share of trained tokens sampled by other weights than those that are trained,
    once some are older than the run allows. `barren`: steps in a row without any advantage. `nonfinite`: a
    loss, gradient or other number of the trainer that is none. `entropy`: its share of the median of the
    steps before. `kl`: nats per token that an update moved the policy. `truncated`: the share of rollouts
    that ran out of turns or context. `spike`: the gradient's norm over its median before. `gamed`: how much
    what checks score rose, in the steps that are remembered, while success fell by as much.
    """

    parity: Action = "stop"
    parity_limit: float | None = None
    probes: int = 4
    probe_tokens: int = 8
    drift: Action = "warn"
    drift_limit: float | None = None
    stale: Action = "stop"
    stale_limit: float = 0.0
    barren: Action = "warn"
    barren_limit: int = 5
    nonfinite: Action = "stop"
    entropy: Action = "warn"
    entropy_limit: float = 0.1
    kl: Action = "warn"
    kl_limit: float = 1.0
    truncated: Action = "warn"
    truncated_limit: float = 0.9
    spike: Action = "warn"
    spike_limit: float = 20.0
    gamed: Action = "warn"
    gamed_limit: float = 0.1

    def __post_init__(self) -> None:
        for name in WATCHES:
            if getattr(self, name) not in ("off", "warn", "stop"):
                raise ValueError(f"{name} must be 'off', 'warn' or 'stop', got {getattr(self, name)!r}")
        for name in ("probes", "probe_tokens", "barren_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (f"{watch}_limit" for watch in WATCHES if watch != "nonfinite"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise ValueError(f"{name} must be at least 0, got {limit}")

    def json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A watchdog that barked: which, whether it stops the run, and one sentence why."""

    watch: str
    stops: bool
    text: str


@dataclass(slots=True)
class Watchdogs:
    """All watchdogs of a run. `gap` is the distance that precision explains, `max_staleness` how many updates
    old trained tokens may be. State: the recent past, and
    which watches stood in alarm, so that a lasting trouble is told once; a resumed run gets it back by
    looking at the metrics of its earlier steps."""

    config: WatchConfig
    gap: float = GAPS["float32"]
    past: dict[str, list[float]] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)
    max_staleness: int = 0

    def look(self, metrics: Mapping[str, float]) -> list[Alarm]:
        """What is wrong with a step, given its metrics under the names of the loop: `parity_gap` and
        `parity_version_gap` under `watch/`, the trainer's under `train/`, those of a forest plain. A metric
        that is not there is not watched. Warnings come when a trouble begins, stops every time."""
        found: list[Alarm] = []
        for watch, judge in WATCHES.items():
            action: Action = getattr(self.config, watch)
            text = judge(self, metrics) if action != "off" else None
            if text is None:
                self.standing.discard(watch)
            elif action == "stop" or watch not in self.standing:
                self.standing.add(watch)
                found.append(Alarm(watch, action == "stop", text))
        for name in REMEMBERED:
            if name in metrics and math.isfinite(metrics[name]):
                most = max(MEMORY, self.config.barren_limit) if name == CONTRAST else MEMORY
                self.past[name] = [*self.past.get(name, []), metrics[name]][-most:]
        return found

    def usual(self, name: str) -> float | None:
        """The median of a metric in the steps before, once there are enough in which it was not 0."""
        known = [value for value in self.past.get(name, ()) if value]
        return median(known) if len(known) >= LEAST else None

    def risen(self, name: str, now: float) -> float:
        """By how much the mean of the newest steps, this one the last, lies above that of the first that are
        remembered; 0 until there are enough of both."""
        known = [*self.past.get(name, ()), now]
        return fmean(known[-LEAST:]) - fmean(known[:LEAST]) if len(known) >= 2 * LEAST else 0.0


Judge: TypeAlias = Callable[[Watchdogs, Mapping[str, float]], "str | None"]


def _parity(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    behind = metrics.get("watch/parity_version_gap", 0.0)
    if behind:
        return (
            f"the sampler answered with weights that are {behind:g} versions off after the update; the "
            "weights did not arrive"
        )
    limit = dogs.gap if dogs.config.parity_limit is None else dogs.config.parity_limit
    gap = metrics.get("watch/parity_gap")
    if gap is None or gap <= limit:
        return None
    return (
        f"after the update sampler and trainer differ by {gap:.3g} nats a token on the probes, allowed are "
        f"{limit:g}; the sampler does not compute with the weights that were trained"
    )


def _drift(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    limit = dogs.gap if dogs.config.drift_limit is None else dogs.config.drift_limit
    gap = metrics.get("train/logprob_gap")
    if gap is None or gap <= limit:
        return None
    return (
        f"the trained tokens are {gap:.3g} nats off what the sampler recorded, allowed are {limit:g}; they "
        "are not the tokens, contexts or temperature that were sampled"
    )


def _stale(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    share, age = metrics.get("train/stale_share", 0.0), metrics.get("train/staleness", 0.0)
    if share <= dogs.config.stale_limit or 0 < age <= dogs.max_staleness:
        return None
    if dogs.max_staleness:
        return f"trained tokens are up to {age:g} updates old, allowed are {dogs.max_staleness}"
    return f"{share:.1%} of the trained tokens were sampled by other weights than those that are trained"


def _barren(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    recent = [*dogs.past.get(CONTRAST, []), metrics.get(CONTRAST, 1.0)][-dogs.config.barren_limit :]
    if len(recent) < dogs.config.barren_limit or any(recent):
        return None
    return (
        f"all advantages of the last {len(recent)} steps were zero, no tree had anything to compare; the "
        "tasks are too hard or too easy"
    )


def _nonfinite(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    if metrics.get("train/nonfinite_steps"):
        return "the gradient was not finite; lower train.lr, or see the metrics of the run"
    trained = {name: value for name, value in metrics.items() if name.startswith(("train/", "watch/"))}
    odd = sorted(name for name, value in trained.items() if not math.isfinite(value))
    return f"{', '.join(odd[:3])} is not a finite number" if odd else None


def _entropy(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    usual, now = dogs.usual("train/entropy"), metrics.get("train/entropy")
    if usual is None or now is None or now >= dogs.config.entropy_limit * usual:
        return None
    return f"the policy's entropy fell to {now:.3g} nats a token from {usual:.3g}; it stops exploring"


def _kl(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    moved = metrics.get("train/update_kl", 0.0)
    if not moved > dogs.config.kl_limit:
        return None
    return f"the update moved the policy by {moved:.3g} nats a token, allowed are {dogs.config.kl_limit:g}"


def _truncated(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    share = metrics.get("truncated", 0.0)
    if share <= dogs.config.truncated_limit:
        return None
    return f"{share:.0%} of the rollouts ran out of turns or context; raise their limits, or see why"


def _spike(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    usual, now = dogs.usual("train/grad_norm"), metrics.get("train/grad_norm", 0.0)
    if usual is None or now <= dogs.config.spike_limit * usual:
        return None
    return f"the gradient's norm jumped to {now:.3g} from {usual:.3g}"


def _gamed(dogs: Watchdogs, metrics: Mapping[str, float]) -> str | None:
    limit = dogs.config.gamed_limit
    if not {"progress_bare", "success_bare"} <= metrics.keys():
        return None
    gained, won = (dogs.risen(name, metrics[name]) for name in ("progress_bare", "success_bare"))
    if not gained >= limit or not won <= -limit:
        return None
    return (
        f"what checks score rose by {gained:.2f} and success fell by {-won:.2f}; the policy may be paid for "
        "checks that are not worth it, or tasks have become harder"
    )


CONTRAST = "train/contrast_trees"
REMEMBERED = ("train/entropy", "train/grad_norm", CONTRAST, "progress_bare", "success_bare")
"""Metrics whose past is kept."""
WATCHES: Mapping[str, Judge] = {
    "parity": _parity,
    "drift": _drift,
    "stale": _stale,
    "barren": _barren,
    "nonfinite": _nonfinite,
    "entropy": _entropy,
    "kl": _kl,
    "truncated": _truncated,
    "spike": _spike,
    "gamed": _gamed,
}
