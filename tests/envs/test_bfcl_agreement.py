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


class Perturber:
    """Draws changed references that an agent could play: available tools, valid arguments."""

    def __init__(self, env: Bfcl, everything: list[Task], seed: int) -> None:
        self.env = env
        self.rng = random.Random(seed)
        self.tasks = everything
        self.owners = benchmark(unpacked()).backends.tools
        self.pool: dict[str, list[ToolCall]] = {}
        for call in chain.from_iterable(chain.from_iterable(reference(task) for task in everything)):
            self.pool.setdefault(self.owners[call.name], []).append(call)
        self.kinds: dict[str, Callable[[Task, Script], bool]] = {
            "drop": self._drop,
            "repeat": self._repeat,
            "swap": self._swap,
            "shuffle": self._shuffle,
            "argument": self._argument,
            "look": self._look,
            "extra": self._extra,
            "other turn": self._move,
            "empty turn": self._empty,
            "detour": self._detour,
        }

    def draws(self, count: int) -> Iterator[tuple[str, Task, Script]]:
        """`count` perturbed scripts, the kinds in turn; every fourth is perturbed twice."""
        names = list(self.kinds)
        made = 0
        while made < count:
            task = self.rng.choice(self.tasks)
            script = reference(task)
            kinds = [names[made % len(names)]]
            if made % 4 == 3:
                kinds.append(self.rng.choice(names))
            if all(self.kinds[kind](task, script) for kind in kinds) and self._playable(task, script):
                made += 1
                yield "+".join(kinds), task, script

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

    def _turn(self, script: Script, least: int = 1) -> list[ToolCall] | None:
        turns = [calls for calls in script if len(calls) >= least]
        return self.rng.choice(turns) if turns else None

    def _drop(self, task: Task, script: Script) -> bool:
        calls = self._turn(script)
        if calls:
            calls.pop(self.rng.randrange(len(calls)))
        return calls is not None

    def _repeat(self, task: Task, script: Script) -> bool:
        calls = self._turn(script)
        if calls:
            index = self.rng.randrange(len(calls))
            calls.insert(self.rng.randint(index, len(calls)), calls[index])
        return calls is not None

    def _swap(self, task: Task, script: Script) -> bool:
        calls = self._turn(script, least=2)
        if calls:
            index = self.rng.randrange(len(calls) - 1)
            calls[index], calls[index + 1] = calls[index + 1], calls[index]
        return calls is not None

    def _shuffle(self, task: Task, script: Script) -> bool:
        calls = self._turn(script, least=2)
        if calls:
            self.rng.shuffle(calls)
        return calls is not None

    def _argument(self, task: Task, script: Script) -> bool:
        calls = self._turn(script)
        if not calls:
            return False
        index = self.rng.randrange(len(calls))
        arguments = dict(calls[index].arguments)
        if not arguments:
            return False
        name = self.rng.choice(sorted(arguments))
        arguments[name] = self._other(arguments[name])
        calls[index] = ToolCall(calls[index].name, arguments)
        return True

    def _other(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int() | float():
                return value + self.rng.choice([-1, 1, 10])
            case str():
                return self.rng.choice([f"{value}x", value[:-1], value.upper(), value.lower()])
            case list():
                return value[:-1] if value and self.rng.random() < 0.5 else [*value, *value[:1]]
            case _:
                return {key: self._other(inner) for key, inner in value.items()}

    def _look(self, task: Task, script: Script) -> bool:
        self.env.reset(seed=0, options={"task": task})
        bare = [
            spec.name
            for spec in self.env.available()
            if not spec.parameters["required"] and spec.name not in ("logout", "trading_logout")
        ]
        calls = self.rng.choice(script)
        calls.insert(self.rng.randint(0, len(calls)), ToolCall(self.rng.choice(bare), {}))
        return bool(bare)

    def _extra(self, task: Task, script: Script) -> bool:
        service = self.rng.choice(task.payload["classes"])
        calls = self.rng.choice(script)
        calls.insert(self.rng.randint(0, len(calls)), self.rng.choice(self.pool[service]))
        return True

    def _move(self, task: Task, script: Script) -> bool:
        calls = self._turn(script)
        if not calls or len(script) < 2:
            return False
        call = calls.pop(self.rng.randrange(len(calls)))
        goal = self.rng.choice([other for other in script if other is not calls])
        goal.insert(self.rng.randint(0, len(goal)), call)
        return True

    def _empty(self, task: Task, script: Script) -> bool:
        calls = self._turn(script)
        if calls:
            calls.clear()
        return calls is not None

    def _detour(self, task: Task, script: Script) -> bool:
        """Something done and undone, so that only the way differs."""
        there_and_back = {
            "GorillaFileSystem": [
                ToolCall("mkdir", {"dir_name": "tmp"}),
                ToolCall("rmdir", {"dir_name": "tmp"}),
            ],
            "TwitterAPI": [
                ToolCall("follow_user", {"username_to_follow": "zoe"}),
                ToolCall("unfollow_user", {"username_to_unfollow": "zoe"}),
            ],
            "TradingBot": [
                ToolCall("add_to_watchlist", {"stock": "ZETA"}),
                ToolCall("remove_stock_from_watchlist", {"symbol": "ZETA"}),
            ],
        }
        known = [name for name in task.payload["classes"] if name in there_and_back]
        if not known:
            return False
        calls = self.rng.choice(script)
        place = self.rng.randint(0, len(calls))
        calls[place:place] = there_and_back[self.rng.choice(known)]
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
        tally[kind.partition("+")[0], theirs[0]] += 1
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
    kinds = {kind for kind, _ in tally}
    assert len(kinds) == 10
    print(sorted(tally.items()))
