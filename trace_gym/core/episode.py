"""What happened: a turn, why an episode stopped, and who is to blame when it broke."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from trace_gym.core.action import Action
from trace_gym.core.budget import FREE, Cost
from trace_gym.core.check import Verdict, success
from trace_gym.core.task import Task
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids


class Actor(StrEnum):
    """Who chose a turn's action. Only POLICY turns have sampled tokens, and only those are trained."""

    TASK = "task"
    POLICY = "policy"
    AGENT = "agent"
    ORACLE = "oracle"


class StopReason(StrEnum):
    """Why a rollout ended. LIMIT: it used up its own allowance of tokens, seconds or money, which counts as
    MAX_TURNS does. CUT: the scheduler gave it up as hopeless, a failure as far as anybody will know; an
    evaluation never does. SHOWN: the oracle played it, for others to start from; neither success nor failure.
    CENSORED: the budget cut it, neither too. INVALID: something outside the agent's control broke."""

    TERMINATED = "terminated"
    MAX_TURNS = "max_turns"
    CONTEXT = "context"
    LIMIT = "limit"
    CUT = "cut"
    SHOWN = "shown"
    CENSORED = "censored"
    CANCELLED = "cancelled"
    INVALID = "invalid"


SCORED = (
    *(StopReason.TERMINATED, StopReason.MAX_TURNS, StopReason.CONTEXT, StopReason.LIMIT),
    StopReason.CUT,
)
"""Ends whose outcome counts."""


class FailureCause(StrEnum):
    """What broke when an episode is invalid; none of these is the agent's doing. CONTEXT: the task's own
    prompt exceeds the model's context."""

    ENVIRONMENT = "environment"
    SANDBOX = "sandbox"
    BROWSER = "browser"
    MODEL = "model"
    STORAGE = "storage"
    FORK = "fork"
    TIMEOUT = "timeout"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Span:
    """Who played a turn and how long its parts took, in seconds of a steady clock: `entered` until the
    environment stood where the turn begins, `acted` until the agent had answered, `stepped` until the
    environment had. What an agent took beyond the turn's own `model_seconds` it waited: for others of its
    batch, or for tokens of the budget."""

    worker: str
    entered: float
    acted: float
    stepped: float


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One node of a rollout tree: an action and what came of it. Node 0 is the task itself.

    `context_ids` (C,) were appended to the context just before the action: the rendered task prompt for
    a first turn, else the rendered observation of the parent. Siblings therefore share them.
    `action_ids` (A,), `logprobs` (A,) and `entropy` (A,), in nats, are what the policy sampled;
    `hidden` (D,) is the policy's last hidden state at the end of the context, a feature of the *parent*.
    `rollout` is the rollout (an index into the tree's `rollouts`) that produced the turn. `span` is for
    whoever looks at a run; a turn that is read back from a journal may be without.
    """

    parent: int
    rollout: int
    actor: Actor
    observation: str
    verdicts: tuple[Verdict, ...] = ()
    action: Action | None = None
    text: str = ""
    context_ids: IntArray = field(default_factory=ids)
    action_ids: IntArray = field(default_factory=ids)
    logprobs: FloatArray = field(default_factory=floats)
    entropy: FloatArray = field(default_factory=floats)
    hidden: FloatArray | None = None
    policy_version: int | None = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    digest: str = ""
    cost: Cost = FREE
    span: Span | None = None

    def __post_init__(self) -> None:
        if len(self.logprobs) != len(self.action_ids):
            came = f"{len(self.logprobs)} log-probs for {len(self.action_ids)} sampled tokens"
            raise ValueError(f"a turn needs one log-prob per sampled token, got {came}")

    @property
    def done(self) -> bool:
        """Did the environment end the episode here?"""
        return self.terminated or self.truncated


@dataclass(frozen=True, slots=True)
class Rollout:
    """One play from an anchor to its end. `stop` is None while it runs; `tip` is its newest node (the
    anchor itself before the first turn). `worth` of one that was cut: its success as predicted then."""

    grant: int
    anchor: int
    tip: int
    stop: StopReason | None = None
    failure: FailureCause | None = None
    detail: str = ""
    worth: float | None = None

    @property
    def scored(self) -> bool:
        """Does its outcome count (neither running, shown, censored, cancelled nor invalid)?"""
        return self.stop in SCORED

    @property
    def spent(self) -> int:
        """How many trajectories it counts for: one, unless it broke, still runs or never took a turn."""
        return int(self.stop not in (None, StopReason.INVALID) and self.tip != self.anchor)


@dataclass(frozen=True, slots=True)
class Episode:
    """A path from the task to a leaf, with how it ended: what an evaluation counts."""

    task: Task
    turns: tuple[Turn, ...]
    stop: StopReason
    failure: FailureCause | None = None
    detail: str = ""

    @property
    def success(self) -> bool | None:
        """True or False where the outcome counts; None where it is shown, censored, cancelled or invalid."""
        if self.stop not in SCORED:
            return None
        verdict = success(self.turns[-1].verdicts)
        return False if verdict is None and self.stop is not StopReason.TERMINATED else verdict

    @property
    def cost(self) -> Cost:
        """The sum over its turns."""
        return sum((turn.cost for turn in self.turns), FREE)
