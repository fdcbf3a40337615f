"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, unknown

UNITS = ("tokens", "trajectories", "seconds", "usd")


def budget_of(texts: Sequence[str]) -> Budget:
    """A purse from texts like `tokens=50000`. Raises UnknownName, BadConfig."""
    limits: dict[str, float] = {}
    for text in texts:
        unit, _, amount = text.partition("=")
        if unit not in UNITS:
            raise unknown("budget unit", unit, UNITS)
        try:
            limits[unit] = float(amount)
        except ValueError as error:
            raise BadConfig(f"a budget is written {unit}=NUMBER, got {text!r}") from error
    tokens, trajectories = (limits.get(unit) for unit in ("tokens", "trajectories"))
    return Budget(
        tokens=None if tokens is None else int(tokens),
        trajectories=None if trajectories is None else int(trajectories),
        seconds=limits.get("seconds"),
        usd=limits.get("usd"),
    )
