"""Who acts: an agent sees a view and makes a move. A renderer turns views into exact tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.budget import FREE, Cost
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All that an agent may know before it acts.

    `turns[0]` holds the task's first observation; the others are the turns so far. `tools` are those usable
    now; `tools_before[i]` those usable when turn i+1 acted, so that additions can be told as they came.
    `seed` is this turn's own; `max_tokens` what may be sampled. `oracle` is there only for agents that
    declare `wants_oracle`.
    """

    suite: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...]
    tools_before: tuple[tuple[ToolSpec, ...], ...]
    seed: int
    max_tokens: int
    oracle: Callable[[], Action | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """What an agent did, and what it cost. The token fields are empty for agents without tokens."""

    action: Action
    actor: Actor = Actor.AGENT
    text: str = ""
    context_ids: IntArray = field(default_factory=ids)
    action_ids: IntArray = field(default_factory=ids)
    logprobs: FloatArray = field(default_factory=floats)
    entropy: FloatArray = field(default_factory=floats)
    hidden: FloatArray | None = None
    policy_version: int | None = None
    cost: Cost = FREE


class Agent(Protocol):
    """The one asynchronous seam: asked once per turn."""

    @property
    def trainable(self) -> bool:
        """Do its moves carry sampled tokens?"""
        ...

    @property
    def wants_oracle(self) -> bool:
        """Must the view carry the environment's oracle?"""
        ...

    async def act(self, view: View) -> Move:
        """Choose the next action. Raises ModelFailed, ContextExceeded."""
        ...


@runtime_checkable
class Attending(Protocol):
    """An agent that keeps something open for every rollout, such as a program, and must hear of its end."""

    async def leave(self, tip: Turn) -> None:
        """The rollout whose newest turn is `tip` has ended; its action is the last that `act` gave, unless
        that raised. Never raises."""
        ...


class Renderer(Protocol):
    """Exact token deltas: the past is never rendered again. Its tokenizer is given at construction."""

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end a turn."""
        ...

    def open(self, observation: str, tools: Sequence[ToolSpec], *, suite: str) -> IntArray:
        """The task prompt up to where the first action begins."""
        ...

    def follow(self, last: Turn, added: Sequence[ToolSpec]) -> IntArray:
        """What follows `last.action_ids`: closing the turn if it was cut, its observation, tools `added`
        meanwhile, and the opening of the next turn."""
        ...

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Action:
        """The action that a completion's text spells; never raises (`Action.error` says what is wrong)."""
        ...

    def spell(self, action: Action) -> str:
        """The text that `parse` reads back as `action`; for demonstrations."""
        ...


class RendererFactory(Protocol):
    """How renderers are found by name: entry point `trace_gym.renderers`."""

    def __call__(self, tokenizer: object, /) -> Renderer: ...
