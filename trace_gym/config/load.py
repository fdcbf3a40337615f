"""A configuration from a file or a preset and from the command line, and back to text.

The only place that reads TOML. Every error is one sentence that names the key, what it was given and what is
allowed, or the nearest key there is. Leaves out the files of the presets themselves, which lie in `presets`.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from trace_gym.config.emit import toml
from trace_gym.config.keys import spelled_out
from trace_gym.config.sections import RunConfig, SuiteSection
from trace_gym.core.errors import BadConfig, TraceGymError, UnknownName, boundary, unknown

_PYTHONIC = re.compile(r"a valid (tuple|dictionary)( or instance of \w+)?")
_PLAIN = {"tuple": "a list", "dictionary": "a table"}


def load(
    source: str | Path | None = None, overrides: Sequence[str] = (), *, folder: Traversable | None = None
) -> RunConfig:
    """The configuration in the TOML file or preset `source` (None: defaults), changed by `overrides`.

    An override is `section.key=value`: the value is read as TOML, and as a bare string where it is none; an
    empty value takes the default again; suites are numbered (`suites.0.share=2`). `folder` holds the presets.
    Raises BadConfig, UnknownName.
    """
    raw = {} if source is None else _read(source, folder)
    raw["suites"] = spelled_out(raw.get("suites", []))
    for override in overrides:
        _override(raw, override)
    return parse(raw)


def changed(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The same configuration but for `overrides`, as `load` reads them. Raises BadConfig, UnknownName."""
    raw = config.model_dump(mode="json", exclude_none=True)
    for override in overrides:
        _override(raw, override)
    return parse(raw)


def table(path: Path) -> dict[str, Any]:
    """A TOML file of another kind, as plain data. Raises BadConfig."""
    return _read(path, None)


def parse(raw: Mapping[str, Any]) -> RunConfig:
    """The configuration that plain data spells, such as a run's recorded one. Raises BadConfig,
    UnknownName."""
    try:
        return RunConfig.model_validate(dict(raw))
    except ValidationError as error:
        raise _explained(error) from error


def dump(config: RunConfig) -> str:
    """The configuration as TOML text, defaults included; `load` reads the same back."""
    return toml(config.model_dump(exclude_none=True))


def presets(folder: Traversable | None = None) -> tuple[str, ...]:
    """The names of the configurations that come with the package."""
    folder = folder or files("trace_gym").joinpath("presets")
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def preset(name: str, folder: Traversable | None = None) -> str:
    """The text of a packaged configuration. Raises UnknownName with the nearest."""
    if name not in presets(folder):
        raise unknown("preset", name, presets(folder))
    folder = folder or files("trace_gym").joinpath("presets")
    return folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")


def keys() -> tuple[str, ...]:
    """Every key there is, with its section: `train.lr`; suites as `suites.0.share`."""
    return tuple(_keys(RunConfig))


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{key}" for key in _keys(field.annotation))
        elif name == "suites" and model is RunConfig:
            yield from (f"{name}.0.{key}" for key in _keys(SuiteSection))
        else:
            yield name


def _read(source: str | Path, folder: Traversable | None) -> dict[str, Any]:
    path = Path(source)
    if isinstance(source, str) and not path.is_file() and path.suffix != ".toml":
        if source not in presets(folder):
            raise unknown("file or preset", source, presets(folder))
        return tomllib.loads(preset(source, folder))
    with boundary(BadConfig, OSError, UnicodeDecodeError, what=f"cannot read the configuration {path}"):
        text = path.read_text(encoding="utf-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not valid TOML: {error}") from error


def _override(raw: dict[str, Any], override: str) -> None:
    """Set one key in place."""
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not key:
        raise BadConfig(f"an override is KEY=VALUE, such as train.lr=1e-4; got {override!r}")
    *path, last = key.split(".")
    place: Any = raw
    for done, name in enumerate(path):
        place = _inner(place, name, where=".".join(path[:done]))
    if isinstance(place, list):
        place[_position(place, last, where=".".join(path))] = _value(text)
    elif not isinstance(place, dict):
        raise BadConfig(f"config key {key!r} cannot be set: {'.'.join(path)!r} is a value, not a section")
    elif text.strip():
        place[last] = spelled_out(_value(text)) if key == "suites" else _value(text)
    else:
        place.pop(last, None)


def _inner(place: Any, name: str, *, where: str) -> Any:
    """The section `name` of a section, made if it is not there; or an item of a list."""
    if isinstance(place, list):
        return place[_position(place, name, where=where)]
    if not isinstance(place, dict):
        raise BadConfig(
            f"config key {f'{where}.{name}'!r} cannot be set: {where!r} is a value, not a section"
        )
    return place.setdefault(name, {})


def _position(items: list[Any], name: str, *, where: str) -> int:
    if not name.isdecimal() or int(name) >= len(items):
        raise BadConfig(f"{where!r} is a list of {len(items)}, numbered from 0; got {name!r}")
    return int(name)


def _value(text: str) -> Any:
    """A value as TOML has it; a bare string where that fails, and for dates."""
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    dated = isinstance(read["value"], (datetime.date, datetime.time))
    return text.strip() if dated or len(read) > 1 else read["value"]


def _explained(error: ValidationError) -> TraceGymError:
    """What is wrong, in one sentence; unknown keys first, since they explain missing ones."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    key, given, kind = ".".join(map(str, problem["loc"])), problem["input"], problem["type"]
    if kind == "extra_forbidden":
        return _unknown_key(key)
    if kind == "missing" and isinstance(problem["loc"][-1], int):
        return BadConfig(f"config key {key.rpartition('.')[0]!r} cannot be {given!r}: it has too few items")
    if kind == "missing" or (key == "suites" and kind == "too_short"):
        return BadConfig(f"config key {key!r} is missing: give it in the file or with --set {key}=…")
    says = problem["msg"].removeprefix("Value error, ")
    if not key:
        return BadConfig(says)
    if kind == "literal_error" and isinstance(given, str):
        expected = problem["ctx"]["expected"]
        allowed = [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")]
        near = get_close_matches(given, allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? It" if near else "it"
        return UnknownName(f"config key {key!r} cannot be {given!r}; {hint} may be {expected}")
    says = _PYTHONIC.sub(lambda match: _PLAIN[match[1]], says).replace("Input should be", "it must be")
    return BadConfig(f"config key {key!r} cannot be {given!r}: {says[:1].lower()}{says[1:]}")


def _unknown_key(key: str) -> UnknownName:
    """The nearest key of the same section, else of any, else all of the section."""
    section, _, name = key.rpartition(".")
    within = {known: f"{section}.{known}".lstrip(".") for known in _names(section)}
    anywhere = {known.rpartition(".")[2]: known for known in reversed(keys())}
    near = get_close_matches(name, within, n=1, cutoff=0.6)
    if not near:
        near = [known for known in within if known == "".join(word[:1] for word in name.split("_"))]
    far = [name] if name in anywhere else get_close_matches(name, anywhere, n=1, cutoff=0.75)
    if near or far:
        nearest = within[near[0]] if near else anywhere[far[0]]
        return UnknownName(f"unknown config key {key!r}; did you mean {nearest!r}?")
    place = f"section {section!r}" if section else "a configuration"
    return UnknownName(f"unknown config key {key!r}; {place} has {', '.join(within)}")


def _names(section: str) -> list[str]:
    """The names in a section; of the whole, its sections."""
    section = ".".join("0" if part.isdecimal() else part for part in section.split("."))
    prefix = f"{section}." if section else ""
    return list(dict.fromkeys(k[len(prefix) :].split(".")[0] for k in keys() if k.startswith(prefix)))
