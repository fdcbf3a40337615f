"""Forks: by copy and by replay, restored often, never shared, and loud when they diverge."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import EnvironmentFailed, ForkDiverged
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.fork import copied, digest, replay
from trace_gym.environment.tools import tool

STRATEGIES = ("copy", "replay")


class Dice(AgenticEnv):
    """Roll dice until their sum passes the goal; the rolls come from the environment's own generator."""

    suite = "dice"

    def begin(self, task):
        self.state = {"rolls": [], "first": int(self.np_random.integers(1000))}
        return f"Roll {task.payload['goal']}; ticket {self.state['first']}."

    @tool
    def roll(self, times: int) -> str:
        """Roll.

        Args:
            times: How often.
        """
        rolled = [int(n) for n in self.np_random.integers(1, 7, size=min(max(times, 0), 5))]
        self.state["rolls"] += rolled
        if sum(self.state["rolls"]) >= self.task.payload["goal"]:
            self.finish()
        return str(rolled)

    def checks(self):
        total = sum(self.state["rolls"])
        goal = self.task.payload["goal"]
        yield Verdict.of("sum", total >= goal, evidence=str(total), score=min(1.0, total / goal))

    @classmethod
    def tasks(cls, split):
        return [TASK]


class Leaky(Dice):
    """Keeps what changes outside of the state."""

    def begin(self, task):
        self.calls = 0
        return super().begin(task)

    def checks(self):
        self.calls += 1
        yield replace(next(iter(super().checks())), evidence=f"asked {self.calls} times")


TASK = Task("d", "dice", Split.TRAIN, "f", payload={"goal": 60}, limits=Limits(max_turns=40))


def roll(times=1):
    return Action.call("roll", times=times)


def begun(env_class=Dice, seed=5):
    env = env_class()
    env.reset(seed=seed, options={"task": TASK})
    return env


def run(env, actions):
    outcomes = []
    for action in actions:
        outcomes.append(env.step(action))
        if outcomes[-1][2] or outcomes[-1][3]:
            break
    return outcomes


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-1, 6), min_size=1, max_size=12), st.data(), st.sampled_from(STRATEGIES))
def test_continuing_a_fork_equals_having_run_straight_on(times, data, strategy):
    actions = [roll(n) for n in times]
    straight = run(begun(), actions)
    point = data.draw(st.integers(0, len(straight)))
    parent, child = begun(), begun(seed=99)
    run(parent, actions[:point])
    snapshot = parent.snapshot(strategy)
    assert (snapshot.strategy, snapshot.turn, snapshot.task) == (strategy, point, TASK)
    rest = actions[point : len(straight)]
    for env in (parent, child, child):
        env.restore(snapshot)
        assert run(env, rest) == straight[point:]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_children_do_not_share_state(strategy):
    parent = begun()
    run(parent, [roll(2)])
    snapshot = parent.snapshot(strategy)
    one, two = begun(), begun()
    one.restore(snapshot)
    two.restore(snapshot)
    one.state["rolls"].append(1000)
    run(parent, [roll(5)])
    three = begun()
    three.restore(snapshot)
    assert len(two.state["rolls"]) == len(three.state["rolls"]) == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_children_on_threads_play_as_alone(strategy):
    parent = begun()
    run(parent, [roll(2)])
    snapshot = parent.snapshot(strategy)

    def child(times):
        env = Dice()
        env.restore(snapshot)
        return run(env, [roll(times)] * 6)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(child, [1, 2, 3, 4] * 4))
    assert together == [child(times) for times in [1, 2, 3, 4] * 4]


def test_the_class_chooses_the_strategy_and_eviction_keeps_the_moment():
    class Replayed(Dice):
        fork = "replay"

    env = begun(Replayed)
    run(env, [roll(3)])
    assert env.snapshot().memory is None
    copied = env.snapshot("copy")
    assert copied.evicted().strategy == "replay"
    other = begun(Replayed, seed=1)
    other.restore(copied.evicted())
    assert run(other, [roll()] * 3) == run(env, [roll()] * 3)


@pytest.mark.parametrize("first", STRATEGIES)
@pytest.mark.parametrize("second", STRATEGIES)
def test_a_fork_of_a_fork(first, second):
    actions = [roll(2), roll(1), roll(3), roll(1)]
    straight = run(begun(), actions)
    parent, child, grandchild = begun(), begun(seed=7), begun(seed=8)
    run(parent, actions[:1])
    child.restore(parent.snapshot(first))
    run(child, actions[1:3])
    grandchild.restore(child.snapshot(second))
    assert run(grandchild, actions[3:]) == straight[3:]


def test_a_finished_episode_can_be_restored_and_stays_finished():
    env = begun()
    last = run(env, [roll(5)] * 40)[-1]
    assert last[2]
    for strategy in STRATEGIES:
        other = begun(seed=1)
        other.restore(env.snapshot(strategy))
        with pytest.raises(Exception, match="is over"):
            other.step(roll())


def test_a_replay_that_differs_names_its_turn():
    env = begun()
    run(env, [roll(1), roll(2), roll(3)])
    snapshot = env.snapshot("replay")
    progress = snapshot.progress
    changed = replace(progress, actions=(progress.actions[0], roll(4), progress.actions[2]))
    with pytest.raises(ForkDiverged, match=r"dice/d diverged in turn 2: digest \w+, recorded \w+"):
        begun().restore(replace(snapshot, progress=changed))


