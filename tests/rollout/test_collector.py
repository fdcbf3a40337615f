"""The collector on a real environment: budgets, forks, retries, order of play, resuming at every entry."""

import asyncio
import random
import threading
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.agent import Move
from trace_gym.core.budget import Budget, Cost, Pace
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, FailureCause, StopReason
from trace_gym.core.errors import EnvironmentFailed, SplitViolation
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Cancel, EpisodeDone, Grant, TurnDone
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Anchor
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.catalogue import make
from trace_gym.schedule.cutting import CuttingScheduler
from trace_gym.schedule.guided import GuidedScheduler
from trace_gym.schedule.trace import Trace
from trace_gym.schedule.uniform import Uniform
from trace_gym.store import Store


class Corridor(AgenticEnv):
    """Walk `length` cells forward without a step back; the walk is decided by whoever acts."""

    suite = "corridor"
    fails_at: ClassVar[set[str]] = set()
    unborn: ClassVar[dict[str, int]] = {}
    """How often tasks will still fail to begin, by id."""

    def begin(self, task):
        if self.unborn.get(task.id, 0):
            self.unborn[task.id] -= 1
            raise OSError("there is no floor")
        self.state = {"at": 0, "dead": False}
        return f"Corridor of {task.payload['length']}."

    @tool
    def walk(self, ahead: bool) -> str:
        """Take a step.

        Args:
            ahead: Forwards or backwards.
        """
        if self.task.id in self.fails_at:
            raise OSError("the floor gave way")
        self.state["at"] += 1
        self.state["dead"] |= not ahead
        if self.state["at"] == self.task.payload["length"]:
            self.finish()
        return f"At {self.state['at']}."

    def checks(self):
        there = self.state["at"] == self.task.payload["length"] and not self.state["dead"]
        yield Verdict.of("arrived", there, evidence=f"at {self.state['at']}")

    def oracle(self):
        return Action.call("walk", ahead=True)

    @classmethod
    def tasks(cls, split):
        return [corridor(i, split=split) for i in range(20)]


def corridor(number, *, split=Split.TRAIN, length=3):
    return Task(str(number), "corridor", split, "f", payload={"length": length}, limits=Limits(max_turns=6))


class Walker:
    """Samples two 'tokens' a turn, seeded by the view alone; steps forward with probability .7."""

    trainable = True
    wants_oracle = False

    def __init__(self):
        self.moves = 0

    async def act(self, view):
        await asyncio.sleep(0)
        self.moves += 1
        ahead = random.Random(view.seed).random() < 0.7
        sampled = ids([int(ahead), 2])[: view.max_tokens]
        return Move(
            Action.call("walk", ahead=ahead),
            actor=Actor.POLICY,
            context_ids=ids([7, len(view.turns)]),
            action_ids=sampled,
            logprobs=floats([-0.5] * len(sampled)),
            policy_version=0,
            hidden=floats([view.seed % 5]),
            cost=Cost(fresh=2, decoded=len(sampled)),
        )


class Counting:
    """A reader whose prompts and states say how many turns there are."""

    def prompt(self, view):
        return ids([len(view.turns)])

    async def read(self, prompts):
        return [floats(prompt_ids) for prompt_ids in prompts]


def collect(tasks, scheduler, *, budget=None, agent=None, step=0, **others):
    parties = {name: others.pop(name, None) for name in ("journal", "listener", "predictor", "guide")}
    world = others.pop("world", Corridor)
    config = CollectorConfig(workers=4, turn_tokens=2, **others)

    async def run():
        async with Collector(
            {"corridor": world},
            agent or Walker(),
            scheduler,
            **parties,
            config=config,
        ) as it:
            return await it.collect(step, tasks, budget or Budget())

    return asyncio.run(run())


def shape(forest):
    """Everything about a forest but wall time and the order in which siblings came in."""

    def below(tree, children, node):
        turn = tree.turns[node]
        ends = {r.tip: (r.stop, r.failure) for r in tree.rollouts}
        mine = (turn.action, turn.observation, turn.action_ids.tolist(), turn.digest, ends.get(node))
        return (mine, sorted((below(tree, children, child) for child in children[node]), key=repr))

    return [(t.task.key, below(t, t.children(), 0)) for t in forest.trees]


