"""What holds for every pair of rules: the purse, the order of things, resuming, and complaints."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.budget import Budget
from trace_gym.core.episode import FailureCause, StopReason
from trace_gym.core.scheduler import EpisodeDone, Grant, GrantFailed, TurnDone
from trace_gym.core.tree import Forest
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.random_forks import RandomForks
from trace_gym.schedule.rule import Choice
from trace_gym.schedule.trace import Trace, TraceForks, TraceRoots
from trace_gym.schedule.uniform import NoForks, Uniform, UniformRoots

SCHEDULERS = {
    "uniform": lambda seed: Uniform(3, seed=seed),
    "trace": lambda seed: Trace(seed=seed, cap=4),
    "trace, strict": lambda seed: Trace(continuations=3, fresh_roots=False, epsilon=0.3, seed=seed),
    "uniform roots, trace forks": lambda seed: Composed(UniformRoots(3), TraceForks(2), seed=seed),
    "trace roots, random forks": lambda seed: Composed(TraceRoots(), RandomForks(2), seed=seed),
    "trace roots, no forks": lambda seed: Composed(TraceRoots(), NoForks(), seed=seed),
}
PER_ROOT = {"uniform": 0, "trace, strict": 3, "trace roots, no forks": 0}


def shuffled(seed: int):
    rng = np.random.default_rng(seed)
    return lambda running: int(rng.integers(running))


@st.composite
def worlds(draw):
    size = draw(st.integers(1, 6))
    values = draw(st.lists(st.sampled_from([0.05, 0.2, 0.5, 0.7, 0.95]), min_size=size, max_size=size))
    turns = draw(st.lists(st.integers(1, 4), min_size=size, max_size=size))
    return {
        "values": values,
        "turns": turns,
        "seed": draw(st.integers(0, 1000)),
        "breaks": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "unknown": draw(st.sampled_from([0.0, 0.3])),
        "predicts": draw(st.booleans()),
    }


@pytest.mark.parametrize("name", SCHEDULERS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_books_balance_in_any_order(world, name: str, data) -> None:
    """Never over budget; each prompt's continuations come in answer to the end of its last root, N for every
    root whose outcome is known, all at non-leaf prefixes of its own roots (or at the root, where there are
    none)."""
    play = world(**data.draw(worlds()))
    allowance = data.draw(st.integers(0, 30))
    scheduler = SCHEDULERS[name](5)
    forest, metrics = play.step(
        scheduler, Budget(trajectories=allowance), order=shuffled(data.draw(st.integers(0, 99)))
    )
    granted = sum(grant.count for grant in play.grants.values())
    ends = [event for event, _ in play.events if not isinstance(event, TurnDone)]
    assert granted == len(ends) == sum(len(tree.rollouts) for tree in forest.trees) <= allowance
    assert metrics["failed"] == sum(isinstance(event, GrantFailed) for event in ends)
    assert metrics["unspent"] == allowance - granted
    assert metrics["roots"] + metrics["forks"] + metrics["fresh_roots"] == granted
    per_root = PER_ROOT.get(name, 2)
    later = [grant for _, answer in play.events for grant in answer]
    first = {n: grant for n, grant in play.grants.items() if grant not in later}
    for tree in forest.trees:
        roots = {n for n, rollout in enumerate(tree.rollouts) if rollout.grant in first}
        known = {n for n in roots if tree.outcome(n) is not None}
        prefixes = {node for n in known for node in tree.path(tree.rollouts[n].tip)[:-1]}
        mine = [grant for grant in later if grant.anchor.tree == tree.index]
        if prefixes or "strict" not in name:
            assert sum(grant.count for grant in mine) == per_root * len(known)
        assert {grant.anchor.node for grant in mine} <= (prefixes or {0})
        left = set(roots)
        for event, answer in play.events:
            if event.tree == tree.index and not isinstance(event, TurnDone):
                left.discard(event.rollout)
                assert not answer or (answer == mine and event.rollout in roots)
                assert left or answer or event.rollout not in roots or not mine


@pytest.mark.parametrize("name", SCHEDULERS)
@settings(max_examples=15, deadline=None)
@given(worlds(), st.integers(0, 99))
def test_prompts_do_not_disturb_each_other(world, name: str, scene, order: int) -> None:
    """However the rollouts interleave, the same is granted for the same reasons."""
    one, two = world(**scene), world(**scene)
    one.step(SCHEDULERS[name](7), Budget(trajectories=24))
    two.step(SCHEDULERS[name](7), Budget(trajectories=24), order=shuffled(order))
    assert one.decisions() == two.decisions()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_journal_repeats_it(world, name: str) -> None:
    """Two steps, the state through JSON, and the third step's events told again: every answer is the same,
    even where the trees already hold what came later."""
    scene = {"values": [0.2, 0.5, 0.5, 0.7, 0.5, 0.5], "turns": [3, 2, 4, 3, 3, 3]}
    play, scheduler = world(**scene), SCHEDULERS[name](11)
    for step in range(2):
        play.step(scheduler, Budget(trajectories=24), order=shuffled(step))
    state = json.loads(json.dumps(scheduler.state_dict()))
    budget = Budget(trajectories=24)
    play.step(scheduler, budget, order=shuffled(2))
    again = SCHEDULERS[name](0)
    again.load_state_dict(state)
    proposed = list(again.propose(play.pool(), budget))
    later = [grant for _, answer in play.events for grant in answer]
    assert proposed == [grant for grant in play.grants.values() if grant not in later]
    assert again.state_dict() == state
    for event, answer in play.events:
        assert list(again.observe(play.trees[event.tree], event)) == answer


def test_steps_and_seeds_draw_differently(world) -> None:
    """Among ties, the choice changes with the step and with the seed, and with nothing else."""
    pool, budget = world(values=[0.5] * 64, turns=[2] * 64).pool(), Budget(trajectories=48)
    states = [{"seed": 0, "step": 0}, {"seed": 0, "step": 0}, {"seed": 0, "step": 1}, {"seed": 1, "step": 0}]
    chosen = []
    for state in states:
        scheduler = Trace(seed=5)
        scheduler.load_state_dict(state)
        chosen.append({grant.anchor.tree for grant in scheduler.propose(pool, budget)})
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert chosen[0] != chosen[3]


def test_forks_start_while_other_roots_still_run(world) -> None:
    """With the first prompt played ahead, its continuations are granted before the other's roots begin."""
    play = world(values=[0.5, 0.5], turns=[3, 3])
    play.step(Trace(6, 1), Budget(trajectories=12))
    forked = next(i for i, (event, answer) in enumerate(play.events) if answer and event.tree == 0)
    others = [i for i, (event, _) in enumerate(play.events) if event.tree == 1]
    assert forked < min(others)


