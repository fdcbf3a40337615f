"""An evaluation that dies at any write of its journal, before or after it, ends as if it had not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.journal import Journal
from trace_gym.core.scheduler import Event, TurnDone
from trace_gym.core.tree import RolloutTree
from trace_gym.environment.registry import suite
from trace_gym.evaluate import (
    AdaptiveConfig,
    EpisodeLimits,
    EvalConfig,
    Report,
    evaluate,
    evaluate_adaptively,
)
from trace_gym.parts import make_agent
from trace_gym.store import Store
from trace_gym.testing import Crashed, CrashingJournal, MemoryJournal

CONFIG = EvalConfig(tasks=2, attempts=2, workers=3, limits=EpisodeLimits(turns=2))
SUITES = [suite("guess"), suite("wikihop_compact")]


class Heard:
    """What a listener was told, and how to play."""

    def __init__(self, adaptive: bool) -> None:
        self.adaptive = adaptive
        self.turns: list[tuple[str, int]] = []
        self.ends: list[tuple[str, int]] = []

    def __call__(self, tree: RolloutTree, event: Event) -> None:
        if isinstance(event, TurnDone):
            self.turns.append((tree.task.key, event.node))
        else:
            self.ends.append((tree.task.key, event.rollout or 0))

    def play(self, journal: Journal) -> Report:
        agent = make_agent("random")
        if not self.adaptive:
            return asyncio.run(evaluate(SUITES, agent, config=CONFIG, journal=journal, listener=self))
        playing = evaluate_adaptively(
            SUITES,
            agent,
            adaptive=AdaptiveConfig(),
            config=CONFIG,
            budget=Budget(trajectories=18),
            journal=journal,
            listener=self,
        )
        return asyncio.run(playing)


def facts(report: Report) -> dict[str, Any]:
    """All but seconds."""
    told = report.json()
    for costs in (told["cost"], told["cost_per_success"]):
        for name in ("env_seconds", "model_seconds"):
            if costs:
                costs.pop(name)
    return told


@pytest.mark.parametrize("adaptive", [False, True])
def test_dying_at_any_write_changes_nothing(adaptive: bool, tmp_path: Path) -> None:
    counting, undisturbed = CrashingJournal(MemoryJournal()), Heard(adaptive)
    whole = facts(undisturbed.play(counting))
    assert counting.calls > 40
    for at in range(1, counting.calls + 1):
        folder, first, second = tmp_path / str(at), Heard(adaptive), Heard(adaptive)
        with Store.create(folder, kind="eval", config={}) as store:
            crashing = CrashingJournal(store, at=at, before=bool(at % 2))
            with pytest.raises(Crashed):
                first.play(crashing)
        with Store.open(folder) as store:
            assert facts(second.play(store)) == whole, f"cut at write {at}"
            ledger, forest = store.ledger()[0], store.forest(0)
        assert not set(first.turns) & set(second.turns), "no finished turn is played again"
        assert not set(first.ends) & set(second.ends), "no end is told twice"
        assert ledger.steps == sum(turn.cost.steps for tree in forest.trees for turn in tree.turns)
        assert ledger.trajectories == whole["cost"]["trajectories"]
