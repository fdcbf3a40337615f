"""Reading question files that a user has, in the formats of HotpotQA, 2WikiMultiHopQA and MuSiQue.

A file is a JSON array or one JSON object a line. The formats are told apart record by record: `paragraphs` is
MuSiQue, `context` with `evidences` is 2WikiMultiHopQA, `context` alone is HotpotQA (lists of pairs as in
the original releases, or columns as in later ones). Leaves out unanswerable MuSiQue questions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from trace_gym.core.errors import MalformedData, boundary


@dataclass(frozen=True, slots=True)
class Record:
    """A question with its paragraphs (title, text); `support` names the titles that hold its facts, in the
    order of the hops; every answer in `answers` is accepted, the first is the gold one."""

    id: str
    source: str
    question: str
    answers: tuple[str, ...]
    paragraphs: tuple[tuple[str, str], ...]
    support: tuple[str, ...]


def read_records(path: str | Path) -> list[Record]:
    """The answerable questions of a file, in order. Raises MalformedData naming file, line and field."""
    with boundary(MalformedData, OSError, UnicodeDecodeError, what=f"{path} cannot be read"):
        text = Path(path).read_text(encoding="utf-8-sig")
    records: list[Record] = []
    seen: dict[str, int] = {}
    for line, raw in _objects(text, str(path)):
        where = f"{path}, line {line}"
        record = _record(raw, where)
        if record is None:
            continue
        if record.id in seen:
            raise MalformedData(f"{where}: field 'id': {record.id!r} is also in line {seen[record.id]}")
        seen[record.id] = line
        records.append(record)
    if not records:
        raise MalformedData(f"{path}, line 1: there is no answerable question")
    return records


def _columns(names: tuple[str, str]) -> BeforeValidator:
    """Turns {"title": [...], other: [...]} into a list of pairs; leaves everything else as it is."""

    def paired(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        first, second = (value.get(name) for name in names)
        if not (isinstance(first, list) and isinstance(second, list) and len(first) == len(second)):
            raise ValueError(f"needs lists {names[0]!r} and {names[1]!r} of equal length")
        return [list(pair) for pair in zip(first, second, strict=True)]

    return BeforeValidator(paired)


class _Model(BaseModel):
    model_config = ConfigDict(strict=False, extra="ignore", coerce_numbers_to_str=False)


class _Hotpot(_Model):
    id: str = Field(alias="_id", min_length=1)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    context: Annotated[list[tuple[str, list[str]]], _columns(("title", "sentences"))] = Field(min_length=1)
    supporting_facts: Annotated[list[tuple[str, int]], _columns(("title", "sent_id"))] = Field(min_length=1)

    def record(self, source: str) -> Record:
        paragraphs = tuple((title, "".join(_spaced(sentences))) for title, sentences in self.context)
        support = tuple(dict.fromkeys(title for title, _ in self.supporting_facts))
        return Record(self.id, source, self.question, (self.answer,), paragraphs, support)


class _Paragraph(_Model):
    idx: int
    title: str
    paragraph_text: str


class _Step(_Model):
    paragraph_support_idx: int | None = None


class _Musique(_Model):
    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    answer_aliases: list[str] = Field(default_factory=list)
    paragraphs: list[_Paragraph] = Field(min_length=1)
    question_decomposition: list[_Step] = Field(min_length=1)

    def record(self, source: str) -> Record:
        titles = {p.idx: p.title for p in self.paragraphs}
        steps = [step.paragraph_support_idx for step in self.question_decomposition]
        support = tuple(dict.fromkeys(titles.get(i, f"paragraph {i}") for i in steps if i is not None))
        texts = tuple((p.title, p.paragraph_text) for p in self.paragraphs)
        answers = (self.answer, *self.answer_aliases)
        return Record(self.id, source, self.question, answers, texts, support)


M = TypeVar("M", _Hotpot, _Musique)


def _record(raw: object, where: str) -> Record | None:
    """The record, or None for an unanswerable question."""
    if not isinstance(raw, dict):
        raise MalformedData(f"{where}: field '': must be an object, got {type(raw).__name__}")
    if "paragraphs" in raw:
        if raw.get("answerable", True) is False:
            return None
        record = _validated(_Musique, raw, where).record("musique")
        facts = "question_decomposition"
    elif "context" in raw:
        fixed = {"_id": raw["id"], **raw} if "id" in raw else raw
        record = _validated(_Hotpot, fixed, where).record("2wiki" if "evidences" in raw else "hotpotqa")
        facts = "supporting_facts"
    else:
        raise MalformedData(f"{where}: field 'context': missing (and so is 'paragraphs')")
    known = {title for title, _ in record.paragraphs}
    for title in record.support or ("any paragraph",):
        if title not in known:
            raise MalformedData(f"{where}: field {facts!r}: {title!r} is not among the paragraphs")
    return record


def _validated(model: type[M], raw: Mapping[str, Any], where: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise MalformedData(f"{where}: field {field!r}: {first['msg']}") from error


def _objects(text: str, path: str) -> Iterator[tuple[int, object]]:
    """Every record with the line it begins in."""
    decoder = json.JSONDecoder()
    array = text.lstrip().startswith("[")
    at = text.index("[") + 1 if array else 0
    line, counted, between = 1, 0, False
    while True:
        at = _skip(text, at)
        line, counted = line + text.count("\n", counted, at), at
        where = f"{path}, line {line}: field ''"
        ended = text[at : at + 1]
        if array and ended == "]":
            if _skip(text, at + 1) < len(text):
                raise MalformedData(f"{where}: there is text after the array")
            return
        if array and between:
            if ended != ",":
                raise MalformedData(f"{where}: expected a comma or the end of the array")
            at, between = at + 1, False
            continue
        if not array and not ended:
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise MalformedData(f"{where}: not valid JSON: {error}") from error
        between = True
        yield line, value


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _spaced(sentences: list[str]) -> Iterator[str]:
    """Sentences with a space between them where they bring none."""
    for i, sentence in enumerate(sentences):
        yield (
            sentence
            if i == 0 or sentence.startswith(" ") or sentences[i - 1].endswith(" ")
            else f" {sentence}"
        )