def test_one_turn_episodes_get_fresh_roots(world) -> None:
    """Three roots of one turn earn six continuations and have no prefix to spend them on."""
    play = world(values=[0.5], turns=[1])
    forest, metrics = play.step(Trace(3, 2), Budget(trajectories=9))
    assert metrics["fresh_roots"] == 6
    assert metrics["unspent"] == metrics["forks"] == 0
    assert all(rollout.anchor == 0 for rollout in forest.trees[0].rollouts)
    assert len(forest.trees[0].rollouts) == 9
    reason = list(play.grants.values())[-1].reason
    assert reason == "no prefix to continue from: 6 continuations become fresh roots"
    _, strict = play.step(Trace(3, 2, fresh_roots=False), Budget(trajectories=9))
    assert strict["fresh_roots"] == 0
    assert strict["unspent"] == 6


def test_metrics_by_hand(world) -> None:
    """Two prompts, two roots each, one fork a root. What was promised is the mean of V_root over prompts and
    of V_pref over forked prefixes; what was found is read off the trees."""
    play = world(values=[0.5, 0.5], turns=[3, 3], seed=4)
    scheduler = Composed(UniformRoots(2), RandomForks(1), seed=2)
    forest, metrics = play.step(scheduler, Budget(trajectories=8))
    assert metrics["candidates"] == 2
    assert metrics["roots"] == metrics["forks"] == 4
    assert metrics["prompts_filtered"] == metrics["unspent"] == metrics["failed"] == 0
    assert metrics["roots_contrast_predicted"] == pytest.approx(0.5)
    mixed = [tree.outcome(0) != tree.outcome(1) for tree in forest.trees]
    assert metrics["roots_contrast"] == np.mean(mixed)
    depths, flips, promised = [], [], []
    for tree in forest.trees:
        for rollout in (2, 3):
            anchor = tree.rollouts[rollout].anchor
            parent = tree.turns[anchor].rollout
            v = float(tree.turns[anchor].observation)
            depths.append(tree.depth(anchor))
            flips.append(tree.outcome(rollout) != tree.outcome(parent))
            promised.append(1 - v if tree.outcome(parent) else v)
    assert {f"forks_at_{d}": float(depths.count(d)) for d in set(depths)} == {
        name: value for name, value in metrics.items() if name.startswith("forks_at_")
    }
    assert metrics["forks_contrast"] == np.mean(flips)
    assert metrics["forks_contrast_predicted"] == pytest.approx(np.mean(promised))


