"""The `bfcl` suite: several user turns over stateful services, judged as the benchmark judges.

Leaves out the benchmark's single-turn, memory and web-search categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from math import ceil
from typing import Any, ClassVar, Literal

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import MAX_CALLS, AgenticEnv, RewardRule
from trace_gym.environment.fork import Step
from trace_gym_envs.bfcl.backends import World
from trace_gym_envs.bfcl.benchmark import benchmark
from trace_gym_envs.bfcl.checker import holds, judge, pending
from trace_gym_envs.bfcl.gold import GoldTurn, play_gold
from trace_gym_envs.bfcl.wheel import unpacked

STEPS_PER_TURN = 20


@dataclass(slots=True)
class Dialogue:
    """An episode as far as it has come. `turn` is the user turn in progress (their number, when all have
    ended), `steps` the actions in it that were not messages, `made` the calls run in it, `responses` the
    results of all calls so far, `verdicts` those on the turns that have ended."""

    world: World
    turn: int = 0
    steps: int = 0
    made: list[ToolCall] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


class Bfcl(AgenticEnv):
    """BFCL v4 multi-turn. A message ends the user turn: it is judged, and the user goes on or the episode
    terminates.

    The checks are those of the benchmark (see `checker`), each told when its user turn ends. A failed turn
    does not end the episode, as it does not there; the episode can no longer succeed. More than
    `steps_per_turn` actions other than messages in one user turn do end it, failed: the benchmark's limit is
    20 steps.

    Three differences, none of which concerns a call that the documentation admits: calls of tools that are
    not available, and calls whose arguments do not fit the documented types, are refused with the reason and
    count as not made (there they are run and count as made); an action that cannot be understood is answered
    with the reason (there it ends the turn); calls of unbounded cost get an error (see `guard`).
    """

    suite: ClassVar[str] = "bfcl"
    chance: ClassVar[float] = 0.001

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        steps_per_turn: int = STEPS_PER_TURN,
        docs: Literal["full", "brief"] = "full",
    ) -> None:
        """`docs` "brief" leaves out the sentence about its service that opens every tool's description.

        Raises DatasetUnavailable, MalformedData, MissingExtra.
        """
        if steps_per_turn < 1:
            raise BadConfig(f"steps_per_turn must be at least 1, got {steps_per_turn}")
        if docs not in ("full", "brief"):
            raise BadConfig(f"docs must be 'full' or 'brief', got {docs!r}")
        self._benchmark = benchmark(unpacked())
        self.steps_per_turn = steps_per_turn
        self.docs = docs
        self.state: Dialogue | None = None
        self._played: tuple[Task, tuple[GoldTurn, ...]] | None = None
        super().__init__(reward=reward, split=split, render_mode=render_mode)

    @classmethod
    def tasks(cls, split: Split, *, steps_per_turn: int = STEPS_PER_TURN) -> Sequence[Task]:
        """The tasks of a split: 640 or 160, subset by subset. `max_turns` admits `steps_per_turn` calls and a
        message in every user turn, so that it never ends an episode before the benchmark would."""
        if steps_per_turn < 1:
            raise BadConfig(f"steps_per_turn must be at least 1, got {steps_per_turn}")
        return benchmark(unpacked()).tasks(split, steps_per_turn=steps_per_turn)

    @classmethod
    def toolbox(cls) -> Sequence[ToolSpec]:
        """The tools of all eight services."""
        return benchmark(unpacked()).tools()

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """The calls of the reference."""
        return [call for calls in task.payload["gold"] for call in calls]

    def begin(self, task: Task) -> str:
        """What the user says first."""
        payload = task.payload
        world = self._benchmark.backends.open(
            payload["classes"], payload["config"], long_context=payload["long_context"]
        )
        self.state = Dialogue(world)
        users: list[str] = payload["users"]
        return users[0]

    def available(self) -> Sequence[ToolSpec]:
        """The tools of the task's services, less those still held out; added ones come last."""
        specs = self._benchmark.brief_specs if self.docs == "brief" else self._benchmark.specs
        added: Mapping[str, int] = self.task.payload["held_out"]
        tools = [spec for service in self.task.payload["classes"] for spec in specs[service]]
        late = [spec for spec in tools if spec.name in added and added[spec.name] <= self._dialogue.turn]
        return tuple([spec for spec in tools if spec.name not in added] + late)

    def step(self, action: Any) -> Step:
        """As in AgenticEnv; counts the steps of the user turn, and lets the one too many be the last."""
        parsed = Action.parse(action)
        if self.state is not None and (parsed.calls or parsed.error is not None):
            self.state.steps += 1
            if self.state.steps > self.steps_per_turn:
                self.finish()
        return super().step(parsed)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run one call on its service; the answer is what the benchmark shows."""
        dialogue = self._dialogue
        result = self._benchmark.backends.call(dialogue.world, name, arguments)
        dialogue.made.append(ToolCall(name, arguments))
        dialogue.responses.append(result)
        return result

    def reply(self, message: str) -> str:
        """End the user turn; what the user says next."""
        dialogue, users = self._dialogue, self.task.payload["users"]
        dialogue.verdicts += judge(
            dialogue.turn,
            self._gold[dialogue.turn],
            world=dialogue.world,
            responses=dialogue.responses,
            called=len(dialogue.made),
        )
        dialogue.turn, dialogue.steps, dialogue.made = dialogue.turn + 1, 0, []
        if dialogue.turn == len(users):
            self.finish()
            return "The user has no further requests."
        said: str = users[dialogue.turn]
        return said

    def checks(self) -> Iterable[Verdict]:
        """The limit of steps, then the verdicts on every user turn, skipped until it has ended."""
        dialogue, limit = self._dialogue, self.steps_per_turn
        evidence = f"{dialogue.steps} of at most {limit} steps in user turn {dialogue.turn}"
        yield Verdict.of("steps_within_limit", dialogue.steps <= limit, evidence=evidence, weight=0.0)
        yield from dialogue.verdicts
        for turn in range(dialogue.turn, len(self._gold)):
            yield from pending(turn, self._gold[turn])

    def oracle(self) -> Action | None:
        """The reference's next call in this user turn, else the message that ends the turn.

        What is still to do is found by trying it out on a copy: the reference's calls that have not been made
        in this turn, if they pass the turn's checks; else the shortest tail of the reference's turn that
        does, which repeats calls after a deviation that this repairs; else, when nothing does, the calls not
        made. One call an action, more only where the step limit asks for it. None when the dialogue is over.
        """
        dialogue = self._dialogue
        if dialogue.turn == len(self._gold) or dialogue.steps > self.steps_per_turn:
            return None
        gold = self._gold[dialogue.turn]
        rest = self._plan(gold, dialogue)
        if not rest:
            done = "Done." if gold.calls else "I cannot do that yet: something that I need is missing."
            return Action(message=done)
        room = max(1, self.steps_per_turn - dialogue.steps)
        return Action(calls=tuple(rest[: min(ceil(len(rest) / room), MAX_CALLS)]))

    def _plan(self, gold: GoldTurn, dialogue: Dialogue) -> Sequence[ToolCall]:
        """Calls that the oracle would make before it ends the user turn."""
        unmade = _without(gold.calls, dialogue.made)
        tails = (gold.calls[start:] for start in range(len(gold.calls), -1, -1))
        return next((plan for plan in (unmade, *tails) if self._passes(plan, gold, dialogue)), unmade)

    def _passes(self, plan: Sequence[ToolCall], gold: GoldTurn, dialogue: Dialogue) -> bool:
        """Would the user turn be passed if it ended after these calls?"""
        world, backends = deepcopy(dialogue.world), self._benchmark.backends
        results = [backends.call(world, call.name, call.arguments) for call in plan]
        verdicts = judge(
            dialogue.turn,
            gold,
            world=world,
            responses=[*dialogue.responses, *results],
            called=len(dialogue.made) + len(plan),
        )
        return holds(verdicts)

    @property
    def _dialogue(self) -> Dialogue:
        if self.state is None:
            raise ValueError("there is no episode: call reset() first")
        return self.state

    @property
    def _gold(self) -> tuple[GoldTurn, ...]:
        """The reference of the task at hand, played once: it never changes, so it is no part of the state."""
        if self._played is None or self._played[0] is not self.task:
            self._played = self.task, play_gold(self.task, self._benchmark.backends)
        return self._played[1]


def _without(calls: Sequence[ToolCall], made: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls, in order, less one for every equal call already made."""
    left = Counter((call.name, repr(sorted(call.arguments.items()))) for call in made)
    rest: list[ToolCall] = []
    for call in calls:
        key = (call.name, repr(sorted(call.arguments.items())))
        if left[key] > 0:
            left[key] -= 1
        else:
            rest.append(call)
    return rest