def test_a_restore_that_fails_leaves_no_episode_to_play_on():
    env = begun()
    run(env, [roll(1), roll(2)])
    snapshot = env.snapshot("replay")
    broken = replace(snapshot.progress, digests=(*snapshot.progress.digests[:-1], "another"))
    with pytest.raises(ForkDiverged):
        env.restore(replace(snapshot, progress=broken))
    with pytest.raises(ResetNeeded):
        env.step(roll())
    copy = begun().snapshot("copy")
    env.restore(copy)
    copy.memory.state["generator"] = (n for n in range(3))
    with pytest.raises(EnvironmentFailed):
        env.restore(copy)
    with pytest.raises(ResetNeeded):
        env.step(roll())
    env.restore(snapshot)
    assert (env.progress.turn, len(run(env, [roll()]))) == (2, 1)


def test_state_kept_elsewhere_makes_copies_differ_but_replay_right():
    env = begun(Leaky)
    straight = run(begun(Leaky), [roll()] * 5)
    run(env, [roll()] * 2)
    copied, recorded = env.snapshot("copy"), env.snapshot("replay")
    fresh = begun(Leaky)
    fresh.restore(copied)
    assert run(fresh, [roll()]) != straight[2:3]
    fresh.restore(recorded)
    assert run(fresh, [roll()] * 3) == straight[2:]


def test_a_state_that_cannot_be_copied_breaks_the_episode():
    env = begun()
    env.state["generator"] = (n for n in range(3))
    with pytest.raises(EnvironmentFailed, match="dice/d: the state cannot be copied"):
        env.snapshot()


def test_a_snapshot_of_another_suite_is_refused():
    class Other(Dice):
        suite = "other"

    with pytest.raises(ValueError, match="a snapshot of suite 'dice' cannot be restored in 'other'"):
        Other().restore(begun().snapshot())


def recorded(actions, seed=5):
    env = Dice()
    _, info = env.reset(seed=seed, options={"task": TASK})
    return info["digest"], [outcome[4]["digest"] for outcome in run(env, actions)]


def test_replay_reenters_an_episode():
    actions = [roll(1), "hello", roll(2)]
    opening, digests = recorded(actions)
    env, straight = Dice(), begun()
    observation, info = replay(env, TASK, seed=5, actions=actions, digests=digests, opening=opening)
    last = run(straight, actions)[-1]
    assert (observation, info) == (last[0], last[4])
    assert run(env, [roll(5)] * 3) == run(straight, [roll(5)] * 3)


def test_replay_of_nothing_is_a_reset():
    opening, _ = recorded([])
    _, info = replay(Dice(), TASK, seed=5, actions=[], digests=[], opening=opening)
    assert info["digest"] == opening


def test_replay_refuses_what_does_not_agree():
    actions = [roll(1), roll(2)]
    opening, digests = recorded(actions)
    with pytest.raises(ForkDiverged, match="turn 0"):
        replay(Dice(), TASK, seed=6, actions=actions, digests=digests, opening=opening)
    with pytest.raises(ForkDiverged, match="turn 1"):
        replay(Dice(), TASK, seed=6, actions=actions, digests=digests)
    with pytest.raises(ValueError, match="one digest per action, got 1 for 2"):
        replay(Dice(), TASK, seed=5, actions=actions, digests=digests[:1])


def test_replay_refuses_actions_after_the_end():
    actions = [roll(5)] * 40
    _, digests = recorded(actions)
    excess = [*digests, "0" * 16]
    with pytest.raises(ForkDiverged, match=f"ended in turn {len(digests)} of {len(excess)}"):
        replay(Dice(), TASK, seed=5, actions=actions[: len(excess)], digests=excess)


def test_the_digest_sees_everything_and_takes_any_text():
    verdict = Verdict("a", Status.FAIL, 0.5, "because \ud800")
    base = {"observation": "x", "verdicts": [verdict], "reward": 0.0, "terminated": False, "truncated": False}

    def of(**changes):
        fields = {**base, **changes}
        return digest(fields.pop("observation"), fields.pop("verdicts"), **fields)

    changed = [
        of(observation="x "),
        of(verdicts=[]),
        of(verdicts=[replace(verdict, evidence="")]),
        of(verdicts=[replace(verdict, score=0.25)]),
        of(verdicts=[replace(verdict, status=Status.PASS)]),
        of(verdicts=[replace(verdict, weight=2.0)]),
        of(verdicts=[replace(verdict, required=False)]),
        of(reward=1e-9),
        of(terminated=True),
        of(truncated=True),
    ]
    assert len({of(), *changed}) == len(changed) + 1
    assert of() == of()
    assert len(of()) == 16


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_a_copied_generator_draws_on_as_the_original_and_neither_moves_the_other(kind):
    rng = np.random.Generator(kind(np.random.SeedSequence(7, spawn_key=(1, 2), pool_size=8)))
    rng.spawn(2)
    rng.integers(10, dtype=np.uint32)  # half of a 64-bit draw is left over
    _, twin = copied(None, rng)
    _, again = copied(None, twin)

    def drawn(of):
        return [
            *of.integers(1000, size=5, dtype=np.uint32).tolist(),
            *of.normal(size=3).tolist(),
            *(child.random() for child in of.spawn(2)),
        ]

    assert drawn(twin) == drawn(rng) == drawn(again)


def test_a_state_that_holds_the_generator_still_does_when_copied():
    rng = np.random.default_rng(3)
    state = {"rng": rng, "bits": rng.bit_generator, "seeds": rng.bit_generator.seed_seq, "own": [1]}
    copy, twin = copied(state, rng)
    assert copy["rng"] is twin
    assert copy["bits"] is twin.bit_generator
    assert copy["seeds"] is twin.bit_generator.seed_seq
    assert twin is not rng
    assert copy["own"] == [1]
    assert copy["own"] is not state["own"]


def test_a_generator_without_a_seed_sequence_is_copied_too():
    class Own(np.random.Generator):
        pass

    rng = Own(np.random.PCG64(3))
    _, twin = copied([], rng)
    assert twin.random() == rng.random()
