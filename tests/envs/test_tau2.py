"""The tau2 suite: its splits, its ends, and that it judges as the benchmark's own evaluators do."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.task import Split, Task
from trace_gym.environment.spaces import ActionSpace
from trace_gym_envs.tau2 import Tau2
from trace_gym_envs.tau2.release import load, unpacked


@pytest.fixture(scope="module")
def env() -> Tau2:
    return Tau2()


def begin(env: Tau2, task: Task) -> str:
    return env.reset(seed=0, options={"task": task})[0]


def test_the_splits_are_the_benchmarks_own() -> None:
    train, test = Tau2.tasks(Split.TRAIN), Tau2.tasks(Split.TEST)
    counted = Counter(task.subset == "extra" for task in train)
    assert (counted[False], counted[True], len(test)) == (74, 2171, 40)
    assert Counter(task.subset for task in test) == {
        "mms_issue": 16,
        "service_issue": 15,
        "mobile_data_issue": 9,
    }
    assert not {task.family for task in train} & {task.family for task in test}


def test_the_oracle_solves_a_ticket_of_every_topic_call_by_call(env: Tau2) -> None:
    topics = {task.subset: task for task in Tau2.tasks(Split.TEST)}
    for task in topics.values():
        assert task.payload["ticket"] in begin(env, task)
        done = False
        while not done:
            action = env.oracle()
            assert action is not None
            assert len(action.calls) == 1
            *_, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        assert info["success"] is True
        assert env.oracle() is None


def test_a_message_ends_the_work_even_on_a_solved_ticket(env: Tau2) -> None:
    task = Tau2.tasks(Split.TEST)[0]
    begin(env, task)
    while (action := env.oracle()) != Action.call("done"):
        env.step(action)
    *_, reward, terminated, _, info = env.step("It is done.")
    assert (reward, terminated, info["success"]) == (0.0, True, False)


def test_the_tenth_failed_call_is_the_last(env: Tau2) -> None:
    begin(env, Tau2.tasks(Split.TEST)[0])
    call = Action.call("get_customer_by_id", customer_id="nobody")
    for _ in range(9):
        observation, _, terminated, _, _ = env.step(call)
        assert observation.startswith("Error")
        assert not terminated
    observation, _, terminated, _, info = env.step(call)
    assert "10th call that failed" in observation
    assert (terminated, info["success"]) == (True, False)


@cache
def records() -> dict[str, Any]:
    """The benchmark's own objects for its tasks, by id."""
    return {entry.id: entry for entry in load(unpacked(), "domains.telecom.environment").get_tasks("full")}


def the_benchmark_says(task: Task, calls: list[ToolCall], answers: list[str]) -> bool:
    """The reward of the benchmark's own evaluators for a trajectory that ended with its stop call."""
    root = unpacked()
    kinds, message = load(root, "data_model.tasks"), import_module("tau2.data_model.message")
    record = records()[task.id]
    said = []
    for call, answer in zip(calls, answers, strict=True):
        made = message.ToolCall(id="x", name=call.name, arguments=dict(call.arguments), requestor="assistant")
        said.append(message.AssistantMessage(role="assistant", tool_calls=[made]))
        said.append(message.ToolMessage(id="x", role="tool", content=answer, requestor="assistant"))
    worlds = load(root, "evaluator.evaluator_env").EnvironmentEvaluator
    acts = load(root, "evaluator.evaluator_action").ActionEvaluator
    environment = load(root, "domains.telecom.environment").get_environment
    reward = worlds.calculate_reward(environment, record, said, solo_mode=True).reward
    if kinds.RewardType.ACTION in record.evaluation_criteria.reward_basis:
        reward *= acts.calculate_reward(record, said).reward
    return bool(reward == 1.0)


@pytest.mark.slow
def test_it_agrees_with_the_benchmark_on_gold_and_on_perturbed_trajectories(env: Tau2) -> None:
    rng, outcomes = random.Random(3), Counter[bool]()
    tasks = rng.sample([task for split in Split for task in Tau2.tasks(split)], 40)
    tasks += [task for task in Tau2.tasks(Split.TRAIN) if "ACTION" in task.payload["basis"]][:8]
    for number, task in enumerate(tasks):
        gold = [Action.call(step["name"], **step["arguments"]) for step in task.payload["gold"]]
        for kind in ("gold", "short", "shuffled", "longer"):
            plan = list(gold)
            if kind == "short":
                plan.pop(rng.randrange(len(plan)))
            if kind == "shuffled":
                rng.shuffle(plan)
            begin(env, task)
            if kind == "longer":
                space = ActionSpace(env.available()[:-1], messages=0.0, several=0.0, seed=number)
                plan.insert(rng.randrange(len(plan) + 1), space.sample())
            answers = [env.step(action)[0] for action in plan]
            *_, info = env.step(Action.call("done"))
            told = the_benchmark_says(task, [action.calls[0] for action in plan], answers)
            assert info["success"] is told, (task.id, kind)
            outcomes[told] += 1
            assert told or kind != "gold"
    assert outcomes[True] > 48
    assert outcomes[False] > 40