def test_uniform_plays_every_prompt_and_charges_what_the_turns_say():
    budget = Budget(trajectories=40, tokens=1000)
    forest = collect([corridor(i) for i in range(5)], Uniform(n=8), budget=budget)
    assert [len(tree.leaves()) for tree in forest.trees] == [8] * 5
    assert budget.spent == forest.cost
    assert forest.cost.trajectories == 40
    assert forest.cost.decoded == sum(len(t.action_ids) for tree in forest.trees for t in tree.turns)
    assert budget.left("trajectories") == 0
    assert {episode.success for episode in forest.episodes()} == {True, False}


def test_a_pace_is_charged_in_place_of_the_clock_and_a_fork_pays_for_its_own_turns_alone():
    """Every turn adds two context tokens and samples two: 3 + 2 * 0.5 + 2 * 0.25 seconds."""
    budget = Budget(trajectories=24)
    pace = Pace(step_s=3.0, token_s=0.5, context_s=0.25)
    forest = collect([corridor(i) for i in range(6)], Trace(8, 2, seed=1), budget=budget, pace=pace)
    assert {turn.cost.seconds for tree in forest.trees for turn in tree.turns[1:]} == {4.5}
    assert any(rollout.anchor for tree in forest.trees for rollout in tree.rollouts)
    played = sum(len(tree.turns) - 1 for tree in forest.trees)
    assert budget.spent.seconds == pytest.approx(4.5 * played)
    assert played < 3 * 24


def test_the_same_seed_grows_the_same_forest_whatever_the_interleaving():
    tasks = [corridor(i) for i in range(6)]
    one = collect(tasks, Trace(8, 2, seed=1), budget=Budget(trajectories=24))
    two = collect(tasks, Trace(8, 2, seed=1), budget=Budget(trajectories=24))
    assert shape(one) == shape(two)
    other = collect(tasks, Trace(8, 2, seed=1), budget=Budget(trajectories=24), seed=9)
    assert shape(one) != shape(other)


def test_forks_continue_from_their_anchor_and_share_its_tokens():
    forest = collect([corridor(i) for i in range(4)], Trace(6, 3), budget=Budget(trajectories=24))
    forks = [(t, r) for t in forest.trees for r in t.rollouts if r.anchor > 0]
    assert forks
    for tree, rollout in forks:
        first = next(n for n in tree.path(rollout.tip) if tree.turns[n].parent == rollout.anchor)
        assert tree.turns[first].observation == f"At {tree.depth(first)}."
        prefix = tree.tokens(rollout.anchor)
        assert np.array_equal(tree.tokens(rollout.tip)[: len(prefix)], prefix)


def test_replayed_forks_equal_copied_forks():
    tasks = [corridor(i) for i in range(4)]
    copied = collect(tasks, Trace(6, 3), budget=Budget(trajectories=24))
    replayed = collect(tasks, Trace(6, 3), budget=Budget(trajectories=24), snapshots=0)
    assert shape(copied) == shape(replayed)


def test_one_prompts_forks_start_while_anothers_roots_still_run():
    gate = asyncio.Event()
    log = []

    class Slow(Walker):
        async def act(self, view):
            if "9" in view.turns[0].observation and len(view.turns) == 1:
                await gate.wait()
            return await super().act(view)

    def listener(tree, event):
        if isinstance(event, EpisodeDone):
            log.append((tree.task.id, tree.rollouts[event.rollout].anchor > 0))
            if log[-1] == ("0", True):
                gate.set()

    tasks = [corridor(0), corridor(1, length=9)]
    collect(tasks, Trace(4, 1), budget=Budget(trajectories=8), agent=Slow(), listener=listener)
    assert log.index(("0", True)) < log.index(("1", False))


def test_the_token_limit_is_hard_and_cut_episodes_are_censored():
    budget = Budget(tokens=31)
    forest = collect([corridor(i) for i in range(5)], Uniform(n=4), budget=budget)
    assert forest.cost.decoded == budget.spent.decoded == 31
    stops = [r.stop for tree in forest.trees for r in tree.rollouts]
    assert StopReason.CENSORED in stops
    censored = [e for e in forest.episodes() if e.stop is StopReason.CENSORED]
    assert all(e.success is None for e in censored)
    assert all(r.tip not in t.outcomes() for t in forest.trees for r in t.rollouts if not r.scored)


