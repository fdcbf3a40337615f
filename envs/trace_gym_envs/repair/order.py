"""What a repair task is made of: its mutant, the lines that mend it, its state, verdicts and tools in words.

Leaves out the episode, which is the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trace_gym.core.action import ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.task import Limits, Split, Task
from trace_gym_envs.parcel import Found
from trace_gym_envs.repair.faults import Mutant, mutants
from trace_gym_envs.repair.grader import Outcome
from trace_gym_envs.repair.projects import project

SUITE = "repair"
MAX_TURNS = 30


@dataclass(slots=True)
class Bench:
    """An episode as far as it has come: the files now, how their sources were judged, the test runs and the
    files read so far, the test runs of this action, and whether `done` was called."""

    found: Found
    outcomes: Mapping[str, Outcome]
    read: tuple[str, ...] = ()
    tested: bool = False
    runs: int = 0
    ended: bool = False


def task_of(split: Split, name: str, number: int) -> Task:
    """The task of a mutant of a package."""
    mutant = mutants(name)[number]
    return Task(
        id=mutant.id,
        suite=SUITE,
        split=split,
        family=name,
        subset=name,
        payload=mutant.json(),
        limits=Limits(max_turns=MAX_TURNS, step_timeout_s=300.0),
    )


def mutant_of(task: Task) -> Mutant:
    """The mutant of a task."""
    return Mutant.of(task.family, task.payload)


def fixed_line(mutant: Mutant) -> str:
    """The line of the sound package at which the fault begins."""
    sound = project(mutant.project).sources[mutant.path]
    start = sound.rfind("\n", 0, mutant.edit.start) + 1
    end = sound.find("\n", mutant.edit.start)
    return sound[start:end].strip()


def snippets(mutant: Mutant) -> tuple[str, str]:
    """Whole lines around the fault that occur once in the faulty file, and the sound lines for them."""
    sound, faulty = project(mutant.project).sources[mutant.path], mutant.source
    start = sound.rfind("\n", 0, mutant.edit.start) + 1
    tail = sound.find("\n", mutant.edit.end)
    tail = len(sound) if tail < 0 else tail
    grown = len(faulty) - len(sound)
    while faulty.count(faulty[start : tail + grown]) > 1 and start > 0:
        start = sound.rfind("\n", 0, start - 1) + 1
    return faulty[start : tail + grown], sound[start:tail]


def all_pass(name: str, outcomes: Sequence[Outcome], *, weight: float) -> Verdict:
    """That all these tests pass, with the first that does not as evidence."""
    lost = [outcome for outcome in outcomes if not outcome.passed]
    evidence = f"{len(outcomes) - len(lost)} of {len(outcomes)} tests pass"
    if lost:
        evidence += f"; {lost[0].test}: {lost[0].why}"
    return Verdict.of(name, not lost, evidence=evidence, score=1 - len(lost) / len(outcomes), weight=weight)


def with_examples(spec: ToolSpec, paths: Sequence[str]) -> ToolSpec:
    """A tool whose paths have examples."""
    properties = spec.parameters["properties"]
    if "path" not in properties:
        return spec
    shown = {**properties, "path": {**properties["path"], "examples": list(paths)}}
    return replace(spec, parameters={**spec.parameters, "properties": shown})
