"""The warm start: whom it is shown may differ from what it shall play."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.loop_files.runs import Listening
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.environment.registry import suite
from trace_gym.model.load import load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.warm import WarmConfig, demonstrate, warm_tiny


def test_it_is_shown_other_suites_than_it_plays(tmp_path: Path) -> None:
    told = Listening()

    def warm(*shown: str) -> Path:
        config = WarmConfig(hidden=32, layers=1, demos=20, steps=2, batch_tokens=512, suites=shown)
        played = [suite("reasoning_compact")]
        return warm_tiny(played, config, cache=tmp_path, note=told.note, progress=told.warming)

    own, other = warm(), warm("wikihop_compact")
    assert own != other
    assert any("demonstrations of wikihop_compact" in note for note in told.notes)
    tokenizer = load_model(other).tokenizer
    for name in ("reasoning_compact", "wikihop_compact"):
        words = suite(name).env_class.vocabulary
        assert all(len(tokenizer.encode(word)) == 1 for word in words), "a word is a token"
    assert warm("wikihop_compact") == other, "found in the cache"
    with pytest.raises(UnknownName, match="unknown suite 'wikihop_compac'"):
        warm("wikihop_compac")


def test_suites_are_shown_by_share(tmp_path: Path) -> None:
    suites = [suite("reasoning_compact"), suite("wikihop_compact")]
    words = [word for each in suites for word in each.env_class.vocabulary]
    model = make_tiny(tmp_path / "m", vocabulary=words, seed=0, hidden=32, layers=1)

    def shown(*shares: float) -> Counter[str]:
        forest = demonstrate(suites, WarmConfig(demos=20, shares=shares), model)
        return Counter(tree.task.suite for tree in forest.trees)

    assert shown() == {"reasoning_compact": 10, "wikihop_compact": 10}
    assert shown(3.0, 1.0) == {"reasoning_compact": 15, "wikihop_compact": 5}
    with pytest.raises(BadConfig, match="one number a suite shown; got 1 for 2 suites"):
        shown(3.0)


def test_a_warm_start_that_diverges_is_told_and_not_kept(tmp_path: Path) -> None:
    told = Listening()
    config = WarmConfig(hidden=32, layers=1, demos=20, steps=10, batch_tokens=512, lr=1e30)
    with pytest.raises(BadConfig, match=r"the warm start diverged, .* lower warmstart\.lr"):
        warm_tiny([suite("guess")], config, cache=tmp_path, note=told.note, progress=told.warming)
    assert [entry.name for entry in tmp_path.rglob("config.json")] == []
