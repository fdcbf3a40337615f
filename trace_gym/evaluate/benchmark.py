"""Benchmarks by name: suites, subsets, attempts, limits and weights in a TOML file, evaluated as one.

A file holds a `description`, `max_tokens` a turn, and a table `[[part]]` for every part: `suite` (its spec, a
subset or options included), `k` attempts, `tasks` at most, `weight`, and limits of an episode: `turns`,
`tokens`, `seconds`, `usd`. Leaves out who is evaluated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace_gym.core.errors import BadConfig, boundary, unknown
from trace_gym.environment.registry import suite
from trace_gym.evaluate.plan import EpisodeLimits, Part

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    suite: str
    k: Count = 1
    tasks: Count | None = None
    weight: Positive = 1.0
    turns: Count | None = None
    tokens: Count | None = None
    seconds: Positive | None = None
    usd: Positive | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    description: str
    max_tokens: Count = 256
    part: list[_Part] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: its parts, tokens a turn, and `content`, all that its file says."""

    name: str
    description: str
    parts: tuple[Part, ...]
    max_tokens: int
    content: Mapping[str, Any]


def benchmark_names() -> tuple[str, ...]:
    """The benchmarks that come with the package."""
    folder = files("trace_gym.evaluate").joinpath("benchmarks")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def is_benchmark(name: str) -> bool:
    """Does a text name a benchmark rather than a suite?"""
    return name in benchmark_names() or (name.endswith(".toml") and "?" not in name)


def read_benchmark(name: str) -> Benchmark:
    """A packaged benchmark by name, or the one in a TOML file. Raises UnknownName, BadConfig (with what is
    wrong and where), and what looking up its suites raises."""
    if name in benchmark_names():
        text = files("trace_gym.evaluate").joinpath("benchmarks", f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml"):
        with boundary(BadConfig, OSError, UnicodeDecodeError, what=f"cannot read the benchmark {name}"):
            text = Path(name).read_text(encoding="utf-8")
    else:
        raise unknown("benchmark", name, benchmark_names())
    try:
        found = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"benchmark {name} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise BadConfig(f"benchmark {name}: {key}: {first['msg']}") from error
    parts = tuple(
        Part(
            suite(part.suite),
            attempts=part.k,
            tasks=part.tasks,
            limits=EpisodeLimits(part.turns, part.tokens, part.seconds, part.usd),
            weight=part.weight,
        )
        for part in found.part
    )
    return Benchmark(name, found.description, parts, found.max_tokens, found.model_dump(exclude_none=True))
