"""The tasks of the terminal suite: ours, or those in a folder of the user's.

A task is a family of its own. Which split it belongs to is said in its `task.toml` (`[metadata.trace_gym]
split`), else decided by its name, the same way each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.task import Limits, Split, Task
from trace_gym_envs.terminal.harbor import HarborTask, read_task, read_tasks

BUNDLED: Final = Path(__file__).parent / "tasks"
TEST_SHARE: Final = 0.2
MAX_COMMANDS: Final = 8
COMMAND_S: Final = 10.0
_GRACE_S: Final = 60.0


def listed(
    suite: str, split: Split, *, path: str | None, test_share: float | None, subset: str, command_s: float
) -> Sequence[Task]:
    """The tasks of a split, the bundled ones where there is no path. A `{split}` in the path stands for
    `train` or `test` and takes each folder whole. Raises MalformedData, BadConfig, UnknownName."""
    if not 0 < command_s < math.inf:
        raise BadConfig(f"command_s must be positive and finite, got {command_s}")
    whole = path is not None and "{split}" in path
    settled = "the bundled tasks" if path is None else "paths with {split}" if whole else None
    share = _share(test_share, settled)
    folder = BUNDLED if path is None else Path(path.replace("{split}", split.value))
    found = [
        each for each in read_tasks(folder.expanduser().resolve()) if whole or side(each, share) is split
    ]
    if subset:
        known = sorted({each.category for each in found if each.category})
        found = [each for each in found if each.category == subset]
        if not found:
            raise unknown(f"{suite} {split} subset", subset, known)
    prefix = f"{split.value}/" if whole else ""
    return [_task(suite, split, each, prefix=prefix, command_s=command_s) for each in found]


def _share(wanted: float | None, settled: str | None) -> float:
    """The share of tasks for testing; `settled` names what has its splits already. Raises BadConfig."""
    if wanted is None:
        return TEST_SHARE
    if settled:
        raise BadConfig(f"test_share is for tasks that are yet to be divided; {settled} are already")
    if not 0 <= wanted <= 1:
        raise BadConfig(f"test_share must lie in [0, 1], got {wanted}")
    return wanted


def side(task: HarborTask, test_share: float) -> Split:
    """The split of a task."""
    if task.split is not None:
        return task.split
    drawn = int.from_bytes(blake2b(task.name.encode(), digest_size=4).digest(), "big") / 2**32
    return Split.TEST if drawn < test_share else Split.TRAIN


@cache
def task_at(folder: str) -> HarborTask:
    """The task of a folder, read once. Raises MalformedData, BadConfig."""
    return read_task(Path(folder))


def verify_s(task: HarborTask) -> float:
    """The longest that judging a task may take, in seconds."""
    return task.verifier_s + sum(hook.timeout_s for hook in task.collect)


def _task(suite: str, split: Split, found: HarborTask, *, prefix: str, command_s: float) -> Task:
    return Task(
        id=prefix + found.name,
        suite=suite,
        split=split,
        family=prefix + found.name,
        subset=found.category,
        payload={"folder": str(found.folder)},
        limits=Limits(found.max_turns, MAX_COMMANDS * command_s + verify_s(found) + _GRACE_S),
    )
