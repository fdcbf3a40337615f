"""The benchmark's entries as tasks: 200 dialogues, each in four variants.

* `base`: every request can be met at once.
* `miss_func`: tools are held out until the user says, in a turn of its own, that there are more.
* `miss_param`: a request lacks something that the user only tells in the next turn.
* `long_context`: `base` with services that answer at great length.

The variants of a dialogue share services and reference, so they are one family. Split: of the 200
dialogues, ordered by a hash of their number, the first 40 are the test split. Leaves out the other
categories of the benchmark.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from trace_gym.core.errors import MalformedData
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.dataset import Record, read_jsonl

SUITE = "bfcl"
SUBSETS = ("base", "miss_func", "miss_param", "long_context")
DIALOGUES = 200
TEST_DIALOGUES = 40


def read_tasks(root: Path, *, more: str, steps_per_turn: int) -> tuple[Task, ...]:
    """All 800 tasks of the unpacked wheel, subset by subset; `more` is what the user says where tools are
    added. Raises MalformedData.

    A payload holds `entry` (the benchmark's id), `users` (what the user says, turn by turn), `gold` (per user
    turn, calls as Python expressions), `classes` and `config` of the services, `long_context`, and
    `held_out`, the user turn in which a tool that is missing at first is added.
    """
    tests = _test_indices()
    return tuple(
        _task(question, answer, subset=subset, tests=tests, more=more, steps_per_turn=steps_per_turn)
        for subset in SUBSETS
        for question, answer in _pairs(root, subset)
    )


def _test_indices() -> frozenset[int]:
    order = sorted(range(DIALOGUES), key=lambda i: sha256(f"{SUITE}/{i}".encode()).hexdigest())
    return frozenset(order[:TEST_DIALOGUES])


def _pairs(root: Path, subset: str) -> list[tuple[Record, Record]]:
    """Question and answer of every entry of a subset."""
    name = f"BFCL_v4_multi_turn_{subset}.json"
    folder = root / "bfcl_eval" / "data"
    questions, answers = read_jsonl(folder / name), read_jsonl(folder / "possible_answer" / name)
    if len(questions) != len(answers):
        raise MalformedData(f"{folder / name}: {len(questions)} entries, but {len(answers)} answers")
    for question, answer in zip(questions, answers, strict=True):
        if question.get("id", str) != answer.get("id", str):
            raise answer.malformed("id", f"answers {answer.data['id']}, expected {question.data['id']}")
    return list(zip(questions, answers, strict=True))


def _task(
    question: Record, answer: Record, *, subset: str, tests: frozenset[int], more: str, steps_per_turn: int
) -> Task:
    entry = question.get("id", str)
    number = entry.removeprefix(f"multi_turn_{subset}_")
    if not number.isdecimal() or int(number) >= DIALOGUES:
        raise question.malformed(
            "id", f"must be multi_turn_{subset}_ and a number below {DIALOGUES}, got {entry}"
        )
    gold = answer.get("ground_truth", list)
    users = [_said(turn, question) or more for turn in question.get("question", list)]
    if len(users) != len(gold):
        raise answer.malformed("ground_truth", f"has {len(gold)} turns, the user has {len(users)}")
    payload: dict[str, Any] = {
        "entry": entry,
        "users": users,
        "gold": gold,
        "classes": question.get("involved_classes", list),
        "config": question.get("initial_config", dict),
        "long_context": subset == "long_context",
        "held_out": _held_out(question, gold),
    }
    return Task(
        id=f"{subset}/{number}",
        suite=SUITE,
        split=Split.TEST if int(number) in tests else Split.TRAIN,
        family=f"{SUITE}/{number}",
        subset=subset,
        payload=payload,
        limits=Limits(max_turns=len(users) * (steps_per_turn + 1)),
    )


def _said(turn: Any, question: Record) -> str:
    """The text of a user turn; empty where the turn only adds tools."""
    if not isinstance(turn, list) or not all(
        isinstance(m, dict) and isinstance(m.get("content"), str) for m in turn
    ):
        raise question.malformed("question", "every turn must be a list of messages with a content")
    return "\n".join(message["content"] for message in turn)


def _held_out(question: Record, gold: list[list[str]]) -> dict[str, int]:
    """Tools missing at first, with the user turn that adds each.

    One entry (miss_func/49) holds out a tool that its own reference calls earlier, so nobody could solve it
    with the tools shown; such a tool is not held out.
    """
    missing: dict[str, int] = {}
    for turn, names in (question.optional("missed_function", dict) or {}).items():
        used = {call.partition("(")[0].strip() for calls in gold[: int(turn)] for call in calls}
        missing |= {name: int(turn) for name in names if name not in used}
    return missing
