"""Runs against each other, task by task: what differs, how sure that is, and what it would take.

Every run is compared with the first, suite by suite and over all; p-values are corrected over suites and runs
together. Leaves out runs that were not evaluations of the same tasks: those are refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.core.task import Task
from trace_gym.core.tree import Forest
from trace_gym.evaluate.report import outcomes_of
from trace_gym.statistics import Difference, difficulty, holm, paired
from trace_gym.store import Store

SURE = 0.05
CLASSES = ("never solved", "hard", "middle", "easy", "always solved")
ATTEMPTS = 8
"""Of fewer attempts of two runs at a task its class would say little but whether they differed on it."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation's outcomes: `name` for people, the tasks it played and their outcomes, by key."""

    name: str
    tasks: Mapping[str, Task]
    outcomes: Mapping[str, Sequence[bool]]

    @classmethod
    def of(cls, name: str, forest: Forest) -> Evaluated:
        """What a forest holds."""
        tasks = {tree.task.key: tree.task for tree in forest.trees}
        return cls(name, tasks, outcomes_of(forest.episodes()))

    def share(self, key: str) -> float:
        """The share of attempts that solved a task."""
        return sum(self.outcomes[key]) / len(self.outcomes[key])


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A task that the two runs solve differently often."""

    task: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run `second` against run `first` on `suite` ("" for all): the paired difference, its p-value corrected
    for all comparisons that were made, the difference by class of difficulty (empty where tasks had fewer
    than ATTEMPTS attempts, the median one), the tasks that differ most first. `alone` counts tasks with an
    outcome in one of the runs only."""

    first: str
    second: str
    suite: str
    means: tuple[float, float]
    difference: Difference
    corrected: float | None
    by_difficulty: Mapping[str, Difference]
    disagree: tuple[Disagreement, ...]
    alone: tuple[int, int]

    @property
    def verdict(self) -> str:
        """In words: better, worse, or not distinguishable and what it would take."""
        found = self.difference
        if self.corrected is not None and self.corrected <= SURE:
            return "better" if found.mean > 0 else "worse"
        if found.needed is None:
            seen = "no difference was seen" if not found.mean else "too few tasks to say"
            return f"not distinguishable: {seen}"
        if not found.needed:
            return "not distinguishable after correction; a repetition would tell"
        return f"not distinguishable, about {found.needed:,} more tasks needed"

    def json(self) -> dict[str, Any]:
        """The comparison as JSON data."""
        return {
            "first": self.first,
            "second": self.second,
            "suite": self.suite or None,
            "means": list(self.means),
            "difference": self.difference.json(),
            "corrected_p_value": self.corrected,
            "verdict": self.verdict,
            "by_difficulty": {name: found.json() for name, found in self.by_difficulty.items()},
            "disagree": [
                {"task": each.task, "first": each.first, "second": each.second} for each in self.disagree
            ],
            "only_in_first": self.alone[0],
            "only_in_second": self.alone[1],
        }


def compare(runs: Sequence[Evaluated]) -> list[Comparison]:
    """Every run after the first against it: over all tasks first, then suite by suite if there are several.

    Raises BadConfig for fewer than two runs, runs without a shared task, or tasks that only share their name.
    """
    if len(runs) < 2:
        raise BadConfig("a comparison needs at least two evaluations")
    first, *others = runs
    found = [each for other in others for each in _compared(first, other)]
    told = {n: p for n, each in enumerate(found) if (p := each.difference.p_value) is not None}
    corrected = dict(zip(told, holm(list(told.values())), strict=True))
    return [replace(each, corrected=corrected.get(number)) for number, each in enumerate(found)]


def _compared(first: Evaluated, second: Evaluated) -> list[Comparison]:
    shared = [key for key in first.outcomes if key in second.outcomes]
    if not shared:
        raise BadConfig(f"{first.name} and {second.name} have no task with an outcome in common")
    for key in shared:
        if _content(first.tasks[key]) != _content(second.tasks[key]):
            raise BadConfig(f"{key} is not the same task in {first.name} and in {second.name}")
    suites = sorted({first.tasks[key].suite for key in shared})
    scopes = ["", *suites] if len(suites) > 1 else suites
    return [_scoped(first, second, shared, suite) for suite in scopes]


def _scoped(first: Evaluated, second: Evaluated, shared: Sequence[str], suite: str) -> Comparison:
    """One comparison; its p-value is yet to be corrected."""
    keys = [key for key in shared if suite in ("", first.tasks[key].suite)]
    shares = {key: (first.share(key), second.share(key)) for key in keys}
    differences = {key: b - a for key, (a, b) in shares.items()}
    families = {key: f"{first.tasks[key].suite}/{first.tasks[key].family}" for key in keys}
    classes: dict[str, dict[str, float]] = defaultdict(dict)
    if median(len(first.outcomes[key]) + len(second.outcomes[key]) for key in keys) >= ATTEMPTS:
        for key, pair in shares.items():
            classes[difficulty(sum(pair) / 2)][key] = differences[key]
    order = sorted((key for key in keys if differences[key]), key=lambda key: (-abs(differences[key]), key))
    alone = [
        sum(suite in ("", run.tasks[key].suite) for key in set(run.outcomes) - set(shared))
        for run in (first, second)
    ]
    return Comparison(
        first=first.name,
        second=second.name,
        suite=suite,
        means=(
            sum(a for a, _ in shares.values()) / len(keys),
            sum(b for _, b in shares.values()) / len(keys),
        ),
        difference=paired(differences, families),
        corrected=None,
        by_difficulty={name: paired(classes[name], families) for name in CLASSES if name in classes},
        disagree=tuple(Disagreement(key, *shares[key]) for key in order),
        alone=(alone[0], alone[1]),
    )


def _content(task: Task) -> tuple[Any, ...]:
    """What makes a task the same: everything but the limits it was played under."""
    return (task.split, task.family, task.seed, task.subset, dict(task.payload))


def evaluation_folder(folder: Path) -> Path:
    """The evaluation that a folder stands for: itself, or the newest evaluation of a training run. Raises
    RunFolderError."""
    with Store.open(folder, read_only=True) as store:
        kind = store.kind
    if kind == "eval":
        return folder
    inner = sorted((folder / "eval").glob("step-*")) if kind == "train" else []
    if not inner:
        raise RunFolderError(f"{folder} holds a run of kind {kind!r} without an evaluation to compare")
    return inner[-1]


def read_evaluated(folder: Path) -> Evaluated:
    """The outcomes of the evaluation in a run folder. Raises RunFolderError."""
    place = evaluation_folder(folder)
    with Store.open(place, read_only=True) as store:
        if store.config.get("adaptive"):
            raise RunFolderError(
                f"{place} was evaluated adaptively: how often a task was played depended on its outcomes, so "
                "it cannot be compared task by task; compare its interval, or evaluate without --adaptive"
            )
        return Evaluated.of(str(place), store.forest(0))
