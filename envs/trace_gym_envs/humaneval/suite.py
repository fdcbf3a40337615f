"""The `humaneval` suite: write a function, try it out in a sandbox, submit it to the hidden check.

Leaves out how a candidate is graded (`grader.py`) and the data (`problems.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.sandbox import WORKSPACE, SandboxLimits, SandboxSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import RewardRule
from trace_gym.environment.fork import Step
from trace_gym.environment.sandbox import Kind
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tools import ToolError, tool
from trace_gym_envs.humaneval.candidate import encode
from trace_gym_envs.humaneval.grader import Answer, Decision, answers, decide
from trace_gym_envs.humaneval.problems import SUITE, Problem, problems, tasks
from trace_gym_envs.script import run_script

RUN_TIMEOUT_S: Final = 5.0
CHECK_TIMEOUT_S: Final = 10.0
MAX_PROGRAMS: Final = 8
SPEC: Final = SandboxSpec(
    limits=SandboxLimits(
        memory_mb=512, pids=32, disk_mb=32, output_bytes=256 << 10, timeout_s=CHECK_TIMEOUT_S
    )
)


@dataclass(slots=True)
class Work:
    """How far an episode has come: the solution as last written, what it answered to the public examples,
    and what the hidden check said once it was submitted."""

    code: str | None = None
    answers: tuple[Answer, ...] = ()
    decision: Decision | None = None


class HumanEval(SandboxEnv):
    """Write a Python function from its docstring. 123 problems to train on, 41 to test.

    Checks: `example_1` ... (not required): the public examples, judged whenever a solution is written;
    `hidden` (required): the problem's own check, judged on `submit`. Both are judged in a fresh sandbox on
    nothing but the solution as written; files that programs have left behind do not count.

    At most eight programs run in one action (writing and submitting run one each).
    """

    suite: ClassVar[str] = SUITE
    chance: ClassVar[float] = 0.0
    state: Work

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        sandbox: Kind = "auto",
    ) -> None:
        """Raises SandboxUnavailable, DatasetUnavailable, MalformedData."""
        super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=sandbox)
        self._problems = problems()
        self._programs = 0

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """The problems of a split."""
        return tasks(split)

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """The body of the reference solution."""
        return [problems()[str(task.payload["problem"])].reference.strip()]

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """The provider's Python image; no network."""
        return SPEC

    def begin(self, task: Task) -> str:
        """The prompt of the problem."""
        self.state = Work()
        return (
            "Complete this Python function: write it whole, try it out, then submit it. "
            f"What stands above it here stays above it.\n\n{self.problem.prompt.strip()}"
        )

    def step(self, action: Any) -> Step:
        """One turn; see `AgenticEnv.step`."""
        self._programs = 0
        return super().step(action)

    @tool
    def write(self, code: Annotated[str, Field(max_length=50_000)]) -> str:
        """Write the solution, in place of the one before; shows how the public examples come out.

        Args:
            code: Python code that defines the function, whole.
        """
        self._count()
        self.box.write(f"{WORKSPACE}/solution.py", f"{self.problem.header}{code}".encode("utf-8", "replace"))
        self.state.code = code
        calls = [encode(list(example.arguments)) for example in self.problem.examples]
        with closing(self.fresh(SPEC)) as box:
            self.state.answers = answers(box, self.problem, code, calls, timeout_s=RUN_TIMEOUT_S)
        lines = [
            f"{'ok' if right else 'WRONG'}: {evidence}"
            for right, evidence in map(self._example, range(len(calls)))
        ]
        return "\n".join(["The solution is written.", *lines])

    @tool
    def run(self, code: Annotated[str, Field(max_length=50_000)]) -> str:
        """Run a Python script and see what it prints; the functions of the solution are at hand in it.

        Args:
            code: The script. The value of a last line that is an expression is shown.
        """
        self._count()
        modules = () if self.state.code is None else ("solution",)
        return run_script(self.box, code, timeout_s=RUN_TIMEOUT_S, modules=modules).text

    @tool
    def submit(self) -> str:
        """Submit the solution as last written; this ends the episode."""
        if self.state.code is None:
            raise ToolError("There is no solution yet: write it first.")
        self._count()
        with closing(self.fresh(SPEC)) as box:
            self.state.decision = decide(box, self.problem, self.state.code, timeout_s=CHECK_TIMEOUT_S)
        self.finish()
        return "The solution has been submitted."

    def checks(self) -> Iterable[Verdict]:
        """The public examples, and the hidden check."""
        for place, example in enumerate(self.problem.examples):
            name = f"example_{place + 1}"
            if self.state.code is None:
                evidence = f"no solution yet for {example.told(self.problem.name)}"
                yield Verdict(name, Status.SKIPPED, 0.0, evidence, weight=0.2, required=False)
            else:
                right, evidence = self._example(place)
                yield Verdict.of(name, right, evidence=evidence, weight=0.2, required=False)
        decision = self.state.decision
        if decision is None:
            yield Verdict("hidden", Status.SKIPPED, 0.0, "nothing was submitted yet")
        else:
            yield Verdict.of("hidden", decision.passed, evidence=decision.evidence)

    def oracle(self) -> Action | None:
        """Write the reference solution, then submit it."""
        if self.state.decision is not None:
            return None
        if self.state.code == self.problem.solution:
            return Action.call("submit")
        return Action.call("write", code=self.problem.solution)

    @property
    def problem(self) -> Problem:
        """The problem of this episode."""
        return self._problems[str(self.task.payload["problem"])]

    def _example(self, place: int) -> tuple[bool, str]:
        """Does a public example come out, and what was seen?"""
        example, answer = self.problem.examples[place], self.state.answers[place]
        right = answer.trouble is None and bool(answer.value == example.result)
        expected = "" if right else f", expected {example.result!r}"
        return right, f"{example.told(self.problem.name)} {answer.told}{expected}"

    def _count(self) -> None:
        """Take note of a program to run; refuses more than fit into the time of a step."""
        if self._programs >= MAX_PROGRAMS:
            raise ToolError(f"At most {MAX_PROGRAMS} programs run in one action.")
        self._programs += 1
