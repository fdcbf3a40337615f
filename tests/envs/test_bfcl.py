"""The bfcl suite as an environment: tasks, splits, dialogue, tools, limits, oracle and forks."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig, EnvironmentFailed
from trace_gym.core.task import Split, Task
from trace_gym.environment.spaces import ActionSpace
from trace_gym_envs.bfcl import Bfcl
from trace_gym_envs.bfcl.wheel import load

SUBSETS = ("base", "miss_func", "miss_param", "long_context")


@pytest.fixture(scope="module")
def env() -> Bfcl:
    return Bfcl()


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {task.id: task for split in Split for task in Bfcl.tasks(split)}


def begin(env: Bfcl, task: Task) -> tuple[str, dict[str, Verdict]]:
    observation, info = env.reset(seed=0, options={"task": task})
    return observation, {v.name: v for v in info["verdicts"]}


def by_oracle(env: Bfcl) -> bool | None:
    """Let the oracle finish the running episode; its success."""
    while True:
        action = env.oracle()
        assert action is not None
        *_, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            assert env.oracle() is None
            return bool(info["success"])


def test_tasks_and_splits(tasks: dict[str, Task]) -> None:
    assert len(tasks) == 800
    count = Counter((task.split, task.subset) for task in tasks.values())
    assert count == {(split, s): 40 if split is Split.TEST else 160 for split in Split for s in SUBSETS}
    for task in tasks.values():
        subset, _, number = task.id.partition("/")
        assert (task.subset, task.family) == (subset, f"bfcl/{number}")
        assert task.split is tasks[f"base/{number}"].split
    tests = sorted(int(t.id.partition("/")[2]) for t in Bfcl.tasks(Split.TEST) if t.subset == "base")
    assert tests[:10] == [7, 8, 11, 12, 42, 46, 47, 52, 53, 54]


def test_every_tool_is_valid_json_schema(env: Bfcl) -> None:
    specs = env.toolbox()
    assert len({spec.name for spec in specs}) == len(specs) == 128
    for spec in specs:
        Draft202012Validator.check_schema(dict(spec.parameters))
        assert spec.parameters["type"] == "object"
        assert spec.parameters["additionalProperties"] is False
        assert "None" not in [p.get("default") for p in spec.parameters["properties"].values()]
    cat = next(spec for spec in specs if spec.name == "cat")
    assert cat.parameters == {
        "type": "object",
        "properties": {
            "file_name": {
                "type": "string",
                "description": "The name of the file from current directory to display. No path is allowed.",
            }
        },
        "required": ["file_name"],
        "additionalProperties": False,
    }


def test_brief_docs_say_only_what_a_tool_does(tasks: dict[str, Task]) -> None:
    short = Bfcl(docs="brief")
    begin(short, tasks["base/0"])
    cat = next(spec for spec in short.available() if spec.name == "cat")
    assert cat.description == "Display the contents of a file of any extension from currrent directory."
    assert {spec.name for spec in short.available()} <= {spec.name for spec in short.toolbox()}


def test_a_dialogue(env: Bfcl, tasks: dict[str, Task]) -> None:
    """base/173 by hand: four requests, the last of which needs a ticket number that is a string."""
    observation, verdicts = begin(env, tasks["base/173"])
    assert observation.startswith("I'm considering flying from Los Angeles")
    names = [f"turn_{turn}_{check}" for turn in range(4) for check in ("state", "response")]
    assert list(verdicts) == ["steps_within_limit", *names]
    assert {verdicts[name].status for name in names} == {Status.SKIPPED}
    flight = {
        "travel_from": "LAX",
        "travel_to": "JFK",
        "travel_date": "2026-11-15",
        "travel_class": "business",
    }
    token = {"access_token": "abc123xyz"}
    result, *_ = env.step(Action.call("get_flight_cost", **flight))
    assert result == '{"travel_cost_list": [2400.0]}'
    result, _, terminated, _, info = env.step("It is 2400 dollars.")
    assert result.startswith("Once I know the cost, I need that in pounds sterling")
    assert not terminated
    assert [v.status for v in info["verdicts"][1:4]] == [Status.PASS, Status.PASS, Status.SKIPPED]
    exchange = ToolCall(
        "compute_exchange_rate", {"base_currency": "USD", "target_currency": "GBP", "value": 2400}
    )
    limit = ToolCall("set_budget_limit", {**token, "budget_limit": 10000})
    result, *_ = env.step(Action(calls=(exchange, limit)))
    assert result == '{"exchanged_value": 1680.0}\n{"budget_limit": 10000.0}'
    env.step("Done.")
    env.step(Action.call("book_flight", **token, card_id="card_1496", **flight))
    env.step("Booked.")
    result, *_ = env.step(Action.call("close_ticket", ticket_id="ticket_001"))
    assert result == '{"status": "Ticket ticket_001 has been closed successfully."}'
    _, reward, terminated, truncated, info = env.step("Cancelled.")
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)


def test_a_failed_turn_does_not_end_the_episode(env: Bfcl, tasks: dict[str, Task]) -> None:
    begin(env, tasks["base/173"])
    _, _, terminated, _, info = env.step("No idea.")
    assert not terminated
    assert info["success"] is False
    found = {v.name: v for v in info["verdicts"]}
    assert found["turn_0_state"].status is Status.PASS
    assert found["turn_0_response"].status is Status.FAIL
    assert found["turn_0_response"].evidence == "no call was run in this turn"
    assert by_oracle(env) is False


def test_evidence_names_the_difference(env: Bfcl, tasks: dict[str, Task]) -> None:
    begin(env, tasks["miss_func/3"])
    env.step(Action.call("mkdir", dir_name="mine"))
    env.step("First turn asks for nothing.")
    env.step(Action.call("find", path=".", name="test"))
    *_, info = env.step("Done.")
    found = {v.name: v for v in info["verdicts"]}
    assert found["turn_0_no_call"].status is Status.FAIL
    assert not found["turn_0_no_call"].required
    assert found["turn_1_state"].status is Status.FAIL
    assert found["turn_1_state"].evidence == "GorillaFileSystem.root/mine is not in the reference"
    assert found["turn_1_response"].status is Status.PASS


def test_held_out_tools_come_when_the_user_says_so(env: Bfcl, tasks: dict[str, Task]) -> None:
    begin(env, tasks["miss_func/3"])
    before = [spec.name for spec in env.available()]
    assert {"find", "ls"} & set(before) == set()
    answer, *_ = env.step(Action.call("find", path="."))
    assert answer.startswith("There is no tool 'find'")
    observation, *_, info = env.step("I cannot search.")
    assert "more functions" in observation
    assert list(info["tools"]) == [*before, "find", "ls"]
    assert info["tools"] == tuple(spec.name for spec in env.available())


def test_a_tool_that_the_reference_needs_earlier_is_not_held_out(tasks: dict[str, Task]) -> None:
    assert tasks["miss_func/49"].payload["held_out"] == {"wc": 3, "cat": 3}
    assert tasks["miss_func/3"].payload["held_out"] == {"find": 1, "ls": 1}
    assert tasks["base/3"].payload["held_out"] == {}


def test_too_many_steps_in_a_turn_end_the_episode(env: Bfcl, tasks: dict[str, Task]) -> None:
    begin(env, tasks["base/0"])
    for _ in range(20):
        _, _, terminated, _, info = env.step(Action.call("pwd"))
        assert not terminated
    assert info["success"] is None
    _, reward, terminated, truncated, info = env.step(Action.call("pwd"))
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert info["verdicts"][0].evidence == "21 of at most 20 steps in user turn 0"
    assert env.oracle() is None


def test_the_limit_of_steps_counts_anew_in_every_turn(tasks: dict[str, Task]) -> None:
    env = Bfcl(steps_per_turn=2)
    begin(env, tasks["base/0"])
    for _ in tasks["base/0"].payload["users"]:
        env.step(Action.call("pwd"))
        env.step('{"name": ')
        _, _, terminated, _, info = env.step("Next.")
        assert info["verdicts"][0].status is Status.PASS
    assert terminated
    begin(env, tasks["base/0"])
    endings = [env.step("[")[2] for _ in range(3)]
    assert endings == [False, False, True]


def test_noop_passes_no_task(env: Bfcl, tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        begin(env, task)
        terminated = False
        while not terminated:
            *_, terminated, _, info = env.step("...")
        assert info["success"] is False, task.id


def test_oracle_passes_every_task_of_the_test_split(env: Bfcl) -> None:
    failed: list[str] = []
    for task in Bfcl.tasks(Split.TEST):
        begin(env, task)
        if not by_oracle(env):
            failed.append(task.id)
    assert failed == []


def test_oracle_spreads_a_long_turn_over_the_steps_left(env: Bfcl, tasks: dict[str, Task]) -> None:
    begin(env, tasks["long_context/38"])
    for _ in range(15):
        env.step(Action.call("pwd"))
    action = env.oracle()
    assert action is not None
    assert len(action.calls) == 7
    assert by_oracle(env)


def test_oracle_repairs_what_repeating_calls_can_repair(env: Bfcl, tasks: dict[str, Task]) -> None:
    """miss_func/3 wants `cd projects; cd photography; cp; cp`: someone goes one step back on the way."""
    begin(env, tasks["miss_func/3"])
    env.step("What can I do?")
    env.step(Action.call("find", path=".", name="test"))
    env.step("Found.")
    env.step(Action.call("cd", folder="projects"))
    env.step(Action.call("cd", folder=".."))
    assert env.oracle() == Action.call("cd", folder="projects")
    assert by_oracle(env)


def test_oracle_after_any_prefix_of_noise(env: Bfcl, tasks: dict[str, Task]) -> None:
    rng = random.Random(5)
    for task in rng.sample(list(tasks.values()), 40):
        begin(env, task)
        space = ActionSpace(env.available(), messages=0.05, seed=rng.randrange(1000))
        over = False
        for _ in range(rng.randrange(12)):
            action = env.oracle() if rng.random() < 0.5 else space.sample()
            *_, over, _, _ = env.step(action)
            if over:
                break
        assert over or by_oracle(env) is not None


def test_fork_equals_straight_run(tasks: dict[str, Task]) -> None:
    """A fork is played in another environment, after the original has gone on and changed its world."""
    rng = random.Random(9)
    left, right = Bfcl(), Bfcl()
    for task in rng.sample(list(tasks.values()), 60):
        begin(left, task)
        script: list[Action] = []
        digests: list[str] = []
        snapshots = [left.snapshot()]
        over = False
        while not over:
            action = left.oracle()
            assert action is not None
            if rng.random() < 0.3:
                action = ActionSpace(left.available(), messages=0.2, seed=rng.randrange(9999)).sample()
            *_, over, _, info = left.step(action)
            script.append(action)
            digests.append(info["digest"])
            snapshots.append(left.snapshot())
        point = rng.randrange(len(script))
        for snapshot in (snapshots[point], snapshots[point].evicted()):
            right.restore(snapshot)
            assert [right.step(a)[4]["digest"] for a in script[point:]] == digests[point:]


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"steps_per_turn": 0}, "steps_per_turn"), ({"docs": "none"}, "'full' or 'brief'")],
)
def test_wrong_options(options: dict[str, object], problem: str) -> None:
    with pytest.raises(BadConfig, match=problem):
        Bfcl(**options)  # type: ignore[arg-type]


def test_no_task_is_listed_for_turns_without_steps() -> None:
    with pytest.raises(BadConfig, match="steps_per_turn must be at least 1, got 0"):
        Bfcl.tasks(Split.TEST, steps_per_turn=0)


def test_another_copy_of_the_benchmark_is_not_mistaken_for_this_one(env: Bfcl, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="already imported from"):
        load(tmp_path, "constants.default_prompts")
