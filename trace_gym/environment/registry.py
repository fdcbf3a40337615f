"""Finding suites: by entry point (`trace_gym.envs`), by file, and as Gymnasium ids.

A suite is written `NAME[:SUBSET][?key=value&...]` or `path/to/module.py:ClassName[:SUBSET][?...]`; several
subsets have plus signs between them. Options are the keyword parameters that the environment's `__init__` and
`tasks` name explicitly, and `sealed`, the file of a sealed split to go by. Leaves out agents and renderers,
which have entry points of their own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import blake2b
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import gymnasium

from trace_gym.core.errors import BadConfig, MissingExtra, boundary, unknown
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.query import options_of, parameters
from trace_gym.environment.seal import Seal, read_seal
from trace_gym.environment.tasks import own_tasks

GROUP = "trace_gym.envs"


@dataclass(frozen=True, slots=True)
class Suite:
    """An environment class with its options: where tasks and environments come from. `spec` is the text it
    was asked for with; `subset` empty means all of it."""

    name: str
    spec: str
    env_class: type[AgenticEnv]
    subset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    seal: Seal | None = None

    def tasks(self, split: Split) -> Sequence[Task]:
        """The tasks of a split, of the subset only where one was named, as the sealed split has them if the
        suite goes by one.

        A `tasks` method that takes `subset` filters for itself (and refuses an unknown one); otherwise the
        tasks are read once through. Raises UnknownName for a subset without tasks, BadConfig for tasks that
        cannot be listed, are not the suite's, or are not those that were sealed.
        """
        if self.seal is not None:
            return self.seal.tasks([task for each in Split for task in self._listed(each)], split)
        return self._listed(split)

    def _listed(self, split: Split) -> Sequence[Task]:
        """The tasks as the suite itself splits them."""
        given = _taken(self.options, self.env_class.tasks)
        if not self.subset:
            return self._asked(split, given)
        parts = [self._part(split, subset, given) for subset in self.subset.split("+")]
        if len(parts) == 1:
            return parts[0]
        return list({task.id: task for part in parts for task in part}.values())

    def _part(self, split: Split, subset: str, given: Mapping[str, Any]) -> Sequence[Task]:
        """The tasks of one subset."""
        if "subset" in inspect.signature(self.env_class.tasks).parameters:
            return self._asked(split, {**given, "subset": subset})
        everything = self._asked(split, given)
        found = [task for task in everything if task.subset == subset]
        if not found:
            known = sorted({task.subset for task in everything if task.subset})
            raise unknown(f"{self.name} {split} subset", subset, known)
        return found

    def _asked(self, split: Split, given: Mapping[str, Any]) -> Sequence[Task]:
        """What the class lists, checked: from here on a suite's tasks are its own."""
        listing: Callable[..., object] = self.env_class.tasks
        with boundary(BadConfig, Exception, what=f"the {split} tasks of {self.spec!r} cannot be listed"):
            found = listing(split, **given)
        return own_tasks(found, self.name)

    def make(
        self,
        *,
        reward: RewardRule | None = None,
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
    ) -> AgenticEnv:
        """A new environment; its `reset` without a task draws from this suite's tasks. `reward` defaults to
        the suite's option, else to `outcome`. Raises BadConfig where it cannot be made."""
        given = _taken(self.options, self.env_class.__init__)
        if reward is not None:
            given["reward"] = reward
        with boundary(BadConfig, Exception, what=f"{self.spec!r} cannot be made"):
            env = self.env_class(**given, split=split, render_mode=render_mode)
        env.pool = cache(partial(self.tasks, split))
        return env

    def make_drawing(self) -> AgenticEnv:
        """A new environment that draws itself as an RGB array where its class can."""
        drawing = "rgb_array" in self.env_class.metadata["render_modes"]
        return self.make(render_mode="rgb_array" if drawing else None)


