"""The `reasoning` suite: questions made without end, answered with the help of Python or of thought alone.

Leaves out where questions come from (`generators.py`) and which are for training (`splits.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import RewardRule
from trace_gym.environment.fork import Step
from trace_gym.environment.sandbox import Kind
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tools import ToolError, tool
from trace_gym_envs.reasoning.generators import RIGHT, Item, source
from trace_gym_envs.reasoning.splits import SUITE, reasoning_tasks
from trace_gym_envs.script import ScriptRun, run_script

RUN_TIMEOUT_S: Final = 5.0
MAX_PROGRAMS: Final = 8
SPEC: Final = SandboxSpec(
    limits=SandboxLimits(memory_mb=512, pids=32, disk_mb=32, output_bytes=256 << 10, timeout_s=RUN_TIMEOUT_S)
)
_SHOWN = 200


@dataclass(slots=True)
class Thought:
    """How far an episode has come: the scripts run, and the answer with its score once it was given."""

    runs: list[ScriptRun] = field(default_factory=list)
    answer: str | None = None
    score: float = 0.0


class Reasoning(SandboxEnv):
    """Questions of 85 generators of reasoning-gym 0.1.25, with a Python interpreter in a sandbox.

    Checks: `ran` (not required): the last script ended without an error; `answered` (not required); `right`
    (required): the generator's own verifier gives the answer full marks. Its partial marks are the check's
    score. `?tool=none` takes the interpreter away, and with it the need for a sandbox. `chance` is what the
    best answer that is always the same reaches, which is "0".
    """

    suite: ClassVar[str] = SUITE
    chance: ClassVar[float] = 0.024
    state: Thought

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        sandbox: Kind = "auto",
        tool: Literal["python", "none"] = "python",
    ) -> None:
        """`tool` "none": no interpreter, no sandbox. Raises SandboxUnavailable, BadConfig."""
        if tool not in ("python", "none"):
            raise BadConfig(f"tool must be 'python' or 'none', got {tool!r}")
        if tool == "none" and sandbox != "auto":
            raise BadConfig(f"reasoning with tool 'none' has no sandbox, so sandbox {sandbox!r} goes unused")
        box = None if tool == "none" else sandbox
        super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=box)
        self.tool = tool
        self._asked: tuple[Task, Item] | None = None
        self._programs = 0

    @classmethod
    def tasks(cls, split: Split, *, subset: str = "", seed: int = 0) -> Sequence[Task]:
        """Subsets are `in_family`, `out_of_family`, every category and every generator; each `seed` gives
        other tasks to train on and the same to test. Raises UnknownName."""
        return reasoning_tasks(split, subset=subset, seed=seed)

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """The provider's Python image; no network."""
        return SPEC

    def begin(self, task: Task) -> str:
        """The question."""
        self.state = Thought()
        return self.item.question.strip()

    def step(self, action: Any) -> Step:
        """One turn; see `AgenticEnv.step`."""
        self._programs = 0
        return super().step(action)

    def available(self) -> Sequence[ToolSpec]:
        """`python` only where there is a sandbox."""
        return [spec for spec in self.toolbox() if self.tool == "python" or spec.name != "python"]

    @tool
    def python(self, code: Annotated[str, Field(max_length=50_000, examples=["print(17 * 23 - 5)"])]) -> str:
        """Run a Python script and see what it prints. Nothing but files is kept from script to script.

        Args:
            code: The script. The value of a last line that is an expression is shown.
        """
        if self._programs >= MAX_PROGRAMS:
            raise ToolError(f"At most {MAX_PROGRAMS} programs run in one action.")
        self._programs += 1
        run = run_script(self.box, code, timeout_s=RUN_TIMEOUT_S)
        self.state.runs.append(run)
        return run.text

    @tool
    def answer(self, text: Annotated[str, Field(max_length=10_000)]) -> str:
        """Answer the question; this ends the episode.

        Args:
            text: The answer alone, in the form that the question asks for.
        """
        self.state.answer = text
        self.state.score = source(self.item.generator, self.item.stream).score(self.item, text)
        self.finish()
        return "The answer has been taken."

    def checks(self) -> Iterable[Verdict]:
        """Did the last script run, was an answer given, is it right?"""
        work = self.state
        if work.runs:
            evidence = f"script {len(work.runs)}: {work.runs[-1].text[:_SHOWN]}"
            yield Verdict.of("ran", work.runs[-1].ok, evidence=evidence, weight=0.1, required=False)
        else:
            yield Verdict("ran", Status.SKIPPED, 0.0, "no script has been run", weight=0.1, required=False)
        if work.answer is None:
            yield Verdict.of("answered", False, evidence="no answer yet", weight=0.1, required=False)
            yield Verdict("right", Status.SKIPPED, 0.0, "no answer yet")
            return
        said = f"answered {work.answer[:_SHOWN]!r}"
        yield Verdict.of("answered", bool(work.answer.strip()), evidence=said, weight=0.1, required=False)
        evidence = f"{said}, reference {self.item.answer[:_SHOWN]!r}; score {work.score:.3g}"
        yield Verdict.of("right", work.score >= RIGHT, evidence=evidence, score=work.score)

    def oracle(self) -> Action | None:
        """Give the reference answer."""
        if self.state.answer is not None:
            return None
        return Action.call("answer", text=self.item.answer)

    @property
    def item(self) -> Item:
        """The question of this episode; kept as long as the task is the same."""
        if self._asked is None or self._asked[0] is not self.task:
            given = self.task.payload
            found = source(str(given["generator"]), int(given["stream"])).item(int(given["place"]))
            self._asked = self.task, found
        return self._asked[1]
