"""AgenticEnv: the one way to step a task. Authors write `begin`, `checks`, `tasks` and tools; runners call
`reset`, `step`, `snapshot` and `restore`.

Leaves out who chooses the actions, and what they cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar, Literal, TypeAlias

import gymnasium
from gymnasium.error import ResetNeeded

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Verdict, potential, success
from trace_gym.core.errors import EnvironmentFailed, PathRefused, boundary, unknown
from trace_gym.core.sandbox import FileSnapshot
from trace_gym.core.task import Split, Task
from trace_gym.environment.border import clean, string, verdicts
from trace_gym.environment.fork import Memory, Progress, Snapshot, Step, Strategy, copied, digest, repeat
from trace_gym.environment.spaces import ActionSpace, UnicodeText
from trace_gym.environment.toolbox import Toolbox
from trace_gym.environment.tools import Tool, ToolError, tools_of

RewardRule: TypeAlias = Literal["outcome", "shaped"]

MAX_CALLS = 64


class AgenticEnv(gymnasium.Env[str, Any], ABC):
    """A Gymnasium environment of tasks that are worked on with tools and judged by checks.

    Lifecycle: `reset` opens an episode, `step` takes turns until it is terminated or truncated. Invariant:
    everything that changes during an episode lives in `state` and in `np_random`, so that a copy of the two
    is the episode (`fork = "copy"`); a suite that cannot promise this declares `fork = "replay"`, one whose
    state includes files derives from `SandboxEnv`. A suite whose calls take about a millisecond and keep to
    no thread may declare itself `brief`: such environments share one thread, which spares waking many.

    `info` holds `task` (its key), `verdicts`, `tools` (names usable now), `turn`, `success` (None: not
    decided) and `digest`; it is deterministic and ==-comparable.

    Reward `outcome`: 1 when the episode ends with every required check passed, else 0. Reward `shaped` adds
    F = phi(s') - phi(s), phi the weighted score of the checks and 0 at the end of an episode (Ng et al. 1999,
    undiscounted), so that a whole episode sums to its outcome minus phi of its start and the optimum is kept.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    suite: ClassVar[str] = ""
    fork: ClassVar[Strategy] = "copy"
    chance: ClassVar[float] = 0.0
    brief: ClassVar[bool] = False
    vocabulary: ClassVar[tuple[str, ...]] = ()
    methods: ClassVar[Mapping[str, Tool]] = {}

    state: Any
    task: Task

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.methods = tools_of(cls)
        for name in cls.methods:
            if hasattr(AgenticEnv, name):
                raise ValueError(f"tool {cls.__name__}.{name} hides a method of AgenticEnv; rename it")

    def __init__(
        self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN, render_mode: str | None = None
    ) -> None:
        """`split` is where `reset` takes tasks from when it is given none (replace `pool` for others);
        `render_mode` is None or one of `metadata["render_modes"]`."""
        if not self.suite:
            raise ValueError(f'{type(self).__name__} must name its suite: `suite = "..."`')
        if reward not in ("outcome", "shaped"):
            raise ValueError(f"reward must be 'outcome' or 'shaped', got {reward!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be in {self.metadata['render_modes']}, got {render_mode!r}")
        self.reward = reward
        self.split = Split(split)
        self.render_mode = render_mode
        self.pool: Callable[[], Sequence[Task]] = cache(partial(self.tasks, self.split))
        self.observation_space = UnicodeText()
        self.action_space = ActionSpace(self.toolbox())
        self._tools_now = Toolbox(())
        self._progress: Progress | None = None
        self._finishing = False

    # What an author writes.

    @abstractmethod
    def begin(self, task: Task) -> str:
        """Set `self.state` for the task and return the first observation."""

    @abstractmethod
    def checks(self) -> Iterable[Verdict]:
        """What holds now, with evidence; asked after `begin` and after every step. Names never change."""

    @classmethod
    @abstractmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """The tasks of a split; may be lazy. May take further keyword options."""

    def oracle(self) -> Action | None:
        """The next action of a reference solution from the current state; None: none, or nothing left."""
        return None

    def reply(self, message: str) -> str:
        """Answer a message action. By default a message ends nothing."""
        return f"A message ends nothing here; call one of the tools: {', '.join(self._toolbox().names)}."

    def available(self) -> Sequence[ToolSpec]:
        """The tools usable now. Override together with `call` for tools that are not methods."""
        return self.toolbox()

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run one call whose arguments have been validated. Raises ToolError to refuse it."""
        values = self.methods[name].convert(arguments)
        result: str = getattr(type(self), name)(self, **values)
        return result

    @classmethod
    def toolbox(cls) -> Sequence[ToolSpec]:
        """Every tool that any task of the suite may offer: the action space. Default: the @tool methods."""
        return tuple(method.spec for method in cls.methods.values())

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """Texts, such as the gold answer, that the first observation must not hold. Default: none."""
        return ()

    def fingerprint(self) -> str:
        """What a replay must repeat besides what a turn shows, such as a digest of the whole page."""
        return ""

    def freeze(self) -> FileSnapshot | None:
        """The files that belong to the episode now; None where `state` is all there is."""
        return None

    def thaw(self, task: Task, files: FileSnapshot) -> None:
        """Bring the files of an episode of `task` back; for suites whose `freeze` returns some."""
        raise ValueError(f"{type(self).__name__} keeps no files, so none can be restored")

    def finish(self) -> None:
        """End the episode after this step; for tools and `reply`."""
        self._finishing = True

    # What a runner calls.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode of `options["task"]`, else of a task drawn with the seed from this split.

        Returns the first observation and its info. Raises ValueError, EnvironmentFailed.
        """
        self._progress = None
        super().reset(seed=seed)
        for key in options or {}:
            if key != "task":
                raise unknown("reset option", str(key), ["task"])
        return self._open(self._chosen((options or {}).get("task")))

    def step(self, action: Any) -> Step:
        """Take one turn: anything that `Action.parse` takes. A bad action is answered, never raised.

        Returns observation, reward, terminated, truncated, info. Raises ResetNeeded (the episode is over or
        was never begun) and EnvironmentFailed (the environment itself broke; the episode is lost).
        """
        before = self._progress
        if before is None or before.done:
            state = "is over" if before else "has not begun or has failed"
            raise ResetNeeded(f"the episode {state}: call reset() before step()")
        parsed, task, turn = Action.parse(action), before.task, before.turn + 1
        self._progress = None
        with boundary(EnvironmentFailed, Exception, what=f"{task.key} broke in turn {turn}"):
            observation = self._act(parsed)
            found = verdicts(self.checks())
            tools, shown = self._toolbox().names, observation + self.fingerprint()
            terminated = self._finishing
            truncated = not terminated and turn >= task.limits.max_turns
            done = terminated or truncated
            worth = 0.0 if done else potential(found)
            shaping = worth - before.worth if self.reward == "shaped" else 0.0
            reward = float(done and success(found) is True) + shaping
            mark = digest(shown, found, reward=reward, terminated=terminated, truncated=truncated)
        digests, actions = (*before.digests, mark), (*before.actions, parsed)
        self._progress = Progress(task, observation, found, worth, digests, actions, done)
        return observation, reward, terminated, truncated, self._progress.info(tools)

    def snapshot(self, strategy: Strategy | None = None) -> Snapshot:
        """The episode at this moment, to be restored here or in another environment of the suite.

        `strategy` defaults to the class's `fork`. Raises ResetNeeded without an episode.
        """
        progress = self._running("snapshot()")
        if (strategy or self.fork) == "replay":
            return Snapshot(progress, self._opening_rng)
        with boundary(EnvironmentFailed, Exception, what=f"{progress.task.key}: the state cannot be copied"):
            memory = Memory(*copied(self.state, self.np_random), self.freeze())
        return Snapshot(progress, self._opening_rng, memory)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot; once it has begun, no episode is left where that fails. Raises
        ForkDiverged (replay only), EnvironmentFailed, ValueError."""
        task = snapshot.task
        if task.suite != self.suite:
            raise ValueError(f"a snapshot of suite {task.suite!r} cannot be restored in {self.suite!r}")
        self._progress = None
        if snapshot.memory is None:
            _, self.np_random = copied(None, snapshot.opening_rng)
            try:
                repeat(snapshot.progress, self._open(task), self.step)
            except BaseException:
                self._progress = None  # what was played again is another episode
                raise
            return
        with boundary(EnvironmentFailed, Exception, what=f"{task.key}: the state cannot be copied"):
            self.state, self.np_random = copied(snapshot.memory.state, snapshot.memory.rng)
        if snapshot.memory.files is not None:
            self.thaw(task, snapshot.memory.files)
        self.task = task
        self._opening_rng = snapshot.opening_rng
        self._progress = snapshot.progress
        self._finishing = False

    @property
    def progress(self) -> Progress:
        """How far the episode has come, its end included. Raises ResetNeeded without an episode."""
        return self._running("progress")

    def render(self) -> Any:
        """The latest turn as text; an array (H, W, 3) in mode "rgb_array", where there is one; else None."""
        return None if self.render_mode is None else self._running("render()").told()

    def _chosen(self, task: object) -> Task:
        """The task asked for, else one drawn from the pool."""
        if task is None:
            with boundary(EnvironmentFailed, Exception, what=f"suite {self.suite!r} cannot list its tasks"):
                pool = self.pool()
                if not len(pool):
                    raise LookupError(f"there is no {self.split} task")
                return pool[int(self.np_random.integers(len(pool)))]
        if not isinstance(task, Task):
            raise ValueError(f"options['task'] must be a Task, got {type(task).__name__}")
        if task.suite != self.suite:
            raise ValueError(f"a task of suite {task.suite!r} cannot be played in {self.suite!r}")
        return task

    def _open(self, task: Task) -> tuple[str, dict[str, Any]]:
        _, self._opening_rng = copied(None, self.np_random)
        self.task = task
        self._finishing = False
        with boundary(EnvironmentFailed, Exception, what=f"{task.key} could not begin"):
            observation = string(self.begin(task), "begin")
            found = verdicts(self.checks())
            tools, shown = self._toolbox().names, observation + self.fingerprint()
            if self._finishing:
                raise ValueError("begin must not finish the episode")
            mark = digest(shown, found, reward=0.0, terminated=False, truncated=False)
        self._progress = Progress(task, observation, found, potential(found), (mark,))
        return observation, self._progress.info(tools)

    def _act(self, action: Action) -> str:
        """Carry out an action; what is wrong with it is the answer."""
        if action.error is not None:
            return clean(f"The action could not be understood: {action.error[:500]}")
        if len(action.calls) > MAX_CALLS:
            return f"An action holds at most {MAX_CALLS} calls, got {len(action.calls)}; none was run."
        if not action.calls:
            return self._answer(None, clean(action.message or ""))
        answers: list[str] = []
        for call in action.calls:
            answers.append(self._answer(call, ""))
            if self._finishing:
                break
        return "\n".join(answers)

    def _answer(self, call: ToolCall | None, message: str) -> str:
        """What a call, or else a message, brings back; a refusal is an answer too."""
        try:
            if call is None:
                return string(self.reply(message), "reply")
            return string(self.call(call.name, self._toolbox().arguments(call)), f"tool {call.name!r}")
        except (ToolError, PathRefused) as refusal:
            return clean(str(refusal))

    def _toolbox(self) -> Toolbox:
        """The tools usable now, compiled; kept as long as they stay the same."""
        specs = tuple(self.available())
        if specs != self._tools_now.specs:
            self._tools_now = Toolbox(specs)
        return self._tools_now

    def _running(self, wish: str) -> Progress:
        if self._progress is None:
            raise ResetNeeded(f"there is no episode: call reset() before {wish}")
        return self._progress
