"""What holds after a step: named verdicts with evidence, and the score they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite


class Status(StrEnum):
    """ERROR: the check itself failed. SKIPPED: not applicable yet. Neither is a failed check."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIPPED = "skipped"

    @property
    def mark(self) -> str:
        """One character: + passed, - failed, ! broken, ? not yet."""
        return {"pass": "+", "fail": "-", "error": "!"}.get(self, "?")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's finding: `score` in [0, 1], `evidence` the proof in words or JSON text. A status may
    also be given as its word."""

    name: str
    status: Status
    score: float
    evidence: str
    weight: float = 1.0
    required: bool = True

    def __post_init__(self) -> None:
        if type(self.status) is not Status:  # "fail" equals Status.FAIL, but is not it
            object.__setattr__(self, "status", _status(self.name, self.status))
        for field, value in (("score", self.score), ("weight", self.weight)):
            if type(value) is not float:  # an array library's number is no JSON data
                object.__setattr__(self, field, _number(self.name, field, value))
        if type(self.required) is not bool:
            object.__setattr__(self, "required", bool(self.required))
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"verdict {self.name!r}: score must lie in [0, 1], got {self.score}")
        if self.weight < 0.0:
            raise ValueError(f"verdict {self.name!r}: weight must not be negative, got {self.weight}")
        if not isfinite(self.weight):
            raise ValueError(f"verdict {self.name!r}: weight must be finite, got {self.weight}")

    @classmethod
    def of(
        cls,
        name: str,
        passed: bool,
        *,
        evidence: str,
        score: float | None = None,
        weight: float = 1.0,
        required: bool = True,
    ) -> Verdict:
        """A verdict from a yes or no; the score is 1 or 0 unless given."""
        status = Status.PASS if passed else Status.FAIL
        worth = float(passed) if score is None else score
        return cls(name, status, worth, evidence, weight=weight, required=required)


def _status(name: str, word: str) -> Status:
    """The status that a word stands for."""
    try:
        return Status(word)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Status)
        raise ValueError(f"verdict {name!r}: status must be one of {known}, got {word!r}") from None


def _number(name: str, field: str, value: float) -> float:
    """What stands for a number as Python's own."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"verdict {name!r}: {field} must be a number, got {value!r}") from None


def success(verdicts: Iterable[Verdict]) -> bool | None:
    """Do all required checks pass? None where a required check has no finding, or there is none."""
    required = [v for v in verdicts if v.required]
    if any(v.status is Status.FAIL for v in required):
        return False
    if not required or any(v.status in (Status.ERROR, Status.SKIPPED) for v in required):
        return None
    return True


def potential(verdicts: Iterable[Verdict]) -> float:
    """The weighted mean score over the checks that have a finding, in [0, 1]; 0 if none has."""
    found = [v for v in verdicts if v.status in (Status.PASS, Status.FAIL)]
    weight = sum(v.weight for v in found)
    return sum(v.weight * v.score for v in found) / weight if weight > 0 else 0.0
