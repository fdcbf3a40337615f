"""From names to parts: agents, renderers, schedulers, predictors, as commands and configurations spell them.

Heavy parts are imported when their name is used. Leaves out policies, which need more than a name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from trace_gym.core.agent import Agent, Renderer
from trace_gym.core.errors import BadConfig, MissingExtra, unknown
from trace_gym.core.predictor import Predictor
from trace_gym.core.scheduler import Scheduler
from trace_gym.core.tokens import Tokenizer
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.random_forks import TraceRandomForks
from trace_gym.schedule.trace import Trace
from trace_gym.schedule.uniform import Uniform

AGENTS = "trace_gym.agents"
RENDERERS = "trace_gym.renderers"
SCHEDULERS: Mapping[str, Callable[..., Scheduler]] = {
    "uniform": Uniform,
    "trace": Trace,
    "trace_random_forks": TraceRandomForks,
}
PREDICTORS = ("none", "beta", "value_head")
NATIVE_RENDERERS = {"tiny": "compact", "smollm2": "smollm2"}


def agent_names() -> list[str]:
    """The installed agents that need no policy."""
    return sorted({point.name for point in entry_points(group=AGENTS)})


def make_agent(name: str) -> Agent:
    """The agent of that name. Raises UnknownName."""
    agent: Agent = _entry(AGENTS, "agent", name)()
    return agent


def make_renderer(name: str, tokenizer: Tokenizer) -> Renderer:
    """The renderer of that name over a tokenizer. Raises UnknownName; BadConfig where the tokenizer lacks
    what the renderer needs."""
    try:
        renderer: Renderer = _entry(RENDERERS, "renderer", name)(tokenizer)
    except ValueError as error:
        raise BadConfig(f"renderer {name!r} does not fit this model: {error}") from error
    return renderer


def native_renderer(model: str) -> str:
    """The renderer that suits a model named on the command line; chat models speak hermes."""
    return NATIVE_RENDERERS.get(model, "hermes")


def make_scheduler(name: str, options: Mapping[str, Any], *, seed: int) -> Scheduler:
    """The scheduler of that name with its constructor's options. Raises UnknownName, BadConfig."""
    if name not in SCHEDULERS:
        raise unknown("scheduler", name, list(SCHEDULERS))
    made: Scheduler = _built(SCHEDULERS[name], f"scheduler {name!r}", options, {"seed": seed})
    return made


def make_predictor(name: str, options: Mapping[str, Any], *, seed: int) -> Predictor | None:
    """The predictor of that name with its constructor's options, None for `none`. Raises UnknownName,
    BadConfig, MissingExtra."""
    if name not in PREDICTORS:
        raise unknown("predictor", name, list(PREDICTORS))
    if name == "none":
        if options:
            raise BadConfig(f"predictor 'none' takes no options, got {', '.join(options)}")
        return None
    if name == "beta":
        counting: Predictor = _built(BetaPredictor, "predictor 'beta'", options, {})
        return counting
    with_torch()
    from trace_gym.train.value_head import ValueHead

    learned: Predictor = _built(ValueHead, "predictor 'value_head'", options, {"seed": seed})
    return learned


def with_torch() -> None:
    """See that the training extra is there. Raises MissingExtra with the install command."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"policies and training need {error.name}: pip install 'trace-gym[train]'"
        ) from error


def _built(
    factory: Callable[..., Any], what: str, options: Mapping[str, Any], given: Mapping[str, Any]
) -> Any:
    """Call a constructor with options that must be among its parameters."""
    known = [name for name in inspect.signature(factory).parameters if name not in given]
    for key in options:
        if key not in known:
            raise unknown(f"option of {what}", key, known)
    try:
        return factory(**options, **given)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"{what}: {error}") from error


def _entry(group: str, kind: str, name: str) -> Callable[..., Any]:
    points = {point.name: point for point in entry_points(group=group)}
    if name not in points:
        raise unknown(kind, name, sorted(points))
    factory: Callable[..., Any] = points[name].load()
    return factory
