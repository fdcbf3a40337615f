"""No table is cut: a pipe has no width, and in a narrow terminal cells are broken."""

import pytest

from tests.cli.conftest import Run

WORDS = (
    "doctor",
    "list",
    "split wikihop_compact --read 20",
    "check guess --forks 2 --fuzz 5",
    "bench env guess --count 2 --episodes 2 --repeats 1",
    "bench evaluation --runs 2",
)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("words", WORDS)
def test_no_table_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch, words: str, terminal: bool) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    told = run(*words.split())
    assert told.code == 0, told.err
    assert len(told.out.splitlines()) > 3
    assert "…" not in told.out
