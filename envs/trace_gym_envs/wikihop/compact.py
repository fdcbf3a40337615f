"""The compact rendering: the same worlds and questions in a closed vocabulary, links chosen by index.

A question is a line of hops, `h0 named <trait> h1 <relation> [<trait>] ... h3 answer`: follow these relations
one after another, then answer with where you are. An article is a line of links, `<relation> <index> <trait>`
each, and ends with `h2`, the number of links followed so far. One word a symbol, so that a model of a million
parameters can learn it. Leaves out full text, search and aliases, which the full rendering has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, ClassVar, Final

from pydantic import Field

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import tool
from trace_gym_envs.wikihop.kinds import KINDS, NOUNS, symbol
from trace_gym_envs.wikihop.question import MAX_HOPS, Question, draw
from trace_gym_envs.wikihop.relations import RELATIONS
from trace_gym_envs.wikihop.world import MAX_LINKS, World, world, world_names

PER_WORLD: Final = 1000
DEPTH: Final = MAX_HOPS + 2
NAMED, SEE_ALSO, NONE, FULL, ANSWERED = "named", "see", "none", "full", "answered"

COMPACT_VOCABULARY: Final[tuple[str, ...]] = (
    *(f"h{depth}" for depth in range(DEPTH + 1)),
    *(str(index) for index in range(1, MAX_LINKS + 1)),
    *("follow", "back", "answer", NAMED, SEE_ALSO, NONE, FULL, ANSWERED),
    *(phrase.symbol for relation in RELATIONS for phrase in relation.phrases),
    *(symbol(trait) for kind in KINDS for trait in kind.traits),
)


@dataclass(slots=True)
class Walk:
    """Where an episode stands: articles entered, those ever seen, and what was answered (an entity)."""

    trail: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    answered: int | None = None


class WikiHopCompact(AgenticEnv):
    """Multi-hop questions over a generated encyclopedia, in one-word symbols and links by index."""

    suite, chance, brief = "wikihop_compact", 0.02, True
    vocabulary: ClassVar[tuple[str, ...]] = COMPACT_VOCABULARY
    state: Walk
    _read_for: Task | None = None

    def begin(self, task: Task) -> str:
        self.state = Walk()
        return f"{self._asked()} {self._page()}"

    @tool
    def follow(self, link: Annotated[str, Field(pattern=".*", examples=[f"{NAMED} 1"])]) -> str:
        """Follow a link of the article shown.

        Args:
            link: A relation and the index of the link, as shown.
        """
        targets = dict(zip(self._labels(), self._targets(), strict=True))
        target = targets.get(" ".join(link.split()))
        if target is None:
            return f"{NONE} {self._page()}"
        if len(self.state.trail) >= DEPTH:
            return f"{FULL} {self._page()}"
        self.state.trail.append(target)
        self.state.seen.add(target)
        return self._page()

    @tool
    def back(self) -> str:
        """Go back to the article before."""
        if not self.state.trail:
            return f"{NONE} {self._page()}"
        self.state.trail.pop()
        return self._page()

    @tool
    def answer(self) -> str:
        """Answer with the article shown."""
        if not self.state.trail:
            return f"{NONE} {self._page()}"
        self.state.answered = self.state.trail[-1]
        self.finish()
        return ANSWERED

    def available(self) -> Sequence[ToolSpec]:
        """`follow` shows the links of this article as its examples."""
        return _specs(self._labels(), self.toolbox())

    def checks(self) -> Iterable[Verdict]:
        """One per article of the chain: has it been entered? And the answer."""
        for hop, wanted in enumerate(self.question.chain):
            seen, title = wanted in self.state.seen, self.world.entities[wanted].title
            evidence = f"{title} was {'entered' if seen else 'not entered'}"
            yield Verdict.of(f"hop_{hop}", seen, evidence=evidence, required=False)
        given, gold = self.state.answered, self.question.chain[-1]
        if given is None:
            yield Verdict("answer", Status.SKIPPED, 0.0, "no answer yet")
        else:
            said, right = (self.world.entities[entity].title for entity in (given, gold))
            yield Verdict.of("answer", given == gold, evidence=f"answered {said}, the answer is {right}")

    def oracle(self) -> Action:
        trail, chain = self.state.trail, self.question.chain
        if tuple(trail) != chain[: len(trail)]:
            return Action.call("back")
        if len(trail) == len(chain):
            return Action.call("answer")
        return Action.call("follow", link=self._labels()[self._targets().index(chain[len(trail)])])

    @classmethod
    def tasks(cls, split: Split, *, level: str = "clear") -> Sequence[Task]:
        """`level` names the worlds: `clear` (no paraphrase), `plain`, `gentle`, `standard`, `hard`; several
        are listed with commas and take turns."""
        levels = [world_names(split, name) for name in level.split(",")]
        names = [name for together in zip(*levels, strict=True) for name in together]

        def make(index: int) -> Task:
            number, place = divmod(index, len(names))
            return _task(split, names[place], number)

        return LazyTasks(PER_WORLD * len(names), make)

    @property
    def question(self) -> Question:
        """What is asked in this episode."""
        if self._read_for is not self.task:
            self._question, self._read_for = Question.of(self.task.payload), self.task
        return self._question

    @property
    def world(self) -> World:
        """Where it is asked."""
        return world(self.question.world)

    def _asked(self) -> str:
        start = self.world.entities[self.question.chain[0]]
        words = ["h0", NAMED, _trait(start.kind, start.trait)]
        for depth, hop in enumerate(self.question.hops, start=1):
            relation = RELATIONS[hop.relation]
            words += [f"h{depth}", relation.phrases[hop.phrase].symbol]
            if hop.trait is not None:
                words.append(_trait(NOUNS.index(relation.object), hop.trait))
        return " ".join([*words, f"h{len(self.question.hops) + 1}", "answer"])

    def _page(self) -> str:
        words: list[str] = []
        for label, target in zip(self._labels(), self._targets(), strict=True):
            entity = self.world.entities[target]
            words += [label, _trait(entity.kind, entity.trait)]
        return " ".join([*words, f"h{len(self.state.trail)}"])

    def _targets(self) -> tuple[int, ...]:
        """The entities that the links shown lead to; before the first, those who bear the start's name."""
        if self.state.trail:
            return tuple(link.target for link in self.world.links[self.state.trail[-1]])
        return self.world.namesakes[self.world.entities[self.question.chain[0]].name]

    def _labels(self) -> tuple[str, ...]:
        """The links shown, as `follow` takes them."""
        if not self.state.trail:
            return tuple(f"{NAMED} {index}" for index in range(1, len(self._targets()) + 1))
        return _labels(self.world, self.state.trail[-1])


@lru_cache(maxsize=8192)
def _labels(here: World, entity: int) -> tuple[str, ...]:
    words = [
        SEE_ALSO if link.relation is None else RELATIONS[link.relation].phrases[link.phrase].symbol
        for link in here.links[entity]
    ]
    return tuple(f"{word} {index}" for index, word in enumerate(words, start=1))


def _specs(labels: tuple[str, ...], tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    """The tools, with the links shown as the examples of `follow`."""
    first, *others = tools
    link = {**first.parameters["properties"]["link"], "examples": list(labels) or [NONE]}
    return (replace(first, parameters={**first.parameters, "properties": {"link": link}}), *others)


def _trait(kind: int, trait: int) -> str:
    return symbol(KINDS[kind].traits[trait])


def _task(split: Split, name: str, number: int) -> Task:
    question = draw(name, number)
    return Task(
        id=f"{name}/{number}",
        suite=WikiHopCompact.suite,
        split=split,
        family=name,
        subset=f"{len(question.hops)}-hop",
        payload=question.payload(),
        limits=Limits(max_turns=2 * len(question.hops) + 6),
    )