def test_a_spent_soft_limit_starts_nothing_more():
    budget = Budget(usd=1.0)
    budget.charge(Cost(usd=1.5))
    forest = collect([corridor(0)], Uniform(n=3), budget=budget)
    assert [r.stop for r in forest.trees[0].rollouts] == [StopReason.CENSORED] * 3
    assert forest.cost == Cost()


def test_a_step_taken_up_plays_what_had_begun_when_a_soft_limit_was_reached_and_starts_nothing(tmp_path):
    """Four of eight rollouts begin; their seventh turn reaches the limit, and they go on regardless."""
    tasks, limit_s = [corridor(i, length=5) for i in range(2)], 20.0

    def play(journal):
        budget = Budget(seconds=limit_s)
        forest = collect(tasks, Uniform(n=4), budget=budget, journal=journal, pace=Pace(step_s=3.0))
        return forest, budget

    def stops(forest):
        return {(t.index, n): r.stop for t in forest.trees for n, r in enumerate(t.rollouts)}

    with Store.create(tmp_path / "whole", kind="train", config={}) as store:
        whole, _ = play(store)
    assert Counter(stops(whole).values()) == {StopReason.TERMINATED: 4, StopReason.CENSORED: 4}
    at, crashed, overdrawn = 0, True, 0
    while crashed:
        at, crashed = at + 1, False
        with Store.create(tmp_path / f"cut-{at}", kind="train", config={}) as store:
            try:
                play(Failpoint(store, at, after=True))
            except Crash:
                crashed = True
            before, spent_s = stops(store.forest(0)), store.cost().seconds
        with Store.open(tmp_path / f"cut-{at}") as store:
            forest, budget = play(store)
            assert budget.spent.seconds == store.cost().seconds == forest.cost.seconds
        after = stops(forest)
        begun = [place for place, stop in before.items() if stop is None]
        assert {after[place] for place in begun} <= {StopReason.TERMINATED}
        if spent_s >= limit_s:
            overdrawn += bool(begun)
            assert {after[place] for place in after.keys() - before.keys()} <= {StopReason.CENSORED}
    assert at > 30
    assert overdrawn > 5


def test_a_broken_environment_is_retried_then_reported_and_refunded():
    class Broken(Corridor):
        fails_at: ClassVar[set[str]] = {"1"}

    async def run():
        budget = Budget(trajectories=6)
        events = []
        config = CollectorConfig(workers=2, turn_tokens=2, retries=2)
        async with Collector(
            {"corridor": Broken},
            Walker(),
            Uniform(n=2),
            listener=lambda tree, event: events.append(event),
            config=config,
        ) as it:
            return await it.collect(0, [corridor(i) for i in range(3)], budget), budget, events

    forest, budget, events = asyncio.run(run())
    broken = forest.trees[1]
    assert [r.stop for r in broken.rollouts] == [StopReason.INVALID] * 6
    assert {r.failure for r in broken.rollouts} == {FailureCause.ENVIRONMENT}
    assert sum(type(event).__name__ == "GrantFailed" for event in events) == 2
    assert budget.left("trajectories") == 2
    assert budget.spent == forest.cost
    assert broken.cost.decoded == 12
    assert not broken.outcomes()


def test_tasks_that_do_not_begin_are_left_out_of_the_step_and_told(monkeypatch, caplog):
    async def played():
        scheduler = Uniform(n=1)
        config = CollectorConfig(workers=2, turn_tokens=2, retries=1)
        makers = {"corridor": Corridor}
        async with Collector(
            makers, Walker(), scheduler, predictor=BetaPredictor(), reader=Counting(), config=config
        ) as collector:
            return await collector.collect(0, [corridor(i) for i in range(5)], Budget())

    monkeypatch.setattr(Corridor, "unborn", {"1": 1, "3": 2})
    forest = asyncio.run(played())
    assert [tree.task.id for tree in forest.trees] == ["0", "1", "2", "4"]
    assert [tree.index for tree in forest.trees] == [0, 1, 2, 3]
    assert all(record.stop is not StopReason.INVALID for tree in forest.trees for record in tree.rollouts)
    assert [record.message for record in caplog.records if "left out" in record.message] == [
        "a task is left out of this step: corridor/3 could not begin: OSError: there is no floor"
    ]
    monkeypatch.setattr(Corridor, "unborn", {str(i): 2 for i in range(5)})
    with pytest.raises(EnvironmentFailed, match="there is no floor"):
        asyncio.run(played())


