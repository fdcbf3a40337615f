"""Rollouts against their own requests computed again: the tokens are the same, and nothing is lost."""

from pathlib import Path

import pytest

from trace_gym.bench.rollout import Setting, run
from trace_gym.environment.registry import suite
from trace_gym.model.tiny import make_tiny

EASY = f"{Path(__file__).parents[1] / 'loop_files' / 'easy.py'}:Easy"


def test_the_engine_computes_what_the_rollouts_asked(tmp_path: Path) -> None:
    easy = suite(EASY)
    model = make_tiny(tmp_path / "model", vocabulary=easy.env_class.vocabulary, seed=0, layers=2)
    setting = Setting(tasks=4, trajectories=16, workers=8, renderer="compact", max_tokens=4)
    report = run(str(model), model, easy, setting=setting)
    played, engine, generated = report.rows
    assert [row.way for row in report.rows] == ["rollouts", "engine", "generate"]
    assert played.tokens == engine.tokens > 16
    assert 16 < generated.tokens <= 4 * 16 * 3
    assert played.batch is not None
    assert 0 < played.batch <= 8
    assert engine.batch is not None
    assert engine.batch > 1
    assert played.outside is not None
    assert 0 <= played.outside < 1
    assert played.forks is not None
    assert played.turns is not None
    assert 0.5 < played.turns <= 1
    assert 0.5 < played.forks <= 1
    found = report.json()
    assert found["rows"][1]["rate"] == pytest.approx(engine.tokens / engine.seconds)
    assert set(found["goals"]) == {
        "outside the model, at most",
        "of the engine's tokens/s, at least",
        "found in the cache on forks, at least",
        "times generate, at least",
    }