def test_random_forks_spread_evenly(world) -> None:
    """Two trajectories of three turns have four prefixes: six continuations go 2, 2, 1, 1, at random."""
    doubled: set[tuple[int, int]] = set()
    for seed in range(40):
        play = world(values=[0.5], turns=[3])
        play.step(Composed(UniformRoots(2), RandomForks(3), seed=seed), Budget(trajectories=8))
        forks = [grant for grant in play.grants.values() if grant.anchor.node]
        assert sorted(grant.count for grant in forks) == [1, 1, 2, 2]
        doubled |= {tuple(grant.anchor.node for grant in forks if grant.count == 2)}
    assert len(doubled) == 6


class Greedy:
    """A rule that asks for more than it may have."""

    pool_size = None
    per_root = 1

    def choose(self, where, count, *, step, rng):
        node = 0 if isinstance(where, list) else where.trajectories[0].prefixes[0]
        return [Choice(node, 9, "more")]


def test_rules_cannot_overspend(world) -> None:
    play = world(values=[0.5], turns=[2])
    with pytest.raises(ValueError, match="asked for 9 roots, it may have 8"):
        Composed(Greedy(), NoForks()).propose(play.pool(), Budget(trajectories=8))
    with pytest.raises(ValueError, match="asked for 9 continuations, it may have 2"):
        play.step(Composed(UniformRoots(2), Greedy()), Budget(trajectories=4))


class Reopens(UniformRoots):
    """Grants more roots to a prompt that it was done with."""

    def again(self, index, pool, standings, *, limit, rng):
        done = [i for i, standing in standings.items() if i != index and not standing.running]
        return [Choice(done[0], 1, "more")] if done else []


def test_rules_cannot_reopen_a_prompt(world) -> None:
    play = world(values=[0.5] * 2, turns=[1] * 2)
    with pytest.raises(ValueError, match=r"more roots of prompts that it was done with: \{0\}"):
        play.step(Composed(Reopens(2), NoForks()), Budget(trajectories=8))


def test_promised_and_real_tokens(world) -> None:
    """Every turn samples 5 tokens: roots of three turns 15, continuations of turn t 5 (3 - t)."""
    play = world(values=[0.5], turns=[3])
    _, metrics = play.step(Trace(2, 1), Budget(trajectories=4))
    assert metrics["roots_tokens"] == 15
    spent = sum(metrics.get(f"forks_at_{t}", 0) * 5 * (3 - t) for t in (1, 2))
    assert metrics["forks_tokens"] == spent / 2
    assert "roots_tokens_predicted" not in metrics


def test_events_out_of_place_are_refused(world) -> None:
    play = world(values=[0.5], turns=[1])
    scheduler = Uniform(2)
    failed = GrantFailed(0, 0, None, FailureCause.MODEL)
    tree = play.plant(0)
    with pytest.raises(ValueError, match="no step is open"):
        scheduler.observe(tree, failed)
    with pytest.raises(ValueError, match="no step is open"):
        scheduler.learn(Forest(0, []))
    [grant] = scheduler.propose(play.pool(), Budget(trajectories=2))
    assert isinstance(grant, Grant)
    assert grant.count == 2
    assert scheduler.observe(tree, TurnDone(0, 0, 0)) == []
    assert scheduler.observe(tree, failed) == []
    with pytest.raises(ValueError, match="1 rollouts running"):
        scheduler.learn(Forest(0, []))
    with pytest.raises(ValueError, match="1 rollouts running"):
        scheduler.propose(play.pool(), Budget(trajectories=2))
    scheduler.observe(tree, failed)
    with pytest.raises(ValueError, match="grant 0 has no rollout that could end"):
        scheduler.observe(tree, failed)
    with pytest.raises(ValueError, match="grant 1 has no rollout"):
        scheduler.observe(tree, GrantFailed(0, 1, None, FailureCause.MODEL))
    assert scheduler.learn(Forest(0, []))["failed"] == 2


def test_an_episode_without_a_turn_is_no_trajectory(world) -> None:
    """The budget or the context ended before it began: it is settled, earns nothing and forks nothing."""
    play = world(values=[0.5], turns=[3])
    scheduler = Trace(2, 1)
    [grant] = scheduler.propose(play.pool(), Budget(trajectories=4))
    tree = play.plant(0)
    for reason in (StopReason.CENSORED, StopReason.CONTEXT):
        rollout = tree.start(grant=grant.number, anchor=0)
        tree.stop(rollout, reason)
        assert scheduler.observe(tree, EpisodeDone(0, rollout)) == []
    assert scheduler.learn(Forest(0, [tree]))["unspent"] == 2
