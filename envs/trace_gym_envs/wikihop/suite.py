"""The prose suite: multi-hop questions to be answered by searching and reading an encyclopedia.

Leaves out the compact rendering of the same worlds (see compact).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.tools import tool
from trace_gym_envs.wikihop.assignment import Assignment
from trace_gym_envs.wikihop.listing import file_tasks, generated_tasks
from trace_gym_envs.wikihop.scoring import exact_match, f1

DEFAULT_LEVEL: Final = "standard"
_SHOWN = 80


@dataclass(slots=True)
class Reading:
    """What has been done: titles in the order in which they were first read, and the answer, if given."""

    titles: list[str] = field(default_factory=list)
    answer: str | None = None


class WikiHop(AgenticEnv):
    """Find the answer to a question of one to five hops in an encyclopedia that can be searched and read.

    Checks: `hop_1` ... (not required) pass when the article that states the hop's fact has been read;
    `answer` (required) passes on an exact match after normalisation and is scored by F1.
    """

    suite: ClassVar[str] = "wikihop"
    chance: ClassVar[float] = 0.001
    brief: ClassVar[bool] = True
    state: Reading

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        path: str | None = None,
        level: str | None = None,
    ) -> None:
        """`path`: a HotpotQA, 2WikiMultiHopQA or MuSiQue file to take tasks from, instead of the generated
        worlds of `level`, by default `standard`."""
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self.pool = lambda: self.tasks(self.split, path=path, level=level)
        self._assignment: Assignment | None = None

    def begin(self, task: Task) -> str:
        """The question, and how to work on it."""
        self.state = Reading()
        task_is = "Find the answer in the encyclopedia: search it, read articles by title, then call answer."
        return f"{task_is}\nQuestion: {self._given().question}"

    @tool
    def search(self, query: str) -> str:
        """Search the encyclopedia; shows the titles and first sentences of the best five articles.

        Args:
            query: Words to look for in titles and texts.
        """
        found = self._given().library.search(query)
        if not found:
            return f"No article matches {_short(query)}."
        lines = (f"{a.title}: {a.lead}" if a.lead else a.title for a in found)
        return "\n".join(f"{i}. {line}" for i, line in enumerate(lines, start=1))

    @tool
    def read(self, title: str) -> str:
        """Read an article. Links to other articles stand in double brackets.

        Args:
            title: The article's exact title, with the qualifier in parentheses if it has one.
        """
        library = self._given().library
        article = library.find(title.strip().removeprefix("[[").removesuffix("]]"))
        if article is None:
            bearers = library.bearers(title)
            if bearers:
                return "\n".join([f"{_short(title)} may refer to:", *(f"- {bearer}" for bearer in bearers)])
            return f"There is no article titled {_short(title)}. Search for it."
        if article.title not in self.state.titles:
            self.state.titles.append(article.title)
        return article.text

    @tool
    def answer(self, text: str) -> str:
        """Answer the question; this ends the episode.

        Args:
            text: The answer alone: a name or a short phrase.
        """
        self.state.answer = text
        self.finish()
        return "The answer has been taken."

    def checks(self) -> Iterable[Verdict]:
        """Which facts have been seen, and whether the answer is right."""
        given = self._given()
        for hop, (title, fact) in enumerate(given.evidence, start=1):
            seen = title in self.state.titles
            evidence = f"{'read' if seen else 'not read'}: {title!r} ({fact})"
            yield Verdict.of(f"hop_{hop}", seen, evidence=evidence, weight=0.2, required=False)
        said = self.state.answer
        if said is None:
            yield Verdict("answer", Status.SKIPPED, 0.0, "no answer yet")
            return
        score = f1(said, given.answers)
        evidence = f"answered {_short(said)}, accepted {' | '.join(given.answers)}; F1 {score:.3f}"
        yield Verdict.of("answer", exact_match(said, given.answers), evidence=evidence, score=score)

    def oracle(self) -> Action | None:
        """Read the first article of the chain not yet read; when all are, answer."""
        if self.state.answer is not None:
            return None
        given = self._given()
        unread = [title for title, _ in given.evidence if title not in self.state.titles]
        if unread:
            return Action.call("read", title=unread[0])
        return Action.call("answer", text=given.answers[0])

    @classmethod
    def tasks(
        cls, split: Split, *, path: str | None = None, level: str | None = None, subset: str = ""
    ) -> Sequence[Task]:
        """Generated questions (subsets `1-hop` to `5-hop`), else those of the file at `path` (subsets
        `hotpotqa`, `2wiki`, `musique`). Raises MalformedData, BadConfig, UnknownName."""
        if path is None:
            chosen = DEFAULT_LEVEL if level is None else level
            return generated_tasks(cls.suite, split, level=chosen, subset=subset)
        if level is not None:
            raise BadConfig(f"{cls.suite}: level names generated worlds and path a file, give one of the two")
        return file_tasks(cls.suite, split, path=path, subset=subset)

    def _given(self) -> Assignment:
        """The assignment of the current task; kept as long as the task is the same."""
        if self._assignment is None or self._assignment.task is not self.task:
            self._assignment = Assignment.of(self.task)
        return self._assignment


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
