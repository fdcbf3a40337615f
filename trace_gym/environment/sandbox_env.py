"""SandboxEnv: environments whose episodes have files and run programs, in a sandbox of their own.

Leaves out what a sandbox is made of (see `sandbox.py`) and grading in a second, fresh one: a suite opens that
with `provider(self.sandbox).open(...)`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import FileSnapshot, Sandbox, SandboxSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.fork import Step, Strategy
from trace_gym.environment.sandbox import Kind, provider


class SandboxEnv(AgenticEnv):
    """An environment with a sandbox. Invariant: everything that changes during an episode lives in `state`,
    in `np_random` and in the sandbox's writable folders.

    The sandbox is opened with the first episode, reset for each further one, and closed with the environment.
    """

    fork: ClassVar[Strategy] = "sandbox"

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        sandbox: Kind | None = "auto",
    ) -> None:
        """`sandbox`: which kind to use; None: this environment does without, and its forks are copies.

        Raises SandboxUnavailable.
        """
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self.sandbox: Kind | None = sandbox
        self._provider = None if sandbox is None else provider(sandbox)
        self._box: Sandbox | None = None

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """What the sandbox of a task is opened with; override for images, limits or other folders."""
        return SandboxSpec()

    @property
    def box(self) -> Sandbox:
        """The episode's sandbox. Raises SandboxFailed before the first episode and after `close`."""
        if self._box is None:
            raise SandboxFailed("there is no sandbox: it is opened by reset() and closed by close()")
        return self._box

    def fresh(self, spec: SandboxSpec) -> Sandbox:
        """A second sandbox that has seen nothing of the episode, for grading; its owner closes it."""
        return self._opened(spec)

    def freeze(self) -> FileSnapshot | None:
        """The sandbox's files now; None where there is no sandbox."""
        return None if self._provider is None else self.box.snapshot()

    def thaw(self, task: Task, files: FileSnapshot) -> None:
        """Bring the files of a snapshot back into this environment's sandbox."""
        self._stand(task).restore(files)

    def step(self, action: Any) -> Step:
        """Take one turn; see `AgenticEnv.step`."""
        taken = super().step(action)
        if not (taken[2] or taken[3]):
            self._settle()
        return taken

    def close(self) -> None:
        """Close the sandbox."""
        if self._box is not None:
            self._box.close()
            self._box = None
        super().close()

    def _open(self, task: Task) -> tuple[str, dict[str, Any]]:
        if self._provider is not None:
            self._stand(task).reset()
        opened = super()._open(task)
        self._settle()
        return opened

    def _settle(self) -> None:
        """End a turn in the sandbox, so that a fork sees the files as the episode itself does."""
        if self._provider is None:
            return
        try:
            self.box.settle()
        except BaseException:
            self._progress = None
            raise

    def _stand(self, task: Task) -> Sandbox:
        """The sandbox for a task: the one at hand where it fits, else a newly opened one."""
        wanted = self.sandbox_spec(task)
        if self._box is not None and self._box.spec != wanted:
            self._box.close()
            self._box = None
        if self._box is None:
            self._box = self._opened(wanted)
        return self._box

    def _opened(self, spec: SandboxSpec) -> Sandbox:
        if self._provider is None:
            raise ValueError("this environment was made to do without a sandbox")
        return self._provider.open(spec)
