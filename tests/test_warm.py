"""The warm start: whom it is shown may differ from what it shall play."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loop_files.runs import Listening
from trace_gym.core.errors import UnknownName
from trace_gym.environment.registry import suite
from trace_gym.model.load import load_model
from trace_gym.warm import WarmConfig, warm_tiny


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
