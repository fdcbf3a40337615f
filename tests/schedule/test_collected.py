"""Methods on a real environment through the collector: every grant ends, nothing is overspent, crashes
heal."""

import asyncio
from collections import Counter

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.journal import Recovered
from trace_gym.core.scheduler import EpisodeDone, Grant, TurnDone
from trace_gym.core.task import Split
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import suite
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.catalogue import make, names, spelled
from trace_gym.testing import Crashed, CrashingJournal, MemoryJournal

BUDGET = 48
OPTIONS = {"dapo": {"n": 3}, "uniform": {"n": 4}, "vip": {"n": 4}, "reinforce_ada": {"samples": 3}}
QUEUE = "trace_plus?queue=true"


def collected(spec: str, journal: CrashingJournal) -> Forest:
    name, options = spelled(spec)
    guess = suite("guess")

    async def play() -> Forest:
        scheduler = make(name, {**OPTIONS.get(name, {}), **options}, seed=2)
        config = CollectorConfig(seed=1, workers=8)
        makers, agent = {"guess": guess.make}, make_agent("random")
        async with Collector(makers, agent, scheduler, journal=journal, config=config) as collector:
            return await collector.collect(0, guess.tasks(Split.TRAIN)[:16], Budget(trajectories=BUDGET))

    return asyncio.run(play())


def see_that_sound(forest: Forest, known: Recovered) -> None:
    """Every rollout granted has ended once, within the budget."""
    answers = [item for _, answer in known.events for item in answer]
    grants = {g.number: g.count for g in (*known.grants, *answers) if isinstance(g, Grant)}
    trees = {tree.index: tree for tree in forest.trees}
    ended: Counter[int] = Counter()
    for event, _ in known.events:
        if isinstance(event, EpisodeDone):
            ended[trees[event.tree].rollouts[event.rollout].grant] += 1
        else:
            assert isinstance(event, TurnDone)
    assert ended == grants
    assert sum(grants.values()) == forest.cost.trajectories <= BUDGET


@pytest.mark.parametrize("spec", [*names(), QUEUE])
def test_a_real_step(spec: str) -> None:
    journal = MemoryJournal()
    forest = collected(spec, CrashingJournal(journal))
    known = journal.recover(0)
    assert known is not None
    see_that_sound(forest, known)
    forked = {tree.rollouts[i].anchor for tree in forest.trees for i in range(len(tree.rollouts))} - {0}
    assert bool(forked) is make(*spelled(spec), seed=0).forks


@pytest.mark.parametrize("spec", ["treepo", "arpo", "treegrpo", "dapo", "trace_plus", QUEUE])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_cut_step_is_taken_up(spec: str, share: float) -> None:
    """Cut at a write, then taken up by a scheduler that sees the journal's events again."""
    counting = CrashingJournal(MemoryJournal())
    collected(spec, counting)
    journal = MemoryJournal()
    with pytest.raises(Crashed):
        collected(spec, CrashingJournal(journal, at=max(1, int(share * counting.calls))))
    forest = collected(spec, CrashingJournal(journal))
    known = journal.recover(0)
    assert known is not None
    see_that_sound(forest, known)
