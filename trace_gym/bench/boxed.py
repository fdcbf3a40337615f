"""A suite for drills: small, quick, with all its state in a sandbox's files, playable by everybody.

Its words are few, so that the tiny model can play it; its episodes are a few turns. Leaves out being hard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import RewardRule
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tools import tool

FILE = "/workspace/added"
_ADD = 'echo "$1" >> added; awk \'{s += $1} END {print s "."}\' added'
_PATIENCE_S = 900.0
"""For a step, and a third of it for a command in it: a drill is no test of a busy machine's speed, and what
times out is played otherwise than in the run it is compared with."""

_LIMITS = SandboxLimits(memory_mb=64, pids=16, disk_mb=16, timeout_s=_PATIENCE_S / 3)


class Boxed(SandboxEnv):
    """Add numbers in a file until they sum up to the goal, then say done."""

    suite: ClassVar[str] = "boxed"
    chance: ClassVar[float] = 0.5
    vocabulary: ClassVar[tuple[str, ...]] = (
        *("Reach", "More", "Done", "add", "done"),
        *map(str, range(1, 25)),
    )

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """A small one."""
        return SandboxSpec(limits=_LIMITS)

    def begin(self, task: Task) -> str:
        """Say the goal."""
        self.state = {"goal": int(task.payload["goal"])}
        return f"Reach {self.state['goal']}."

    @tool
    def add(self, number: int) -> str:
        """Add a number.

        Args:
            number: From 1 to 9.
        """
        return self._write(max(1, min(9, number)))

    @tool
    def done(self) -> str:
        """End it, once the goal is reached."""
        if self._total() < self.state["goal"]:
            return "More."
        self.finish()
        return "Done."

    def checks(self) -> Iterable[Verdict]:
        """Is the sum the goal?"""
        total = self._total()
        yield Verdict.of("reached", total == self.state["goal"], evidence=f"the sum is {total}")

    def oracle(self) -> Action | None:
        """What is missing, then done."""
        left = self.state["goal"] - self._total()
        return Action.call("add", number=min(9, left)) if left > 0 else Action.call("done")

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """Goals from 3 to 14; every fourth is held out."""
        own = [goal for goal in range(3, 15) if (goal % 4 == 0) == (split is Split.TEST)]
        return [
            Task(
                f"{goal}-{copy}",
                cls.suite,
                split,
                f"{goal}",
                payload={"goal": goal},
                limits=Limits(6, _PATIENCE_S),
            )
            for goal in own
            for copy in range(4)
        ]

    def _write(self, number: int) -> str:
        found = self.box.run(["sh", "-c", _ADD, "-", str(number)])
        return (found.stdout or found.stderr).decode("utf-8", "replace").strip()

    def _total(self) -> int:
        try:
            return sum(map(int, self.box.read(FILE).split()))
        except PathRefused:
            return 0


class Open(Boxed):
    """The same without a sandbox: the numbers are kept in memory."""

    suite: ClassVar[str] = "open"

    def __init__(
        self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN, render_mode: str | None = None
    ) -> None:
        super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=None)

    def begin(self, task: Task) -> str:
        """Say the goal."""
        said = super().begin(task)
        self.state["added"] = []
        return said

    def _write(self, number: int) -> str:
        self.state["added"].append(number)
        return f"{self._total()}."

    def _total(self) -> int:
        return sum(self.state["added"])
