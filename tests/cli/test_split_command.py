"""`trace-gym split` as people type it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Run: TypeAlias = Callable[..., Any]
LEAKY = f"{Path(__file__).parents[1] / 'environment' / 'leaky.py'}:Leaky"


def test_a_split_is_shown_and_audited(run: Run) -> None:
    told = run("split", "guess", "--json").json()
    assert told["sound"] is True
    assert told["splits"]["test"] == {"tasks": 288, "families": 288}
    assert told["sealed"] is None
    table = run("split", "guess")
    assert (table.code, "sound (400 train and 288 test" in table.out) == (0, True)


def test_a_leak_is_a_failure(run: Run) -> None:
    ended = run("split", f"{LEAKY}?leak=gold")
    assert ended.code == 1
    assert "NOT SOUND" in ended.out
    assert "leaky/test-4" in ended.out


def test_a_sealed_split_is_used_by_its_file(run: Run) -> None:
    told = run("split", "guess", "--seal", "mine.json", "--test", "0.5", "--json").json()
    assert told["splits"] == {
        "train": {"tasks": 576, "families": 576},
        "test": {"tasks": 576, "families": 576},
    }
    again = run("split", "guess?sealed=mine.json", "--json").json()
    assert (again["sealed"], again["sound"]) == (told["sealed"], True)
    report = run("eval", "guess?sealed=mine.json", "--agent", "oracle", "--json").json()
    assert report["tasks"] == 576
    assert "already" in run("split", "guess?sealed=mine.json", "--seal", "other.json").sentence(2)
    changed = json.loads(Path("mine.json").read_text())
    changed["of"] = "all"
    Path("mine.json").write_text(json.dumps(changed))
    assert "changed after it was sealed" in run("split", "guess?sealed=mine.json").sentence(2)
