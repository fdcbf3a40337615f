"""The conformance tests of journals and policies: they pass what keeps the protocol, and catch the rest."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from trace_gym.core.journal import Journal, Recovered
from trace_gym.core.policy import Completion, SampleRequest
from trace_gym.core.scheduler import Answer, Cancel, Event
from trace_gym.core.tokens import FloatArray, IntArray, floats
from trace_gym.core.tree import RolloutTree
from trace_gym.testing import MemoryJournal, ScriptedPolicy, check_journal, check_policy

# Journals.


class Aliases(MemoryJournal):
    """Hands out the trees it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[tuple[int, int], RolloutTree] = {}

    def started(self, step: int, tree: RolloutTree, rollout: int) -> None:
        super().started(step, tree, rollout)
        self.shown[step, tree.index] = tree

    def recover(self, step: int) -> Recovered | None:
        known = super().recover(step)
        if known is None:
            return None
        trees = {index: self.shown.get((step, index), tree) for index, tree in known.trees.items()}
        return replace(known, trees=trees)


class Buffers(MemoryJournal):
    """Keeps ends back until the next event."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[int, RolloutTree, int]] = []

    def stopped(self, step: int, tree: RolloutTree, rollout: int) -> None:
        self.kept.append((step, tree, rollout))

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        for entry in self.kept:
            super().stopped(*entry)
        self.kept.clear()
        super().observed(step, event, answer)


class SortsAnswers(MemoryJournal):
    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        super().observed(step, event, sorted(answer, key=lambda item: isinstance(item, Cancel)))


class Tolerates(MemoryJournal):
    """Takes the first word and ignores contradictions."""

    def turned(self, step: int, tree: RolloutTree, node: int) -> None:
        known = self.recover(step)
        if known and tree.index in known.trees and node < len(known.trees[tree.index].turns) and node:
            return
        super().turned(step, tree, node)


class Appends(MemoryJournal):
    """Writes a repeated event once more."""

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        known = len(self._step(step).events)
        super().observed(step, event, answer)
        if len(self._step(step).events) == known:
            self._step(step).events.append((event, tuple(answer)))


class LosesHidden(MemoryJournal):
    def recover(self, step: int) -> Recovered | None:
        known = super().recover(step)
        for tree in known.trees.values() if known else ():
            tree.turns[:] = [replace(turn, hidden=None) for turn in tree.turns]
        return known


def test_a_journal_that_keeps_the_protocol_passes() -> None:
    for seed in range(5):
        check_journal(MemoryJournal, seed=seed)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Aliases, "tree 0|tree 1"),
        (Buffers, "rollouts"),
        (SortsAnswers, "events recovered as"),
        (Tolerates, "another turn than was recorded was accepted"),
        (Appends, "after every call was repeated, events recovered"),
        (LosesHidden, "hidden is None here"),
    ],
)
def test_a_journal_that_breaks_the_protocol_is_caught(broken: Callable[[], Journal], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_journal(broken, seed=2)


# Policies.


class Bent:
    """A policy whose answers are bent by `change`, which is told how often it was asked."""

    def __init__(self, change: Callable[[SampleRequest, Completion, int], Completion]) -> None:
        self.inner = ScriptedPolicy(lambda prompt: dict.fromkeys(map(str, range(100, 400)), 1.0))
        self.change = change
        self.asked = 0

    version = 0
    context_size = 4096

    async def sample(self, request: SampleRequest) -> Completion:
        self.asked += 1
        return self.change(request, await self.inner.sample(request), self.asked)

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        return await self.inner.encode(prompts)

    async def load(self, checkpoint: object) -> None:
        raise AssertionError("nobody loads here")

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("stop_ids", [(256,), ()])
def test_a_policy_that_keeps_the_protocol_passes(stop_ids: tuple[int, ...]) -> None:
    asyncio.run(check_policy(Bent(lambda request, said, asked: said), stop_ids=stop_ids))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r, c, n: replace(c, token_ids=c.token_ids + (n > 4)), "asked together"),
        (lambda r, c, n: replace(c, logprobs=c.logprobs - (0.5 if r.cached else 0)), "told .* cached"),
        (lambda r, c, n: replace(c, token_ids=c.token_ids + (r.temperature == 0) * r.seed), "greedily"),
        (lambda r, c, n: replace(c, logprobs=c.logprobs[1:]), "3 log-probs"),
        (lambda r, c, n: replace(c, entropy=floats()), "0 entropies"),
        (lambda r, c, n: replace(c, logprobs=-c.logprobs + 1), "positive"),
        (lambda r, c, n: replace(c, version=7), "version 7 from version 0"),
        (lambda r, c, n: replace(c, fresh=1), "were counted of 3"),
        (lambda r, c, n: replace(c, finish="length"), "finished with length"),
    ],
)
def test_a_policy_that_breaks_the_protocol_is_caught(
    change: Callable[[SampleRequest, Completion, int], Completion], complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        asyncio.run(check_policy(Bent(change), stop_ids=(256,)))


def test_a_policy_that_takes_too_long_a_prompt_is_caught() -> None:
    class Boundless(Bent):
        context_size = 64

    with pytest.raises(AssertionError, match="the whole context, was not refused"):
        asyncio.run(check_policy(Boundless(lambda request, said, asked: said), stop_ids=(256,)))
