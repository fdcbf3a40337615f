"""Which tasks a run trains on: those of its suites, or of them those that a file lists.

Leaves out how a step's candidates are dealt (`rollout/stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_gym.config import RunConfig, SuiteSection
from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite
from trace_gym.rollout.stream import Source, TaskStream


def stream_of(config: RunConfig, suites: Sequence[Suite]) -> TaskStream:
    """The candidates of a run, step by step. Raises BadConfig."""
    sources = [
        Source(each.name, chosen_tasks(each, section), section.share, section.floor)
        for each, section in zip(suites, config.suites, strict=True)
    ]
    return TaskStream(sources, config.run.seed)


def chosen_tasks(suite: Suite, section: SuiteSection) -> Sequence[Task]:
    """The training tasks of a suite, or those of them that the section's file lists. Raises BadConfig."""
    tasks, only = suite.tasks(Split.TRAIN), section.only
    if only is None:
        return tasks
    with boundary(BadConfig, OSError, UnicodeDecodeError, what=f"cannot read the task ids in {only}"):
        lines = Path(only).read_text(encoding="utf-8").splitlines()
    wanted = {line.strip() for line in lines if line.strip()}
    kept = [task for task in tasks if task.id in wanted]
    if len(kept) < len(wanted):
        missing = sorted(wanted - {task.id for task in kept})
        raise BadConfig(f"{suite.spec} has no training task {missing[0]!r}, which {only} lists")
    return kept