def test_a_hung_environment_is_invalid_and_its_thread_is_replaced():
    released = threading.Event()

    class Hung(Corridor):
        @tool
        def walk(self, ahead: bool) -> str:
            """Take a step.

            Args:
                ahead: Forwards or backwards.
            """
            released.wait()
            return "late"

    async def run():
        config = CollectorConfig(workers=1, turn_tokens=2, retries=0)
        async with Collector({"corridor": Hung}, Walker(), Uniform(n=2), config=config) as it:
            task = replace(corridor(0), limits=Limits(6, step_timeout_s=0.05))
            return await it.collect(0, [task], Budget())

    try:
        forest = asyncio.run(run())
    finally:
        released.set()
    assert [r.failure for r in forest.trees[0].rollouts] == [FailureCause.TIMEOUT] * 2


def test_training_refuses_test_tasks_and_evaluation_takes_them():
    held_out = [corridor(0, split=Split.TEST)]
    with pytest.raises(SplitViolation, match="corridor/0"):
        collect(held_out, Uniform(n=1))
    assert collect(held_out, Uniform(n=1), training=False).trees[0].outcomes()


def test_an_agents_own_error_stops_the_step():
    class Buggy(Walker):
        async def act(self, view):
            raise KeyError("a bug, not the world's fault")

    with pytest.raises(KeyError, match="a bug"):
        collect([corridor(0)], Uniform(n=2), agent=Buggy())


class CancelAtFirstSuccess(Uniform):
    """Takes a prompt's grant back as soon as one rollout succeeded."""

    def observe(self, tree, event):
        answer = list(super().observe(tree, event))
        if isinstance(event, EpisodeDone) and tree.outcome(event.rollout):
            answer.append(Cancel(tree.rollouts[event.rollout].grant))
        return answer


def test_cancelled_rollouts_end_once_and_what_did_not_begin_is_refunded():
    budget = Budget(trajectories=50)
    forest = collect([corridor(0)], CancelAtFirstSuccess(n=50), budget=budget)
    stops = [r.stop for r in forest.trees[0].rollouts]
    assert len(stops) == 50
    assert stops.count(StopReason.CANCELLED) > 30
    assert budget.spent == forest.cost
    assert budget.spent.trajectories < 20
    assert budget.left("trajectories") == 50 - budget.spent.trajectories


class Doubtful:
    """Says of prefixes what the walker's state there was: a fifth, or more."""

    def predict(self, prefixes):
        return [Prediction(0.5 if p.hidden is None else 0.04 + float(p.hidden[0]) / 5) for p in prefixes]


def test_hopeless_rollouts_are_cut_and_count_with_their_worth():
    scheduler = CuttingScheduler(Uniform(n=60), below=0.1, spare=0.3, seed=3)
    budget = Budget(trajectories=60)
    forest = collect([corridor(0, length=5)], scheduler, budget=budget, predictor=Doubtful())
    (tree,) = forest.trees
    cut = [r for r in tree.rollouts if r.stop is StopReason.CUT]
    found = scheduler.learn(forest)
    assert found["cut"] == len(cut)
    assert 10 <= len(cut) < found["hopeless"] < 60, "three chances of a fifth, seven tenths of them cut: 20"
    for record in cut:
        path = tree.path(record.tip)
        assert len(path) >= 2
        assert float(tree.turns[path[-1]].hidden[0]) == 0.0
        assert record.worth == pytest.approx(0.04)
        assert tree.values()[record.tip] == record.worth
    assert budget.spent == forest.cost
    assert budget.spent.trajectories == 60


