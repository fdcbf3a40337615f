"""What rollouts cost, and the one purse they are paid from."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent. Tokens: `fresh` were computed by the model as context, `cached` were context found
    in a cache, `decoded` were sampled. `steps` are environment steps, `seconds` wall time, `usd` money."""

    trajectories: int = 0
    fresh: int = 0
    cached: int = 0
    decoded: int = 0
    steps: int = 0
    model_seconds: float = 0.0
    env_seconds: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.trajectories + other.trajectories,
            self.fresh + other.fresh,
            self.cached + other.cached,
            self.decoded + other.decoded,
            self.steps + other.steps,
            self.model_seconds + other.model_seconds,
            self.env_seconds + other.env_seconds,
            self.usd + other.usd,
        )

    @property
    def seconds(self) -> float:
        """Model and environment seconds together (summed over parallel episodes)."""
        return self.model_seconds + self.env_seconds

    def json(self) -> dict[str, float]:
        """All fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


FREE = Cost()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that things are taken to last in place of what a clock says, so that a run costs the same
    again: an environment step, a sampled token, a context token that a turn adds. What a fork shares with
    others is not paid for again."""

    step_s: float = 0.0
    token_s: float = 0.0
    context_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("step_s", "token_s", "context_s"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def timed(self, cost: Cost, *, context: int) -> Cost:
        """The cost of a turn that added `context` tokens, with these seconds in place of its own."""
        model = self.token_s * cost.decoded + self.context_s * context
        return replace(cost, model_seconds=model, env_seconds=self.step_s * cost.steps)


class Budget:
    """A purse with limits, optionally part of a larger purse.

    Invariant: reserved + spent <= limit for trajectories and for sampled tokens, here and in every
    parent; both are hard. Seconds and money are soft: `open` turns False when they are gone, and the
    overshoot can be read off `spent`. What is reserved is either charged or refunded. Thread-safe.
    """

    def __init__(
        self,
        *,
        trajectories: int | None = None,
        tokens: int | None = None,
        seconds: float | None = None,
        usd: float | None = None,
        parent: Budget | None = None,
    ) -> None:
        given = {"trajectories": trajectories, "tokens": tokens, "seconds": seconds, "usd": usd}
        for name, limit in given.items():
            if limit is not None and limit < 0:
                raise ValueError(f"a budget of {name} must not be negative, got {limit}")
        self.limits = {name: limit for name, limit in given.items() if limit is not None}
        self.parent = parent
        self.spent = Cost()
        self._reserved = {"trajectories": 0, "tokens": 0}
        self._lock: AbstractContextManager[object] = parent._lock if parent else threading.RLock()

    def left(self, unit: str) -> float:
        """What remains of `unit` (trajectories, tokens, seconds, usd) after reservations, or inf."""
        with self._lock:
            mine = float("inf")
            if unit in self.limits:
                mine = self.limits[unit] - self._used(unit) - self._reserved.get(unit, 0)
            return min(mine, self.parent.left(unit)) if self.parent else mine

    @property
    def open(self) -> bool:
        """Is anything left of every limited unit?"""
        return all(self.left(unit) > 0 for unit in ("trajectories", "tokens", "seconds", "usd"))

    @property
    def open_soft(self) -> bool:
        """Is anything left of seconds and money, the soft limits?"""
        return self.left("seconds") > 0 and self.left("usd") > 0

    def reserve(self, unit: str, amount: int) -> int:
        """Reserve up to `amount` trajectories or tokens; returns how many were granted (maybe 0)."""
        with self._lock:
            granted = max(0, int(min(amount, self.left(unit))))
            purse: Budget | None = self
            while purse is not None:
                purse._reserved[unit] += granted
                purse = purse.parent
            return granted

    def refund(self, unit: str, amount: int) -> None:
        """Give back a reservation that was not used."""
        with self._lock:
            purse: Budget | None = self
            while purse is not None:
                if amount > purse._reserved[unit]:
                    held = purse._reserved[unit]
                    raise ValueError(f"refund of {amount} {unit}, but only {held} are reserved")
                purse._reserved[unit] -= amount
                purse = purse.parent

    def charge(self, cost: Cost, *, reserved_tokens: int = 0, reserved_trajectories: int = 0) -> None:
        """Book `cost` and release the reservations it was made under."""
        with self._lock:
            self.refund("tokens", reserved_tokens)
            self.refund("trajectories", reserved_trajectories)
            purse: Budget | None = self
            while purse is not None:
                purse.spent += cost
                purse = purse.parent

    def _used(self, unit: str) -> float:
        match unit:
            case "trajectories":
                return self.spent.trajectories
            case "tokens":
                return self.spent.decoded
            case "seconds":
                return self.spent.seconds
            case "usd":
                return self.spent.usd
            case _:
                raise ValueError(f"no such budget unit: {unit!r}")
