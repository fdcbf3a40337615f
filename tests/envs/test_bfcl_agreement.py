"""The suite's verdict against the benchmark's own checker, on references and on perturbed references.

The checker runs in this process on the same wheel. It keeps state in module globals from one entry to the
next (shared card records, default arguments, a weather report); here they are put back after each entry.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import chain
from types import ModuleType
from typing import Any

import pytest

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Status
from trace_gym.core.task import Split, Task
from trace_gym.environment.toolbox import Toolbox
from trace_gym.environment.tools import ToolError
from trace_gym_envs.bfcl import Bfcl
from trace_gym_envs.bfcl.benchmark import benchmark
from trace_gym_envs.bfcl.gold import parse_call
from trace_gym_envs.bfcl.wheel import load, unpacked

Script = list[list[ToolCall]]
"""What an agent does: its calls, user turn by user turn."""

Finding = tuple[bool, int | None, str | None]
"""Passed; else the first failed user turn and what failed there (call, state or response)."""

SHARED = ("CREDIT_CARD_EXTENSION", "BOOKING_RECORD_EXTENSION", "LONG_WEATHER_EXTENSION")


class Referee:
    """The benchmark's checker, without its memory of earlier entries."""

    def __init__(self) -> None:
        root = unpacked()
        place = "eval_checker.multi_turn_eval"
        self.checker: ModuleType = load(root, f"{place}.multi_turn_checker")
        self.utils = vars(load(root, f"{place}.multi_turn_utils"))
        self.extensions = vars(load(root, f"{place}.func_source_code.long_context"))
        self.post: Any = load(root, f"{place}.func_source_code.posting_api").TwitterAPI.post_tweet
        self.before = deepcopy({name: self.extensions[name] for name in SHARED})

    def judge(self, task: Task, script: Script) -> Finding:
        payload = task.payload
        entry = {"id": payload["entry"], "initial_config": payload["config"]}
        entry["involved_classes"] = payload["classes"]
        steps = [[[_spelled(call)] for call in turn] for turn in script]
        result = self.checker.multi_turn_checker(steps, payload["gold"], deepcopy(entry), task.subset, "m")
        self._forget()
        if result["valid"]:
            return True, None, None
        kind = result["error_type"].removeprefix("multi_turn:")
        if kind == "instance_state_mismatch":
            return False, len(result["execution_result"]) - 1, "state"
        turn = int(result["error_message"].rstrip(".").rpartition(" ")[2])
        return (
            False,
            turn,
            {"empty_turn_model_response": "call", "execution_response_mismatch": "response"}[kind],
        )

    def _forget(self) -> None:
        for name in [name for name in self.utils if name.endswith("_instance")]:
            del self.utils[name]
        for name, value in deepcopy(self.before).items():
            self.extensions[name].clear()
            self.extensions[name].update(value)
        for default in self.post.__defaults__:
            default.clear()


