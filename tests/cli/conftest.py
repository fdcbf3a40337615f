"""The command line in this process: words in; text, exit code and nothing else out."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trace_gym.cli.main import main


@dataclass(frozen=True)
class Ended:
    """What a command said and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON object that standard output holds, and nothing beside it."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def sentence(self, code: int) -> str:
        """The one line that tells of a failure, without its `Error: `."""
        assert (self.code, self.out) == (code, "")
        *before, last = self.err.strip().splitlines()
        assert last.startswith("Error: ")
        assert not any(line.startswith(("Error", "Traceback")) for line in before)
        return last.removeprefix("Error: ")


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Runs `trace-gym WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")

    def called(*words: str | Path, given: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["trace-gym", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    yield called
    monkeypatch.undo()
