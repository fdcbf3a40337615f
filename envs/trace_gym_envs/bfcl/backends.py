"""The stateful services that the tasks are played on, and how one call on them is run.

The services are the benchmark's own classes, imported from the unpacked wheel. They keep some state in
their modules, which would leak from one episode into another; here it does not: scenarios are copied after
loading, mutable default arguments are handed out fresh, and a call and the rendering of its result happen
under one lock. Nothing an agent wrote is ever evaluated: a call is a name out of an allow-list and JSON
arguments. Leaves out judging.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from decimal import localcontext
from inspect import signature
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from trace_gym_envs.bfcl.guard import refusal
from trace_gym_envs.bfcl.wheel import load

World: TypeAlias = dict[str, Any]
"""The services of one episode by class name. Plain data and instances: a deep copy is a fork."""

# The services' modules exist once per process, whoever loads them, and so does the lock on what they share.
_LOCK = Lock()

_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
_PRINTED_SET = re.compile(r"(?<=Must be one of )\{[^{}]*\}")


class _ReleaseDay(datetime):
    """A calendar that stands still, so that ages do not depend on the day an episode is replayed."""

    @classmethod
    def today(cls) -> _ReleaseDay:
        return cls(2026, 3, 23)


class Backends:
    """The eight services, loaded at construction; opens worlds and runs calls on them. Thread-safe.

    `tools` maps the name of every tool to the class it belongs to: the allow-list.
    """

    def __init__(self, root: Path, tools: Mapping[str, str]) -> None:
        """Raises MissingExtra, EnvironmentFailed."""
        constants = load(root, "constants.executable_backend_config")
        places: Mapping[str, str] = constants.CLASS_FILE_PATH_MAPPING
        names = dict.fromkeys(tools.values())
        modules = {name: vars(load(root, places[name].removeprefix("bfcl_eval."))) for name in names}
        modules["TravelAPI"]["datetime"] = _ReleaseDay
        self.tools = tools
        self._classes: dict[str, type[Any]] = {name: modules[name][name] for name in names}
        self._defaults = {tool: _mutable_defaults(self._method(tool)) for tool in tools}
        self._stateless = frozenset(constants.STATELESS_CLASSES)
        self._mpmath = modules["MathAPI"]["mpmath"]

    def open(self, classes: Sequence[str], config: Mapping[str, Any], *, long_context: bool) -> World:
        """Fresh services in the state that a task's configuration describes."""
        world: World = {name: self._classes[name]() for name in classes}
        with _LOCK:
            for name in classes:
                if name not in self._stateless:
                    world[name]._load_scenario(deepcopy(config.get(name, {})), long_context=long_context)
            return deepcopy(world)

    def call(self, world: World, name: str, arguments: Mapping[str, Any]) -> str:
        """Run a tool and give the text that the benchmark shows for its result.

        That is JSON for an object, `str` of anything else, and a line beginning "Error during execution" for
        an exception, whatever it is: it came from what the agent asked for.
        """
        service = world[self.tools[name]]
        given = {**deepcopy(self._defaults[name]), **deepcopy(dict(arguments))}
        reason = refusal(service, name, given)
        if reason is not None:
            return f"Error during execution: {reason}"
        with _LOCK, localcontext(), self._mpmath.workdps(self._mpmath.mp.dps):
            try:
                text = _rendered(getattr(service, name)(**given))
            except _FAULTS as error:
                text = f"Error during execution: {error}"
        return _PRINTED_SET.sub(_in_order, text)

    def parameters(self, name: str) -> tuple[str, ...]:
        """A tool's parameters in the order in which it takes them."""
        return tuple(signature(self._method(name)).parameters)[1:]

    def _method(self, tool: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._classes[self.tools[tool]], tool)
        return method


def attributes(service: Any) -> dict[str, Any]:
    """What counts as a service's state: its attributes, less those named as private."""
    return {name: value for name, value in vars(service).items() if not name.startswith("_")}


def _mutable_defaults(method: Callable[..., Any]) -> dict[str, Any]:
    """Default arguments that a call could change for all calls after it."""
    parameters = signature(method).parameters.values()
    return {p.name: deepcopy(p.default) for p in parameters if isinstance(p.default, (list, dict))}


def _rendered(result: object) -> str:
    """A result as the benchmark prints it."""
    if isinstance(result, dict):
        try:
            return json.dumps(result)
        except (TypeError, ValueError, RecursionError):
            return str(result)
    return result if isinstance(result, str) else str(result)


def _in_order(printed: re.Match[str]) -> str:
    """A printed set of strings, whose order changes from process to process, sorted."""
    return "{" + ", ".join(sorted(printed.group()[1:-1].split(", "))) + "}"