def _spelled(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def played(env: Bfcl, task: Task, script: Script) -> Finding:
    """What the suite says of the script: a call an action where the step limit allows it, then a message."""
    _, info = env.reset(seed=0, options={"task": task})
    for calls in script:
        size = 1 if len(calls) <= env.steps_per_turn else 5
        for start in range(0, len(calls), size):
            env.step(Action(calls=tuple(calls[start : start + size])))
        *_, terminated, truncated, info = env.step(Action(message="Done."))
        assert not truncated
    assert terminated
    failed = [v for v in info["verdicts"] if v.status is Status.FAIL and v.required]
    if not failed:
        assert info["success"] is True
        return True, None, None
    assert info["success"] is False
    names = {v.name: v for v in failed}
    turn = min(int(name.split("_")[1]) for name in names)
    if not script[turn]:
        return False, turn, "call"
    return False, turn, "state" if f"turn_{turn}_state" in names else "response"


def tasks() -> list[Task]:
    return [*Bfcl.tasks(Split.TRAIN), *Bfcl.tasks(Split.TEST)]


def reference(task: Task) -> Script:
    backends = benchmark(unpacked()).backends
    return [[parse_call(text, backends, source=task.id) for text in turn] for turn in task.payload["gold"]]


def _drop(rng: random.Random, calls: list[ToolCall]) -> None:
    calls.pop(rng.randrange(len(calls)))


def _repeat(rng: random.Random, calls: list[ToolCall]) -> None:
    index = rng.randrange(len(calls))
    calls.insert(rng.randint(index, len(calls)), calls[index])


def _swap(rng: random.Random, calls: list[ToolCall]) -> None:
    index = rng.randrange(len(calls) - 1)
    calls[index], calls[index + 1] = calls[index + 1], calls[index]


def _empty(rng: random.Random, calls: list[ToolCall]) -> None:
    calls.clear()


def _argument(rng: random.Random, calls: list[ToolCall]) -> None:
    index = rng.randrange(len(calls))
    arguments = dict(calls[index].arguments)
    for name in rng.sample(sorted(arguments), min(1, len(arguments))):
        arguments[name] = _other(rng, arguments[name])
    calls[index] = ToolCall(calls[index].name, arguments)


def _insert(rng: random.Random, calls: list[ToolCall], added: list[ToolCall]) -> None:
    place = rng.randint(0, len(calls))
    calls[place:place] = added


def _other(rng: random.Random, value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + rng.choice([-1, 1, 10])
        case str():
            return rng.choice([f"{value}x", value[:-1], value.upper(), value.lower()])
        case list():
            return value[:-1] if value and rng.random() < 0.5 else [*value, *value[:1]]
        case _:
            return {key: _other(rng, inner) for key, inner in value.items()}


IN_ONE_TURN: dict[str, tuple[int, Callable[[random.Random, list[ToolCall]], None]]] = {
    "drop": (1, _drop),
    "repeat": (1, _repeat),
    "swap": (2, _swap),
    "shuffle": (2, random.Random.shuffle),
    "empty turn": (1, _empty),
    "argument": (1, _argument),
}
"""Changes of one turn, with the number of calls it must have."""

DETOURS = {
    "GorillaFileSystem": [ToolCall(name, {"dir_name": "tmp"}) for name in ("mkdir", "rmdir")],
    "TwitterAPI": [ToolCall(f"{n}follow_user", {f"username_to_{n}follow": "zoe"}) for n in ("", "un")],
    "TicketAPI": [ToolCall("ticket_get_login_status", {})] * 2,
    "TradingBot": [
        ToolCall("add_to_watchlist", {"stock": "ZETA"}),
        ToolCall("remove_stock_from_watchlist", {"symbol": "ZETA"}),
    ],
}
"""Things done and undone, so that only the way differs."""


class Perturber:
    """Draws changed references that an agent could play: available tools, valid arguments."""

    def __init__(self, env: Bfcl, everything: list[Task], seed: int) -> None:
        self.env = env
        self.rng = random.Random(seed)
        self.tasks = everything
        self.kinds = [*IN_ONE_TURN, "other turn", "look", "extra", "detour"]
        owners = benchmark(unpacked()).backends.tools
        self.pool: dict[str, list[ToolCall]] = {}
        for call in chain.from_iterable(chain.from_iterable(reference(task) for task in everything)):
            self.pool.setdefault(owners[call.name], []).append(call)

    def draws(self, count: int) -> Iterator[tuple[str, Task, Script]]:
        """`count` perturbed scripts, the kinds in turn; every fourth is perturbed twice."""
        made = 0
        while made < count:
            task = self.rng.choice(self.tasks)
            script = reference(task)
            kinds = [self.kinds[made % len(self.kinds)]]
            if made % 4 == 3:
                kinds.append(self.rng.choice(self.kinds))
            if all(self._change(kind, task, script) for kind in kinds) and self._playable(task, script):
                made += 1
                yield kinds[0], task, script

    def _change(self, kind: str, task: Task, script: Script) -> bool:
        """Change the script in place; False where the kind does not apply."""
        if kind == "other turn":
            return self._move(script)
        if kind in IN_ONE_TURN:
            least, edit = IN_ONE_TURN[kind]
            turns = [calls for calls in script if len(calls) >= least]
            if turns:
                edit(self.rng, self.rng.choice(turns))
            return bool(turns)
        added = self._added(kind, task)
        _insert(self.rng, self.rng.choice(script), added)
        return bool(added)

    def _added(self, kind: str, task: Task) -> list[ToolCall]:
        """Calls to put in: one that only looks, any of the benchmark's own on a service, or a detour."""
        service = self.rng.choice(task.payload["classes"])
        if kind == "extra":
            return [self.rng.choice(self.pool[service])]
        if kind == "detour":
            return DETOURS.get(service, [])
        specs = benchmark(unpacked()).specs[service]
        bare = [s.name for s in specs if not s.parameters["required"] and "logout" not in s.name]
        return [ToolCall(self.rng.choice(bare), {})] if bare else []

    def _move(self, script: Script) -> bool:
        source = self.rng.choice([calls for calls in script if calls])
        others = [calls for calls in script if calls is not source]
        if others:
            call = source.pop(self.rng.randrange(len(source)))
            _insert(self.rng, self.rng.choice(others), [call])
        return bool(others)

    def _playable(self, task: Task, script: Script) -> bool:
        self.env.reset(seed=0, options={"task": task})
        for turn, calls in enumerate(script):
            assert self.env.state is not None
            self.env.state.turn = turn
            box = Toolbox(self.env.available())
            try:
                for call in calls:
                    box.arguments(call)
            except ToolError:
                return False
        return True


@pytest.fixture(scope="module")
def env() -> Bfcl:
    return Bfcl()


@pytest.fixture(scope="module")
def referee() -> Referee:
    return Referee()


def test_every_reference_passes_both(env: Bfcl, referee: Referee) -> None:
    everything = tasks()
    assert len(everything) == 800
    for task in everything:
        script = reference(task)
        assert referee.judge(task, script) == (True, None, None), task.id
        assert played(env, task, script) == (True, None, None), task.id


def compare(env: Bfcl, referee: Referee, *, count: int, seed: int) -> Counter[tuple[str, bool]]:
    """Check agreement on `count` perturbed scripts; how many of each kind both accepted and rejected."""
    tally: Counter[tuple[str, bool]] = Counter()
    for kind, task, script in Perturber(env, tasks(), seed).draws(count):
        theirs = referee.judge(task, script)
        assert played(env, task, script) == theirs, (task.id, kind, script)
        tally[kind, theirs[0]] += 1
    return tally


def test_200_perturbed_references(env: Bfcl, referee: Referee) -> None:
    tally = compare(env, referee, count=200, seed=1)
    accepted = sum(count for (_, passed), count in tally.items() if passed)
    assert 40 <= accepted <= 160


@pytest.mark.slow
def test_2000_perturbed_references(env: Bfcl, referee: Referee) -> None:
    tally = compare(env, referee, count=2000, seed=2)
    accepted = sum(count for (_, passed), count in tally.items() if passed)
    assert accepted >= 400
    assert 2000 - accepted >= 400
    assert len({kind for kind, _ in tally}) == 10
