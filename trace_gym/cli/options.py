"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, RunFolderError, boundary, unknown
from trace_gym.evaluate import EpisodeLimits
from trace_gym.schedule.catalogue import ablation, names
from trace_gym.store.database import vacant

UNITS = ("tokens", "trajectories", "seconds", "usd")
EPISODE_UNITS = ("turns", "tokens", "seconds", "usd")
COUNTED = ("tokens", "trajectories", "turns")
"""Units that come whole."""


def amounts(texts: Sequence[str], units: Sequence[str], what: str) -> dict[str, float]:
    """Numbers by unit from texts like `tokens=50000`, whole where the unit is counted; `what` they are, for
    messages. Raises UnknownName, BadConfig."""
    found: dict[str, float] = {}
    for text in texts:
        unit, _, amount = text.partition("=")
        if unit not in units:
            raise unknown(f"{what} unit", unit, tuple(units))
        try:
            found[unit] = float(amount)
        except ValueError as error:
            raise BadConfig(f"a {what} is written {unit}=NUMBER, got {text!r}") from error
        if not 0 <= found[unit] < float("inf"):
            raise BadConfig(f"a {what} is a finite number, 0 or more, got {text!r}")
        if unit in COUNTED:
            if found[unit] % 1:
                raise BadConfig(f"a {what} of {unit} is a whole number, got {text!r}")
            found[unit] = int(found[unit])
    return found


def budget_of(texts: Sequence[str]) -> Budget:
    """A purse from texts like `tokens=50000`. Raises UnknownName, BadConfig."""
    limits = amounts(texts, UNITS, "budget")
    tokens, trajectories = (limits.get(unit) for unit in ("tokens", "trajectories"))
    return Budget(
        tokens=None if tokens is None else int(tokens),
        trajectories=None if trajectories is None else int(trajectories),
        seconds=limits.get("seconds"),
        usd=limits.get("usd"),
    )


def episode_limits_of(texts: Sequence[str]) -> EpisodeLimits:
    """Limits of one episode from texts like `turns=10`. Raises UnknownName, BadConfig."""
    found = amounts(texts, EPISODE_UNITS, "limit")
    turns, tokens = (found.get(unit) for unit in ("turns", "tokens"))
    return EpisodeLimits(
        turns=None if turns is None else int(turns),
        tokens=None if tokens is None else int(tokens),
        seconds=found.get("seconds"),
        usd=found.get("usd"),
    )


def named_methods(text: str) -> list[str]:
    """Schedulers by spec: `all`, `ablation`, or a list with commas."""
    if text == "ablation":
        return ["uniform", *ablation()]
    return names() if text == "all" else text.split(",")


def see_that_free(folder: Path) -> None:
    """Refuse a folder that no run can be made in, before anything that takes long. Raises RunFolderError."""
    with boundary(RunFolderError, OSError, what=f"run folder {folder} cannot be used"):
        if folder.exists() and not folder.is_dir():
            raise RunFolderError(f"run folder {folder} is a file; choose another name with --out")
        if folder.exists() and not vacant(folder):
            raise RunFolderError(f"run folder {folder} exists and is not empty; choose another with --out")
