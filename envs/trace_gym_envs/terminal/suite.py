"""The terminal suite: a task in words, a shell to work on it, and tests that look at what came of it.

Leaves out reading tasks (`harbor`, `listing`), the shell (`shell`) and judging (`verifier`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.sandbox import Sandbox, SandboxLimits, SandboxSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import RewardRule
from trace_gym.environment.fork import Step
from trace_gym.environment.sandbox import Kind
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tools import ToolError, tool
from trace_gym_envs.parcel import send
from trace_gym_envs.terminal.harbor import HarborTask
from trace_gym_envs.terminal.listing import COMMAND_S, MAX_COMMANDS, listed, task_at
from trace_gym_envs.terminal.shell import Shell, run
from trace_gym_envs.terminal.verifier import LOGS, TESTS, Reward, verify

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Session:
    """An episode as far as it has come. `reward` is what the tests last gave, `names` the parts of it that
    are checked; `stale`: a command has run since. `played` counts the commands of the solution that came in
    order, `after` is the shell after the last of them. `commands` counts those of this action."""

    shell: Shell
    after: Shell
    reward: Reward | None = None
    names: tuple[str, ...] = ()
    stale: bool = True
    turns: int = 0
    commands: int = 0
    played: int = 0
    ended: bool = False
    opening: Shell = field(default_factory=lambda: Shell("/"))


class Terminal(SandboxEnv):
    """Do what the instruction says, with a shell; the task's own tests judge the files that are left.

    Checks: `reward` (required) passes where the tests give 1; tasks that say so are judged after every step,
    and each further reward that their tests give is a check of its own. Others are judged when the episode
    ends.
    """

    suite: ClassVar[str] = "terminal"
    chance: ClassVar[float] = 0.001
    state: Session

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        sandbox: Kind = "auto",
        path: str | None = None,
        test_share: float | None = None,
        command_s: float = COMMAND_S,
    ) -> None:
        """`path`: a folder of task folders, or one task folder, in Harbor's format; `test_share`: the share
        of them that is for testing, by default a fifth; `command_s`: how long a command may take.

        Raises SandboxUnavailable, MalformedData, BadConfig.
        """
        if not 0 < command_s < math.inf:
            raise BadConfig(f"command_s must be positive and finite, got {command_s}")
        super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=sandbox)
        self.command_s = command_s
        self.pool = lambda: self.tasks(self.split, path=path, test_share=test_share, command_s=command_s)
        self._verifier: Sandbox | None = None
        self._openings: dict[str, Reward] = {}

    @classmethod
    def tasks(
        cls,
        split: Split,
        *,
        path: str | None = None,
        test_share: float | None = None,
        command_s: float = COMMAND_S,
        subset: str = "",
    ) -> Sequence[Task]:
        """The bundled tasks, else those at `path`; subsets are categories. Raises MalformedData, BadConfig,
        UnknownName."""
        return listed(cls.suite, split, path=path, test_share=test_share, subset=subset, command_s=command_s)

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """The task's own image, or the default one for a plain task; limits as its `task.toml` says.

        Raises BadConfig for a task with an image of its own where there is no Docker.
        """
        found = task_at(task.payload["folder"])
        kind = self._provider.name if self._provider is not None else "none"
        if not found.plain and kind != "docker":
            raise BadConfig(
                f"task {found.name!r} builds an image from its environment/Dockerfile, which needs Docker; "
                f"this sandbox is {kind}"
            )
        longest = max([self.command_s, found.verifier_s, *(hook.timeout_s for hook in found.collect)])
        usual = SandboxLimits()
        return SandboxSpec(
            image="" if found.plain else str(found.folder / "environment"),
            writable=(found.recipe.workdir, "/tmp", TESTS, LOGS),
            limits=SandboxLimits(
                memory_mb=found.memory_mb or usual.memory_mb,
                cpus=float(found.cpus or usual.cpus),
                disk_mb=found.storage_mb or usual.disk_mb,
                timeout_s=longest,
            ),
        )

    def begin(self, task: Task) -> str:
        """The instruction."""
        found = self._found
        if found.plain:
            send(self.box, found.recipe.workdir, found.files())
        env = {"PATH": _PATH, "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "TZ": "UTC"}
        shell = Shell(found.recipe.workdir, {**env, **found.recipe.env})
        self.state = Session(deepcopy(shell), deepcopy(shell), opening=shell)
        if found.step_checks:
            if task.id not in self._openings:  # the same each time, like the files
                self._openings[task.id] = self._judged()
            self.state.reward, self.state.stale = self._openings[task.id], False
            self.state.names = tuple(self.state.reward.parts)
        return f"{found.instruction}\n\nThe shell begins in {found.recipe.workdir}. Call done at the end."

    def step(self, action: Any) -> Step:
        """As in AgenticEnv; counts turns, and the commands of the action."""
        if self._box is not None:
            self.state.turns += 1
            self.state.commands = 0
        return super().step(action)

    @tool
    def bash(self, command: str) -> str:
        """Run a command in the shell; its output comes back with its exit code. The current folder and
        exported variables last, processes do not.

        Args:
            command: What to run, in the language of bash; may have several lines.
        """
        state = self.state
        state.commands += 1
        if state.commands > MAX_COMMANDS:
            raise ToolError(f"An action runs at most {MAX_COMMANDS} commands.")
        home = self._found.recipe.workdir
        said = run(self.box, state.shell, command, home=home, timeout_s=self.command_s)
        state.stale = True
        solution = self._found.solution()
        if solution and command == solution[state.played % len(solution)]:
            state.played += 1
            state.after = deepcopy(state.shell)
        return said

    @tool
    def done(self) -> str:
        """Say that the task is done; this ends the episode."""
        self.state.ended = True
        self.finish()
        return "The work is handed in."

    def checks(self) -> Iterable[Verdict]:
        """What the tests gave, and each of their parts where the task is judged after every step."""
        state, found = self.state, self._found
        last = state.ended or state.turns >= self.task.limits.max_turns
        if state.stale and (found.step_checks or last):
            state.reward, state.stale = self._judged(), False
        if state.reward is None:
            yield Verdict("reward", Status.SKIPPED, 0.0, "judged when the episode ends")
            return
        reward = state.reward
        yield Verdict.of("reward", reward.value >= 1.0, evidence=reward.why(), score=reward.value)
        for name in state.names:
            score = reward.parts.get(name, 0.0)
            evidence = reward.why(name) if name in reward.parts else "the tests did not say"
            weight = 1 / len(state.names)
            yield Verdict.of(
                name, score >= 1.0, evidence=evidence, score=score, weight=weight, required=False
            )

    def oracle(self) -> Action | None:
        """The next command of the solution after those that came in order, whatever else was done between
        them; before it, a command that brings the shell back to where the last of them left it. When all
        have come and the tests still fail, the solution begins anew; when they pass, or cannot be asked,
        done."""
        state, solution = self.state, self._found.solution()
        if state.ended or not solution:
            return None
        at = state.played % len(solution)
        passed = state.reward is not None and state.reward.value >= 1.0
        if state.played and at == 0 and (passed or not self._found.step_checks):
            return Action.call("done")
        wanted = state.after if at else state.opening
        return Action.call("bash", command=state.shell.way_to(wanted) or solution[at])

    def close(self) -> None:
        """Close both sandboxes."""
        if self._verifier is not None:
            self._verifier.close()
            self._verifier = None
        super().close()

    @property
    def _found(self) -> HarborTask:
        return task_at(self.task.payload["folder"])

    def _judged(self) -> Reward:
        """What the tests say of a copy of the files."""
        spec = self.box.spec
        if self._verifier is not None and self._verifier.spec != spec:
            self._verifier.close()
            self._verifier = None
        if self._verifier is None:
            self._verifier = self.fresh(spec)
        files = self.box.snapshot()
        try:
            return verify(self._verifier, self._found, files)
        finally:
            files.close()
