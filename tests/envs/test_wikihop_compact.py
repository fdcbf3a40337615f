"""The compact rendering: a closed vocabulary, short turns, links by index, and errors that can be undone."""

from typing import Any

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.errors import UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.tasks import straddling
from trace_gym.environment.trial import Plan
from trace_gym_envs.wikihop.compact import COMPACT_VOCABULARY, DEPTH, WikiHopCompact
from trace_gym_envs.wikihop.world import world

TASKS = WikiHopCompact.tasks(Split.TEST)


def opened(task: Task) -> tuple[WikiHopCompact, str]:
    env = WikiHopCompact()
    return env, env.reset(options={"task": task})[0]


def long_task() -> Task:
    return next(task for task in TASKS[:100] if task.subset == "4-hop")


def test_the_vocabulary_has_every_word_once() -> None:
    assert len(set(COMPACT_VOCABULARY)) == len(COMPACT_VOCABULARY)
    assert all(word.split() == [word] for word in COMPACT_VOCABULARY)


def test_whatever_the_tools_say_is_short_and_in_the_vocabulary() -> None:
    words = set(COMPACT_VOCABULARY)
    rng = np.random.default_rng(0)
    for task in TASKS[:60]:
        env, observation = opened(task)
        assert len(observation.split()) < 60
        done = False
        while not done:
            assert set(observation.split()) <= words
            space = ActionSpace(env.available(), messages=0.0, several=0.0, seed=rng)
            action = env.oracle() if rng.random() < 0.3 else space.sample()
            assert {
                word for call in action.calls for v in call.arguments.values() for word in v.split()
            } <= words
            observation, _, terminated, truncated, _ = env.step(action)
            assert len(observation.split()) < 40
            done = terminated or truncated


def test_the_oracle_follows_the_chain_and_answers() -> None:
    for task in TASKS[:60]:
        env, _ = opened(task)
        hops = len(task.payload["hops"])
        for _ in range(hops + 1):
            assert env.step(env.oracle())[1:3] == (0.0, False)
        assert env.state.trail == task.payload["chain"]
        _, reward, terminated, _, info = env.step(env.oracle())
        assert (reward, terminated, info["success"]) == (1.0, True, True)
        assert len(info["verdicts"]) == hops + 2


def test_a_wrong_turn_can_be_taken_back() -> None:
    env, _ = opened(long_task())
    for _ in range(2):
        page = env.step(env.oracle())[0]
    wrong = next(
        label
        for label, target in zip(env._labels(), env._targets(), strict=True)
        if target not in env.question.chain
    )
    env.step(Action.call("follow", link=wrong))
    assert env.oracle() == Action.call("back")
    assert env.step(env.oracle())[0] == page
    done, reward = False, 0.0
    while not done:
        _, reward, done, _, _ = env.step(env.oracle())
    assert reward == 1.0


def test_a_wrong_article_is_a_wrong_answer_even_on_the_way() -> None:
    env, _ = opened(long_task())
    env.step(env.oracle())
    _, reward, terminated, _, info = env.step(Action.call("answer"))
    assert (reward, terminated, info["success"]) == (0.0, True, False)


def test_what_cannot_be_done_is_refused_and_the_page_shown_again() -> None:
    env, opening = opened(long_task())
    page = opening.split(" answer ", 1)[1]
    for action in (
        Action.call("follow", link="named 9"),
        Action.call("follow", link="nonsense"),
        Action.call("back"),
        Action.call("answer"),
    ):
        observation, reward, terminated, _, _ = env.step(action)
        assert (observation, reward, terminated) == (f"none {page}", 0.0, False)


def test_the_trail_is_bounded() -> None:
    env, _ = opened(long_task())
    env.state.trail = list(env.question.chain) * 2
    del env.state.trail[DEPTH:]
    label = env._labels()[0]
    assert env.step(Action.call("follow", link=label))[0].startswith("full ")
    assert len(env.state.trail) == DEPTH


def test_the_same_qualifier_tells_namesakes_apart() -> None:
    ambiguous = 0
    for task in TASKS[:300]:
        here = world(task.payload["world"])
        start = here.entities[task.payload["chain"][0]]
        group = here.namesakes[start.name]
        ambiguous += len(group) > 1
        assert len({(here.entities[e].kind, here.entities[e].trait) for e in group}) == len(group)
    assert ambiguous > 0


def test_splits_are_of_different_worlds_and_there_are_enough_of_them() -> None:
    train = WikiHopCompact.tasks(Split.TRAIN)
    assert straddling(train[:300], TASKS[:300]) == ()
    assert len({task.family for task in TASKS[:300]}) >= 12
    assert len({task.id for task in TASKS[:3000]}) == 3000
    assert {task.subset for task in TASKS[:300]} == {f"{hops}-hop" for hops in range(1, 6)}


@pytest.mark.parametrize("strategy", ["copy", "replay"])
def test_a_fork_goes_on_as_if_nothing_had_happened(strategy: Any) -> None:
    env, _ = opened(long_task())
    env.step(env.oracle())
    fork = WikiHopCompact()
    fork.restore(env.snapshot(strategy))
    for _ in range(3):
        action = env.oracle()
        assert fork.oracle() == action
        assert fork.step(action) == env.step(action)


def test_certified(certify_suite: Any) -> None:
    suite = Suite("wikihop_compact", "wikihop_compact", WikiHopCompact)
    certify_suite(suite, Plan(tasks=8, episodes=60, forks=15, fuzz=400, scan=300))


def test_several_levels_take_turns() -> None:
    both = WikiHopCompact.tasks(Split.TRAIN, level="clear,standard")
    clear, standard = (WikiHopCompact.tasks(Split.TRAIN, level=level) for level in ("clear", "standard"))
    assert len(both) == len(clear) + len(standard)
    assert [both[i].id.split("-")[0] for i in (0, 1, 2, 999, 1000)] == [
        "clear",
        "standard",
        "clear",
        "standard",
        "clear",
    ]
    assert {both[i].id for i in range(48)} == {each[i].id for each in (clear, standard) for i in range(24)}
    with pytest.raises(UnknownName, match="unknown wikihop level 'cler'"):
        WikiHopCompact.tasks(Split.TRAIN, level="clear,cler")
