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
from trace_gym.core.option import demand_kinds
from trace_gym.core.predictor import Predictor
from trace_gym.core.scheduler import Scheduler
from trace_gym.core.tokens import Tokenizer
from trace_gym.environment.query import options_of, parameters
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.catalogue import make
from trace_gym.schedule.fusion import Fusion

AGENTS = "trace_gym.agents"
RENDERERS = "trace_gym.renderers"
LEARNED = ("value_head", "bayes")
PREDICTORS = ("none", "beta", *LEARNED, "fusion")
NATIVE_RENDERERS = {"tiny": "compact", "smollm2": "smollm2"}


def agent_names() -> list[str]:
    """The installed agents that need no policy."""
    return sorted({point.name for point in entry_points(group=AGENTS)})


def make_agent(spec: str) -> Agent:
    """The agent that a text names: `NAME[?key=value&...]`, the options being its constructor's keyword
    parameters. Raises UnknownName, BadConfig, MissingExtra."""
    name, _, query = spec.partition("?")
    factory = _entry(AGENTS, "agent", name)
    options = options_of(query, parameters(factory), kind=f"option of agent {name!r}", what=f"agent {spec!r}")
    agent: Agent = _built(factory, f"agent {name!r}", options, {})
    return agent


def make_renderer(name: str, tokenizer: Tokenizer) -> Renderer:
    """The renderer of that name over a tokenizer. Raises UnknownName; BadConfig where the tokenizer lacks
    what the renderer needs."""
    try:
        renderer: Renderer = _entry(RENDERERS, "renderer", name)(tokenizer)
    except ValueError as error:
        raise BadConfig(f"renderer {name!r} does not fit this model: {error}") from error
    return renderer


def demand_renderer(name: str, key: str) -> None:
    """See that there is a renderer of that name, which the configuration's `key` gives. Raises UnknownName,
    MissingExtra."""
    _entry(RENDERERS, key, name)


def native_renderer(model: str) -> str:
    """The renderer that suits a model named on the command line; chat models speak hermes."""
    return NATIVE_RENDERERS.get(model, "hermes")


def make_scheduler(name: str, options: Mapping[str, Any], *, seed: int) -> Scheduler:
    """The scheduler of that name: a method, or ROOTS+FORKS such as `pcl+trace`, with its rules' options.
    Raises UnknownName, BadConfig."""
    return make(name, options, seed=seed)


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
    if name == "fusion":
        return _fusion(options, seed=seed)
    return _learned(name, f"predictor {name!r}", options, seed=seed)


def _fusion(options: Mapping[str, Any], *, seed: int) -> Predictor:
    """A learned predictor, named by the option `learned`, and counts as one; tables by their names among the
    options are theirs."""
    own = {key: value for key, value in options.items() if key not in (*LEARNED, "beta", "learned")}
    name = options.get("learned", LEARNED[0])
    if name not in LEARNED:
        raise unknown("option 'learned' of predictor 'fusion'", str(name), list(LEARNED))
    for other in LEARNED:
        if other != name and other in options:
            raise BadConfig(f"predictor 'fusion' has options of {other!r}, but learned = {name!r}")
    parts = {key: options.get(key, {}) for key in ("beta", name)}
    for key, value in parts.items():
        if not isinstance(value, Mapping):
            raise BadConfig(f"option {key!r} of predictor 'fusion' is a table of options, got {value!r}")
    learned = _learned(name, f"option {name!r} of predictor 'fusion'", parts[name], seed=seed)
    counts = _built(BetaPredictor, "option 'beta' of predictor 'fusion'", parts["beta"], {})
    fused: Predictor = _built(Fusion, "predictor 'fusion'", own, {"learned": learned, "counts": counts})
    return fused


def _learned(name: str, what: str, options: Mapping[str, Any], *, seed: int) -> Predictor:
    with_torch()
    from trace_gym.train.bayes_head import BayesHead
    from trace_gym.train.value_head import ValueHead

    if name == "bayes":
        learned: Predictor = _built(BayesHead, what, options, {})
    else:
        learned = _built(ValueHead, what, options, {"seed": seed})
    return learned


def with_torch() -> None:
    """See that the training extra is there. Raises MissingExtra with the install command."""
    try:
        import threadpoolctl  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"policies and training need {error.name}: pip install 'trace-gym[train]'"
        ) from error


def _built(
    factory: Callable[..., Any], what: str, options: Mapping[str, Any], given: Mapping[str, Any]
) -> Any:
    """Call a constructor with options that must be among its parameters, and of their types."""
    parameters = inspect.signature(factory).parameters
    known = [name for name in parameters if name not in given]
    for key in options:
        if key not in known:
            raise unknown(f"option of {what}", key, known)
    demand_kinds(factory, options, what=what)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for name, parameter in parameters.items():
        wanted = parameter.kind in named and parameter.default is inspect.Parameter.empty
        if wanted and name not in {*options, *given}:
            raise BadConfig(f"{what} needs the option {name!r}")
    try:
        return factory(**options, **given)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"{what}: {error}") from error


def _entry(group: str, kind: str, name: str) -> Callable[..., Any]:
    points = {point.name: point for point in entry_points(group=group)}
    if name not in points:
        raise unknown(kind, name, sorted(points))
    try:
        factory: Callable[..., Any] = points[name].load()
    except ModuleNotFoundError as error:
        source, extras = points[name].dist, ",".join(points[name].extras)
        package = source.name if source else "its package"
        wanted = f"{package}[{extras}]" if extras else str(error.name)
        raise MissingExtra(f"{kind} {name!r} needs {error.name}: pip install '{wanted}'") from error
    return factory
