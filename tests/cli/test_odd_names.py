"""Names of paths, checks, subsets and tasks hold brackets and colons: they are shown as they are."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

SUITE = '''
"""Names that a terminal might take for markup."""

from trace_gym import Action, AgenticEnv, Task, Verdict, tool


class Odd(AgenticEnv):
    """Say yes."""

    suite = "odd"
    chance = 1.0

    def begin(self, task):
        """Nothing is said."""
        self.state = [False]
        return "Say it."

    @tool
    def yes(self) -> str:
        """Say yes."""
        self.state[0] = True
        self.finish()
        return "Thanks."

    def checks(self):
        """Was it said?"""
        yield Verdict.of("list[int] [/i]", self.state[0], evidence="[/x]")

    def oracle(self):
        """Say it."""
        return None if self.state[0] else Action.call("yes")

    @classmethod
    def tasks(cls, split):
        """Some of two subsets."""
        kinds = ["[/b]", "key:key:"]
        return [Task(f"{split}{i} [/t]", "odd", split, f"{split} {i}", subset=kinds[i % 2]) for i in range(4)]
'''


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """The suite by its file, in a folder whose name has a bracket."""
    (tmp_path / "[/dir]").mkdir(parents=True)
    (tmp_path / "[/dir]" / "odd.py").write_text(SUITE)
    return "[/dir]/odd.py:Odd"


def test_brackets_in_names_are_shown_as_they_are(run: Run, odd: str) -> None:
    for agent in ("oracle", "noop"):
        told = run("eval", odd, "--agent", agent, "--out", f"[/runs]/{agent}")
        assert told.code == 0, told.err
        for text in (f"{agent} on {odd} (test)", "odd:[/b]", "odd:key:key:", "odd.list[int] [/i]"):
            assert text in told.out, text
    assert "[/runs]/noop: eval" in run("show", "[/runs]/noop").out
    compared = run("compare", "[/runs]/noop", "[/runs]/oracle").out
    for text in ("compared with [/runs]/noop", "[/runs]/oracle on odd", "odd/test0 [/t]"):
        assert text in compared, text
    assert odd in run("split", odd, "--read", "4").out
    assert odd in run("check", odd, "--forks", "2", "--fuzz", "5").out
    assert "list[int] [/i]: [/x]" in run("play", odd, "--agent", "oracle").err
