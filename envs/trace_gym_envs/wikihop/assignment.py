"""An assignment: what does not change while a task is played, its library, question, evidence and answers.

Made from a task's payload, which is either a question over a generated world or a record of a user's file.
Leaves out what the agent has done (see suite).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from trace_gym.core.task import Task
from trace_gym_envs.wikihop.formats import Record
from trace_gym_envs.wikihop.library import Article, Library
from trace_gym_envs.wikihop.prose import article, ask, sentence
from trace_gym_envs.wikihop.question import Question
from trace_gym_envs.wikihop.world import world


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """`evidence` is (title, the fact that its article holds) per hop; every one of `answers` is accepted, the
    first is what a reference solution says."""

    task: Task
    library: Library
    question: str
    evidence: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]

    @classmethod
    def of(cls, task: Task) -> Assignment:
        """The assignment that a task's payload describes."""
        return _generated(task) if "world" in task.payload else _given(task)


@lru_cache(maxsize=64)
def world_library(name: str) -> Library:
    """The articles of a generated world: a memo, shared by all environments."""
    here = world(name)
    return Library(article(here, number) for number in range(len(here.entities)))


def record_payload(record: Record) -> dict[str, Any]:
    """A record as JSON data."""
    return {
        "question": record.question,
        "answers": list(record.answers),
        "paragraphs": [list(paragraph) for paragraph in record.paragraphs],
        "support": list(record.support),
    }


def _generated(task: Task) -> Assignment:
    question = Question.of(task.payload)
    here = world(question.world)
    evidence = []
    for source, target, hop in zip(question.chain, question.chain[1:], question.hops, strict=False):
        subject = here.entities[source]
        wanted = next(k for k in here.links[source] if (k.target, k.relation) == (target, hop.relation))
        evidence.append((subject.title, sentence(here, subject, wanted)))
    gold = here.entities[question.chain[-1]]
    answers = dict.fromkeys((gold.name, gold.title, *((gold.alias,) if gold.alias else ())))
    return Assignment(task, world_library(here.name), ask(here, question), tuple(evidence), tuple(answers))


def _given(task: Task) -> Assignment:
    """Paragraphs under one title, up to case and spaces, become one article under the first of its titles,
    whose lead is its beginning."""
    payload: Mapping[str, Any] = task.payload
    merged: dict[str, tuple[str, list[str]]] = {}
    for title, text in payload["paragraphs"]:
        merged.setdefault(_plain(title), (title, []))[1].append(text)
    articles = [Article(title, title, "", "\n".join(texts)) for title, texts in merged.values()]
    support = dict.fromkeys(merged[_plain(title)][0] for title in payload["support"])
    evidence = tuple((title, "a supporting paragraph") for title in support)
    return Assignment(task, Library(articles), payload["question"], evidence, tuple(payload["answers"]))


def _plain(title: str) -> str:
    return " ".join(title.casefold().split())
