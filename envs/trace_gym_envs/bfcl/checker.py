"""What the benchmark asks of a user turn when it has ended: its own two checks, as verdicts with evidence.

For a user turn in which the reference makes calls (BFCL v4, `multi_turn_checker`):

* state: every public attribute of every service equals the reference's at the end of that turn;
* response: at least one call was run in that turn, and the results of the reference's calls of that turn are
  all among the results since the start of the dialogue, as often as the reference has them, in any order.

A turn in which the reference makes no call asks for nothing: calls made in it show in the state check of the
next turn. That it should have none is told as a verdict that is neither required nor weighted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trace_gym.core.check import Status, Verdict
from trace_gym_envs.bfcl.backends import World, attributes
from trace_gym_envs.bfcl.gold import GoldTurn

_SHOWN = 160


def judge(
    turn: int, gold: GoldTurn, *, world: World, responses: Sequence[str], called: int
) -> tuple[Verdict, ...]:
    """The verdicts on user turn `turn` as it ends: `responses` are all results since the start of the
    dialogue, `called` counts the calls run in this turn."""
    if not gold.calls:
        return (_quiet(turn, called == 0, f"{called} calls were run; the reference makes none"),)
    return _state(turn, gold, world), _response(turn, gold, responses, called)


def pending(turn: int, gold: GoldTurn) -> tuple[Verdict, ...]:
    """The same verdicts before the turn has ended."""
    if not gold.calls:
        return (_quiet(turn, None, "the turn has not ended"),)
    names = (f"turn_{turn}_state", f"turn_{turn}_response")
    return tuple(Verdict(name, Status.SKIPPED, 0.0, "the turn has not ended") for name in names)


def holds(verdicts: Sequence[Verdict]) -> bool:
    """Is the turn passed?"""
    return all(verdict.status is Status.PASS for verdict in verdicts if verdict.required)


def _quiet(turn: int, passed: bool | None, evidence: str) -> Verdict:
    status = Status.SKIPPED if passed is None else Status.PASS if passed else Status.FAIL
    return Verdict(f"turn_{turn}_no_call", status, float(passed or 0), evidence, weight=0.0, required=False)


def _state(turn: int, gold: GoldTurn, world: World) -> Verdict:
    differences: list[str] = []
    for name, due in gold.state.items():
        came = attributes(world[name])
        for attribute, value in due.items():
            if attribute not in came or came[attribute] != value:
                differences.append(_difference(f"{name}.{attribute}", came.get(attribute), value))
    evidence = "; ".join(differences[:3]) or f"{', '.join(gold.state)} stand as in the reference"
    return Verdict.of(f"turn_{turn}_state", not differences, evidence=evidence)


def _response(turn: int, gold: GoldTurn, responses: Sequence[str], called: int) -> Verdict:
    missing = Counter(gold.responses) - Counter(responses)
    count = missing.total()
    if not called:
        evidence = "no call was run in this turn"
    elif missing:
        evidence = (
            f"{count} of {len(gold.responses)} results are missing, the first: {_short(next(iter(missing)))}"
        )
    else:
        evidence = f"all {len(gold.responses)} results of the reference were seen"
    passed = called > 0 and not missing
    score = 1.0 - count / len(gold.responses) if called else 0.0
    return Verdict.of(f"turn_{turn}_response", passed, evidence=evidence, score=score)


def _difference(path: str, came: Any, due: Any) -> str:
    """The first place, reached along what both have, where two unequal values differ."""
    if type(came) is type(due) and hasattr(due, "contents"):
        came, due = came.contents, due.contents
    if isinstance(came, Mapping) and isinstance(due, Mapping):
        for key in due:
            if key not in came:
                return f"{path}/{key} is missing"
        for key in came:
            if key not in due:
                return f"{path}/{key} is not in the reference"
        for key in due:
            if came[key] != due[key]:
                return _difference(f"{path}/{key}", came[key], due[key])
    return f"{path} is {_short(came)}, in the reference {_short(due)}"


def _short(value: Any) -> str:
    """A value in few words; of a file system's objects only the kind and a file's content."""
    if hasattr(value, "contents"):
        return "a directory"
    if hasattr(value, "content"):
        return f"a file with {_short(value.content)}"
    if isinstance(value, set):
        value = sorted(value)
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
