"""The `tau2` suite: telecom tickets, worked on alone, judged as tau2-bench judges them.

Leaves out airline and retail (see `release`) and the benchmark's dialogues with a simulated user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym_envs.tau2 import release
from trace_gym_envs.tau2.desk import Desk, judged, opened, policy, specs

DONE = "done"
MAX_ERRORS = 10
PROMPT = (
    "You are a customer service agent of a telecom company. Solve the ticket below with the tools, by the "
    "policy. You cannot talk to the customer; the tools of the customer's phone are yours to use. When the "
    "ticket is solved, call the tool `done`."
)


class Tau2(AgenticEnv):
    """tau2-bench telecom, solo mode: solve a ticket with the tools of the provider and of the phone.

    As there, an episode ends with `done`; a message, which nobody would hear, ends it as failed, and so does
    the tenth call that fails. Success is the product of what the task's reward is based on: assertions about
    the phone, and for a few tasks the expected calls.
    """

    suite: ClassVar[str] = "tau2"
    chance: ClassVar[float] = 0.02
    state: Desk

    def __init__(
        self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN, render_mode: str | None = None
    ) -> None:
        """Raises DatasetUnavailable, MissingExtra."""
        self._root = release.unpacked()
        super().__init__(reward=reward, split=split, render_mode=render_mode)

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """2,245 for training (74 of them the benchmark's own split, by topic; the rest `extra`), 40 for
        evaluation."""
        return release.tasks(release.unpacked())[Split(split)]

    @classmethod
    def toolbox(cls) -> Sequence[ToolSpec]:
        """The provider's tools, the phone's, and `done`."""
        empty = {"type": "object", "properties": {}, "additionalProperties": False}
        done = ToolSpec(DONE, "Say that the ticket is solved, or cannot be; this ends the work on it.", empty)
        return (*specs(release.unpacked()), done)

    def begin(self, task: Task) -> str:
        """The policy and the ticket."""
        self.state = opened(self._root, task)
        return f"{PROMPT}\n\n{policy(self._root)}\n\n<ticket>\n{task.payload['ticket']}\n</ticket>"

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Make a call of the benchmark's, or end the episode."""
        if name == DONE:
            self.state.done = True
            self.finish()
            return "The ticket is closed."
        answer = self.state.use(ToolCall(name, arguments))
        if self.state.errors >= MAX_ERRORS:
            self.finish()
            return f"{answer}\nThat was the {MAX_ERRORS}th call that failed; the ticket is taken from you."
        return answer

    def reply(self, message: str) -> str:
        """A message ends the episode: in solo mode there is nobody to hear it."""
        self.state.spoke = True
        self.finish()
        return "Nobody hears you: the ticket is taken from you."

    def checks(self) -> Iterable[Verdict]:
        """That the ticket was closed in the proper way, then the benchmark's criteria."""
        desk = self.state
        evidence = f"done was {'' if desk.done else 'not '}called, {desk.errors} of {MAX_ERRORS} calls failed"
        yield Verdict.of("closed", desk.done and not desk.spoke, evidence=evidence, weight=0.0)
        yield from judged(self._root, desk, self.task)

    def oracle(self) -> Action | None:
        """The next call towards a state in which every required check passes, found by trying on a copy: the
        expected calls not yet made, else the shortest tail of all of them that repairs what was done; then
        `done`. None when the episode is over."""
        if self.state.done or self.state.spoke or self.state.errors >= MAX_ERRORS:
            return None
        rest = self._plan()
        return Action(calls=(rest[0],)) if rest else Action.call(DONE)

    def _plan(self) -> Sequence[ToolCall]:
        gold = [ToolCall(step["name"], step["arguments"]) for step in self.task.payload["gold"]]
        unmade = list(gold)
        for call in self.state.made:
            if call in unmade:
                unmade.remove(call)
        tails = [gold[start:] for start in range(len(gold), -1, -1)]
        ahead = [gold[start:] for start in range(len(gold)) if gold[start:] != unmade]
        return next((plan for plan in (tails[0], unmade, *ahead, *tails) if self._solves(plan)), unmade)

    def _solves(self, plan: Sequence[ToolCall]) -> bool:
        """Would every required criterion hold after these calls?"""
        desk = deepcopy(self.state)
        for call in plan:
            desk.use(call)
        found = judged(self._root, desk, self.task)
        return all(verdict.status is Status.PASS for verdict in found if verdict.required)
