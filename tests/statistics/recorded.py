"""Real outcomes to try the formulas on: tasks of real evaluations with every attempt's outcome, turns and
sampled tokens. `recorded.json` was made from run folders of `trace-gym eval` (16 or 32 attempts a task)."""

import json
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True)
class Recorded:
    """One task: its family, the outcome of every attempt, turns and tokens of every attempt."""

    task: str
    family: str
    outcomes: tuple[bool, ...]
    turns: tuple[int, ...]
    tokens: tuple[int, ...]


def recorded(name: str) -> list[Recorded]:
    """The tasks of one of the evaluations in the file."""
    return [
        Recorded(task, family, tuple(mark == "1" for mark in marks), tuple(turns), tuple(tokens))
        for task, family, marks, turns, tokens in json.loads(_FILE.read_text())[name]
    ]


def attempts(name: str, most: int | None = None) -> tuple[dict[str, list[bool]], dict[str, str]]:
    """Outcomes by task (the first `most` attempts) and families by task."""
    rows = recorded(name)
    return {row.task: list(row.outcomes[:most]) for row in rows}, {row.task: row.family for row in rows}
