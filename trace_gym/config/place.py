"""Where a run is at work: the keys that may change when it is resumed elsewhere.

What is learnt does not depend on them. Leaves out everything else of a configuration, which a run keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trace_gym.config.load import changed
from trace_gym.config.sections import RunConfig
from trace_gym.core.errors import BadConfig

PLACE = ("cluster", "run.workers")
"""Sections and keys."""


def moved(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """A run's configuration, for another place. Raises BadConfig for overrides that change anything else,
    UnknownName."""
    elsewhere = changed(config, overrides)
    kept = differing(config, elsewhere)
    if kept:
        raise BadConfig(
            f"a run that is resumed keeps its {', '.join(kept)}; --set may change where it is at work: "
            f"{', '.join(PLACE)}"
        )
    return elsewhere


def differing(one: RunConfig, other: RunConfig) -> list[str]:
    """The keys that two configurations have different values for, those of the place left out."""
    return [key for key in _differing(one, other) if not {key, key.partition(".")[0]} & {*PLACE}]


def _differing(one: RunConfig, other: RunConfig) -> Iterator[str]:
    before, after = one.model_dump(), other.model_dump()
    for section, values in before.items():
        if isinstance(values, dict):
            yield from (f"{section}.{key}" for key in values if values[key] != after[section][key])
        elif values != after[section]:
            yield section