def test_a_grant_for_a_node_that_cannot_be_played_on_is_refused():
    class Wrong(Uniform):
        def propose(self, pool, budget):
            return [Grant(0, Anchor(0, 5), 1, "there is no node 5")]

    with pytest.raises(ValueError, match="cannot be played on"):
        collect([corridor(0)], Wrong(n=1))


def test_what_the_oracle_is_granted_is_shown_started_from_and_neither_counted_nor_paid_in_tokens():
    scheduler = GuidedScheduler(Uniform(n=3), share=0.5, below=0.6, continuations=4, seed=1)
    budget = Budget(trajectories=11)
    parties = {"predictor": Doubtful(), "guide": make_agent("oracle")}
    forest = collect([corridor(i) for i in range(4)], scheduler, budget=budget, **parties)
    (tree,) = (tree for tree in forest.trees if tree.rollouts[0].stop is StopReason.SHOWN)
    first, *others = tree.rollouts
    path = tree.path(first.tip)
    assert {tree.turns[node].actor for node in path} == {Actor.ORACLE}
    assert sum(tree.turns[node].cost.decoded for node in path) == 0
    assert first.tip not in tree.leaves()
    assert tree.outcome(0) is None
    assert len(others) == 4
    assert {record.anchor for record in others} in ({path[0]}, {path[1]})
    assert set(tree.outcomes()) == {record.tip for record in others}
    assert budget.spent == forest.cost
    assert budget.spent.trajectories == 11
    told = scheduler.learn(forest)
    assert (told["guided"], told["guided_contrast"]) == (1.0, float(tree.mixed))


def test_a_grant_to_the_oracle_needs_somebody_who_plays_it():
    class Shows(Uniform):
        def propose(self, pool, budget):
            return [Grant(0, Anchor(0), 1, "to be shown", actor=Actor.ORACLE)]

    with pytest.raises(ValueError, match="give the collector a guide"):
        collect([corridor(0)], Shows(n=1))
    with pytest.raises(ValueError, match="for the policy or for the oracle"):
        Grant(0, Anchor(0), 1, "", actor=Actor.TASK)


def test_an_oracle_that_falls_silent_ends_what_it_shows():
    class Mute(Corridor):
        def oracle(self):
            return None

    scheduler = GuidedScheduler(Uniform(n=3), share=0.5, below=0.6, continuations=4, seed=1)
    parties = {"predictor": Doubtful(), "guide": make_agent("oracle"), "world": Mute}
    forest = collect([corridor(i) for i in range(4)], scheduler, budget=Budget(trajectories=12), **parties)
    (tree,) = (tree for tree in forest.trees if tree.rollouts[0].stop is StopReason.SHOWN)
    assert (len(tree.turns), len(tree.rollouts)) == (1, 1), "it never took a turn, and nothing starts there"
    assert forest.cost.trajectories == 6


class Crash(BaseException):
    """What a failpoint raises."""


class Failpoint:
    """Passes calls on to a journal, dies before or after the given one and is dead from then on."""

    def __init__(self, inner, at, *, after):
        self.inner, self.left, self.after = inner, at, after

    def __getattr__(self, name):
        method = getattr(self.inner, name)

        def call(*args, **kwargs):
            if name == "recover":
                return method(*args, **kwargs)
            self.left -= 1
            if self.left < 0 or (self.left == 0 and not self.after):
                raise Crash
            result = method(*args, **kwargs)
            if self.left == 0:
                raise Crash
            return result

        return call


