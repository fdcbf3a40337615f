"""The service desk of an episode: the provider's database and the customer's phone, on the benchmark's own
code, and what the benchmark's evaluator would say of them now.

Leaves out turns and limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from trace_gym.core.action import ToolCall, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.task import Task
from trace_gym_envs.tau2.release import load


@dataclass(slots=True)
class Desk:
    """`world` is the benchmark's environment in solo mode; `made` the calls so far, `errors` those of them
    that failed."""

    world: Any
    made: list[ToolCall] = field(default_factory=list)
    errors: int = 0
    done: bool = False
    spoke: bool = False

    def use(self, call: ToolCall) -> str:
        """Make a call; the answer is what the benchmark shows, errors included."""
        kind = import_module("tau2.data_model.message").ToolCall
        asked = kind(id="", name=call.name, arguments=dict(call.arguments), requestor="assistant")
        answer = self.world.get_response(asked)
        self.made.append(call)
        self.errors += bool(answer.error)
        return str(answer.content)


@cache
def _blank(root: Path) -> Any:
    return load(root, "domains.telecom.environment").get_environment(solo_mode=True)


def policy(root: Path) -> str:
    """What the agent must go by: the provider's policy and the manual, as one text."""
    return str(_blank(root).policy)


@cache
def specs(root: Path) -> tuple[ToolSpec, ...]:
    """The provider's tools and the phone's, in the benchmark's order."""
    blank = _blank(root)
    found = []
    for each in [*blank.get_tools(), *blank.get_user_tools()]:
        function = each.openai_schema["function"]
        found.append(ToolSpec(function["name"], function["description"], function["parameters"]))
    return tuple(found)


def opened(root: Path, task: Task) -> Desk:
    """The desk as the task finds it."""
    world = deepcopy(_blank(root))
    tasks = load(root, "data_model.tasks")
    for step in task.payload["begin"]:
        world.run_env_function_call(tasks.EnvFunctionCall(**step))
    world.sync_tools()
    return Desk(world)


def judged(root: Path, desk: Desk, task: Task) -> Iterable[Verdict]:
    """The benchmark's criteria for the task as things stand: its assertions on a copy of the world, and its
    expected calls. Required are those that its reward is based on."""
    tasks = load(root, "data_model.tasks")
    basis = task.payload["basis"]
    for number, record in enumerate(task.payload["assertions"]):
        assertion = tasks.EnvAssertion(**record)
        holds = deepcopy(desk.world).run_env_assertion(assertion, raise_assertion_error=False)
        name = f"{assertion.func_name.removeprefix('assert_')}_{number}"
        shown = ", ".join(f"{key}={value}" for key, value in record["arguments"].items())
        evidence = f"{assertion.func_name}({shown}) is {holds}"
        yield Verdict.of(name, holds, evidence=evidence, required="ENV_ASSERTION" in basis)
    for number, (gold, compared) in enumerate(
        zip(task.payload["gold"], task.payload["compared"], strict=True)
    ):
        made = any(_agrees(gold, compared, call) for call in desk.made)
        evidence = f"{gold['name']} was {'' if made else 'not '}called as expected, in {len(desk.made)} calls"
        yield Verdict.of(
            f"call_{number}_{gold['name']}",
            made,
            evidence=evidence,
            required="ACTION" in basis,
            weight=1.0 if "ACTION" in basis else 0.0,
        )


def _agrees(gold: Mapping[str, Any], compared: list[str] | None, call: ToolCall) -> bool:
    """Is it the expected call, as the benchmark compares? Without `compared` the arguments given count, so
    that a call without arguments agrees with any of its name."""
    if call.name != gold["name"]:
        return False
    names = list(call.arguments) if compared is None else compared
    asked = {key: value for key, value in call.arguments.items() if key in names}
    due = {key: value for key, value in gold["arguments"].items() if key in names}
    return not names or asked == due
