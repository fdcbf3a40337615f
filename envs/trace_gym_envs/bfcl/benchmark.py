"""One release of the benchmark, read and loaded once per process and never changed afterwards.

Leaves out episodes: the suite plays them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from trace_gym.core.action import ToolSpec
from trace_gym.core.task import Split, Task
from trace_gym_envs.bfcl.backends import Backends
from trace_gym_envs.bfcl.documentation import brief, read_specs
from trace_gym_envs.bfcl.entries import read_tasks
from trace_gym_envs.bfcl.wheel import load


class Benchmark:
    """Tools, services and tasks of the unpacked wheel at `root`.

    `specs` holds the tools of a service by class name, `brief_specs` the same without the introductions.
    """

    def __init__(self, root: Path) -> None:
        """Raises MalformedData, MissingExtra, EnvironmentFailed."""
        self.root = root
        self.specs = read_specs(root)
        self.brief_specs = {name: tuple(brief(spec) for spec in specs) for name, specs in self.specs.items()}
        owners = {spec.name: service for service, specs in self.specs.items() for spec in specs}
        self.backends = Backends(root, owners)

    def tools(self) -> tuple[ToolSpec, ...]:
        """All tools of all services."""
        return tuple(spec for specs in self.specs.values() for spec in specs)

    def tasks(self, split: Split, *, steps_per_turn: int) -> tuple[Task, ...]:
        """The tasks of a split, all subsets, in order. Raises MalformedData."""
        return tuple(task for task in _tasks(self.root, steps_per_turn) if task.split is split)


@cache
def benchmark(root: Path) -> Benchmark:
    """The benchmark at `root`."""
    return Benchmark(root)


@cache
def _tasks(root: Path, steps_per_turn: int) -> tuple[Task, ...]:
    more = load(root, "constants.default_prompts").DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC
    return read_tasks(root, more=more, steps_per_turn=steps_per_turn)