@pytest.mark.parametrize("around", ["nothing", "cuts", "guides"])
@pytest.mark.parametrize("after", [False, True])
def test_resuming_from_every_journal_entry_equals_an_uninterrupted_step(tmp_path, after, around):
    cuts, guides = around == "cuts", around == "guides"
    tasks = [corridor(i, length=5 if cuts else 3) for i in range(3)]

    def play(journal, agent):
        budget = Budget(trajectories=12, tokens=500)
        scheduler = Trace(4, 2, seed=2)
        if cuts:
            scheduler = CuttingScheduler(scheduler, below=0.1, spare=0.3)
        if guides:
            scheduler = GuidedScheduler(scheduler, share=0.5, below=0.6, seed=1)
        parties = {"journal": journal, "agent": agent, "guide": make_agent("oracle")}
        if around != "nothing":
            parties["predictor"] = Doubtful()
        return collect(tasks, scheduler, budget=budget, **parties), budget

    with Store.create(tmp_path / "whole", kind="train", config={}) as journal:
        whole, _ = play(journal, Walker())
    sampled = sum(turn.actor is Actor.POLICY for tree in whole.trees for turn in tree.turns)
    for ended, asked in ((StopReason.CUT, cuts), (StopReason.SHOWN, guides)):
        assert asked is any(r.stop is ended for tree in whole.trees for r in tree.rollouts)
    at, crashed = 1, True
    while crashed:
        folder = tmp_path / f"cut-{at}"
        first = Walker()
        with Store.create(folder, kind="train", config={}) as store:
            try:
                play(Failpoint(store, at, after=after), first)
                crashed = False
            except Crash:
                committed = sum(
                    turn.actor is Actor.POLICY
                    for tree in (store.recover(0).trees.values() if store.recover(0) else [])
                    for turn in tree.turns
                )
        if crashed:
            second = Walker()
            with Store.open(folder) as store:
                resumed, budget = play(store, second)
                assert shape(resumed) == shape(whole), f"cut at entry {at}"
                assert budget.spent.decoded == store.cost().decoded == whole.cost.decoded
                assert budget.spent.trajectories == store.cost().trajectories == 12
                assert shape(store.forest(0)) == shape(whole)
            assert committed + second.moves == sampled, "finished turns are not sampled again"
        at += 1
    assert at > 40


class Hearing(Uniform):
    """Hears turns, and keeps which."""

    hears_turns = True

    def __init__(self, n):
        super().__init__(n=n)
        self.heard = []

    def observe(self, tree, event):
        if isinstance(event, TurnDone):
            self.heard.append(tree.turns[event.node])
            return []
        return super().observe(tree, event)


def test_a_step_taken_up_tells_of_no_turn_in_which_the_environment_broke(tmp_path, monkeypatch):
    monkeypatch.setattr(Corridor, "fails_at", {"1"})
    tasks, at, crashed, broken = [corridor(0), corridor(1)], 0, True, 0
    while crashed:
        at, crashed = at + 1, False
        with Store.create(tmp_path / f"cut-{at}", kind="train", config={}) as store:
            try:
                collect(tasks, Hearing(2), journal=Failpoint(store, at, after=True), retries=1)
            except Crash:
                crashed = True
        with Store.open(tmp_path / f"cut-{at}") as store:
            scheduler = Hearing(2)
            forest = collect(tasks, scheduler, journal=store, retries=1)
        assert scheduler.heard
        assert all(turn.digest for turn in scheduler.heard)
        broken += sum(not turn.digest for tree in forest.trees for turn in tree.turns[1:])
    assert broken


def test_forks_granted_for_turns_are_played_once_however_often_a_step_is_taken_up(tmp_path):
    """ARPO grants while rollouts run, so what it grants depends on who is first; how much does not."""
    tasks, at, crashed, forks = [corridor(i) for i in range(2)], 0, True, set()
    while crashed:
        at, crashed = at + 1, False
        with Store.create(tmp_path / f"cut-{at}", kind="train", config={}) as store:
            try:
                collect(
                    tasks,
                    make("arpo", {"n": 3, "threshold": 1.0}, seed=2),
                    journal=Failpoint(store, at, after=True),
                )
            except Crash:
                crashed = True
        with Store.open(tmp_path / f"cut-{at}") as store:
            budget = Budget(trajectories=12)
            forest = collect(
                tasks, make("arpo", {"n": 3, "threshold": 1.0}, seed=2), budget=budget, journal=store
            )
            rollouts = [r for tree in forest.trees for r in tree.rollouts]
            assert len(rollouts) == budget.spent.trajectories == store.cost().trajectories == 12
            forks.add(sum(r.anchor > 0 for r in rollouts))
    assert at > 40
    assert max(forks) > 0


def test_environment_failed_names_the_task():
    class Broken(Corridor):
        fails_at: ClassVar[set[str]] = {"0"}

    env = Broken()
    env.reset(seed=0, options={"task": corridor(0)})
    with pytest.raises(EnvironmentFailed, match="corridor/0"):
        env.step(Action.call("walk", ahead=True))