def suite_names() -> tuple[str, ...]:
    """The installed suites, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def suite(spec: str) -> Suite:
    """The suite that a text names.

    Raises UnknownName (suite, class, option: with the nearest valid one), BadConfig (a value that does not
    fit, a file that cannot be read), MissingExtra (with the install command).
    """
    address, _, query = spec.partition("?")
    name, subset, env_class = _located(address)
    known = parameters(env_class.tasks) | parameters(env_class.__init__) | {"sealed": Path}
    given = options_of(query, known, kind=f"{env_class.suite} option", what=f"suite {spec!r}")
    path = given.pop("sealed", None)
    seal = None if path is None else read_seal(path)
    if seal is not None and seal.suite != name:
        raise BadConfig(f"{path} is a sealed split of suite {seal.suite!r}, not of {name!r}")
    return Suite(name, spec, env_class, subset, given, seal)


def register() -> None:
    """Make every installed suite known to Gymnasium as `trace_gym/<name>-v0`. May be called again.

    Loads no suite. Gymnasium 1.x reads no entry points, so a program calls this (or imports what does). A
    name that two packages claim is left out; `suite` says why.
    """
    for name in suite_names():
        points = _entry_points(name)
        identifier = f"trace_gym/{name}-v0"
        if len(points) == 1 and identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{points[0].module}:{points[0].attr}",
                vector_entry_point=f"trace_gym.environment.vector:{name}",
            )


def env_class_of(name: str) -> type[AgenticEnv]:
    """The environment class of an installed suite. Raises UnknownName, MissingExtra, BadConfig."""
    point = _entry_point(name)
    try:
        with boundary(BadConfig, AttributeError, SyntaxError, what=f"suite {name!r} cannot be loaded"):
            loaded = point.load()
    except ModuleNotFoundError as error:
        package = point.dist.name if point.dist else "its package"
        wanted = f"{package}[{','.join(point.extras)}]" if point.extras else str(error.name)
        raise MissingExtra(
            f"suite {name!r} needs the module {error.name!r}, which is missing: pip install '{wanted}'"
        ) from error
    return _checked(loaded, f"entry point {point.value!r}", name)


def _located(address: str) -> tuple[str, str, type[AgenticEnv]]:
    """Name, subset and class for the part of a spec before the question mark."""
    if ".py:" not in address:
        if address.endswith(".py"):
            raise BadConfig(f"a suite in a file is written path/to/module.py:ClassName, got {address!r}")
        name, _, subset = address.partition(":")
        return name, subset, env_class_of(name)
    stem, _, rest = address.rpartition(".py:")
    class_name, _, subset = rest.partition(":")
    env_class = _from_file(Path(f"{stem}.py"), class_name)
    return env_class.suite, subset, env_class


def _entry_points(name: str) -> list[EntryPoint]:
    """The different entry points that claim a name, sorted."""
    points = {point.value: point for point in entry_points(group=GROUP, name=name)}
    return [points[value] for value in sorted(points)]


def _entry_point(name: str) -> EntryPoint:
    points = _entry_points(name)
    if not points:
        raise unknown("suite", name, suite_names())
    if len(points) > 1:
        claims = ", ".join(point.value for point in points)
        raise BadConfig(f"suite {name!r} is offered by more than one package: {claims}")
    return points[0]


def _from_file(path: Path, class_name: str) -> type[AgenticEnv]:
    """A class from a Python file, which is executed once per process."""
    if not path.is_file():
        raise BadConfig(f"there is no file {str(path)!r}")
    resolved = path.resolve()
    key = blake2b(str(resolved).encode(), digest_size=6).hexdigest()
    module_name = f"trace_gym_file_{key}_{path.stem}"
    if module_name not in sys.modules:
        module_spec = spec_from_file_location(module_name, resolved)
        if module_spec is None or module_spec.loader is None:
            raise BadConfig(f"{str(path)!r} is not a Python file")
        sys.modules[module_name] = module_from_spec(module_spec)
        try:
            with boundary(BadConfig, Exception, what=f"{str(path)!r} cannot be loaded"):
                module_spec.loader.exec_module(sys.modules[module_name])
        except BadConfig:
            del sys.modules[module_name]
            raise
    found = vars(sys.modules[module_name])
    if class_name not in found:
        classes = [n for n, v in found.items() if isinstance(v, type) and v.__module__ == module_name]
        raise unknown(f"class in {str(path)!r}", class_name, classes)
    return _checked(found[class_name], f"{class_name} in {str(path)!r}", None)


def _checked(loaded: object, where: str, name: str | None) -> type[AgenticEnv]:
    if not (isinstance(loaded, type) and issubclass(loaded, AgenticEnv)):
        raise BadConfig(f"{where} is not a subclass of AgenticEnv")
    if not loaded.suite or (name is not None and loaded.suite != name):
        raise BadConfig(f"{where} calls its suite {loaded.suite!r}, expected {name or 'a name'!r}")
    if missing := sorted(loaded.__abstractmethods__):
        raise BadConfig(f"{where} does not define {', '.join(missing)}, which a suite must")
    return loaded


def _taken(options: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Those options that the function names."""
    known = parameters(function)
    return {key: value for key, value in options.items() if key in known}
