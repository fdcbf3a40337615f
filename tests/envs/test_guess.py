"""The tutorial suite, through our interface and through Gymnasium's."""

import inspect
import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import Action
from trace_gym.core.errors import EnvironmentFailed
from trace_gym.core.task import Limits, Split
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import register
from trace_gym.environment.tasks import straddling
from trace_gym_envs.guess import GuessNumber

register()


def task(size, goal):
    name = f"{size}-{goal}"
    found = [t for split in Split for t in GuessNumber.tasks(split) if t.id == name]
    assert len(found) == 1
    return found[0]


def guess(number):
    return Action.call("guess", number=number)


def test_it_stays_a_tutorial():
    lines = inspect.getsource(GuessNumber).splitlines()
    assert len([line for line in lines if line.strip()]) <= 30


def test_an_episode():
    env = GuessNumber()
    observation, info = env.reset(options={"task": task(100, 37)})
    assert (observation, info["success"]) == ("Find the number between 1 and 100.", False)
    assert [env.step(guess(n))[:3] for n in (50, 36, 37)] == [
        ("Lower.", 0.0, False),
        ("Higher.", 0.0, False),
        ("Correct.", 1.0, True),
    ]


def test_evidence_lists_the_guesses():
    env = GuessNumber()
    env.reset(options={"task": task(10, 3)})
    env.step(guess(5))
    (verdict,) = env.step(guess(1))[4]["verdicts"]
    assert verdict.evidence == "guesses: [5, 1]"


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([10, 30, 100, 300, 1000]), st.data())
def test_the_oracle_bisects_from_any_state(size, data):
    goal = data.draw(st.integers(1, size))
    env = GuessNumber()
    env.reset(options={"task": task(size, goal)})
    wrong = st.integers(-5, size + 5).filter(lambda n: n != goal)
    for number in data.draw(st.lists(wrong, max_size=5)):
        env.step(guess(number))
    turns, done = 0, False
    while not done:
        _, reward, done, truncated, _ = env.step(env.oracle())
        turns += 1
        assert not truncated
    assert reward == 1.0
    assert turns <= size.bit_length()


def test_splits_are_disjoint_and_cover_every_number():
    train, test = GuessNumber.tasks(Split.TRAIN), GuessNumber.tasks(Split.TEST)
    assert straddling(train, test) == ()
    assert (len(train), len(test)) == (1152, 288)
    assert len({t.id for t in (*train, *test)}) == 10 + 30 + 100 + 300 + 1000


def test_it_passes_certification():
    report = certify("guess", Plan(tasks=5, episodes=40, forks=20, fuzz=300))
    assert report.passed, report.rows()


def test_gymnasium_makes_and_checks_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("trace_gym/guess-v0")
        check_env(env.unwrapped)
        assert gymnasium.make("trace_gym/guess-v0", render_mode="ansi").unwrapped.render_mode == "ansi"
    assert env.spec.max_episode_steps is None
    assert env.spec.from_json(env.spec.to_json()).vector_entry_point == "trace_gym.environment.vector:guess"


def test_forks_go_through_unwrapped():
    env = gymnasium.make("trace_gym/guess-v0")
    env.reset(seed=0)
    snapshot = env.unwrapped.snapshot()
    first = env.step(guess(7))
    env.unwrapped.restore(snapshot)
    assert env.step(guess(7)) == first


def test_the_vector_environment_keeps_text_and_undecided_values():
    envs = gymnasium.make_vec("trace_gym/guess-v0", num_envs=3, split=Split.TEST)
    observations, infos = envs.reset(seed=1)
    alone = GuessNumber(split=Split.TEST)
    assert observations == tuple(alone.reset(seed=seed)[0] for seed in (1, 2, 3))
    assert [type(value) for value in infos["success"]] == [bool] * 3
    assert observations in envs.observation_space
    envs.action_space.seed(0)
    observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert all(isinstance(text, str) for text in observations)
    assert (rewards.shape, list(infos["turn"])) == ((3,), [1, 1, 1])
    assert not terminated.any()
    assert not truncated.any()
    undecided = envs._add_info(envs._add_info({}, {"success": True}, 0), {"success": None}, 2)
    assert (list(undecided["success"]), list(undecided["_success"])) == (
        [True, None, None],
        [True, False, True],
    )
    envs.close()


def test_the_vector_environment_begins_anew_after_an_end():
    envs = gymnasium.make_vec("trace_gym/guess-v0", num_envs=2)
    envs.reset(seed=3)
    goals = [env.task.payload["goal"] for env in envs.envs]
    _, rewards, terminated, _, _ = envs.step((guess(goals[0]), guess(-1)))
    assert (list(rewards), list(terminated)) == ([1.0, 0.0], [True, False])
    observations, rewards, terminated, _, infos = envs.step((guess(0), guess(-1)))
    assert observations[0].startswith("Find the number")
    assert (list(rewards), list(terminated), list(infos["turn"])) == ([0.0, 0.0], [False, False], [0, 2])
    envs.close()


def test_worker_processes_without_shared_memory_agree_and_with_it_refuse():
    makers = [GuessNumber] * 2
    envs = AsyncVectorEnv(makers, shared_memory=False)
    observations, _ = envs.reset(seed=1)
    assert observations == tuple(GuessNumber().reset(seed=seed)[0] for seed in (1, 2))
    stepped = envs.step((guess(1), guess(2)))[0]
    assert all(text in ("Higher.", "Lower.", "Correct.") for text in stepped)
    envs.close()
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv(makers)


def test_a_task_without_its_payload_is_an_environment_failure():
    broken = replace(task(10, 3), payload={"size": 10}, limits=Limits(3))
    with pytest.raises(EnvironmentFailed, match="guess/10-3 could not begin: KeyError: 'goal'"):
        GuessNumber().reset(options={"task": broken})


def test_random_play_succeeds_about_as_rarely_as_declared():
    env, wins = GuessNumber(), 0
    env.action_space.seed(0)
    for number, one in enumerate(GuessNumber.tasks(Split.TEST)[:100]):
        env.reset(seed=number, options={"task": one})
        done = truncated = False
        while not (done or truncated):
            _, reward, done, truncated, _ = env.step(env.action_space.sample())
        wins += int(reward)
    assert 0 < wins / 100 <= GuessNumber.chance
    assert np.isclose(env.action_space.messages, 0.1)
