"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, RunFolderError, boundary, unknown

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
        if not 0 <= limits[unit] < float("inf"):
            raise BadConfig(f"a budget is a finite number, 0 or more, got {text!r}")
    tokens, trajectories = (limits.get(unit) for unit in ("tokens", "trajectories"))
    return Budget(
        tokens=None if tokens is None else int(tokens),
        trajectories=None if trajectories is None else int(trajectories),
        seconds=limits.get("seconds"),
        usd=limits.get("usd"),
    )


def see_that_free(folder: Path) -> None:
    """Refuse a folder that no run can be made in, before anything that takes long. Raises RunFolderError."""
    with boundary(RunFolderError, OSError, what=f"run folder {folder} cannot be used"):
        if folder.exists() and not folder.is_dir():
            raise RunFolderError(f"run folder {folder} is a file; choose another name with --out")
        if folder.exists() and any(folder.iterdir()):
            raise RunFolderError(f"run folder {folder} exists and is not empty; choose another with --out")
