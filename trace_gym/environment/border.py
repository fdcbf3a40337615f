"""What crosses the border between a suite's code and everybody else: strings and verdicts, checked here.

Leaves out tool arguments, which come the other way and are the toolbox's matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import EnvironmentFailed


def clean(text: str) -> str:
    """The text with unpaired surrogates, which no encoding can hold, replaced by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def string(value: object, source: str) -> str:
    """The value, clean. Raises TypeError, naming its source, if it is no string."""
    if not isinstance(value, str):
        raise TypeError(f"{source} must give a string, got {type(value).__name__}")
    return clean(value)


def verdicts(found: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts, their names and evidence clean.

    Raises TypeError for what is no verdict or has no text as name or evidence, EnvironmentFailed where a
    required check broke: then nobody knows whether the agent succeeded.
    """
    checked: list[Verdict] = []
    for verdict in found:
        if not isinstance(verdict, Verdict):
            raise TypeError(f"checks must yield verdicts, got {type(verdict).__name__}")
        name = string(verdict.name, "the name of a check")
        evidence = string(verdict.evidence, f"the evidence of check {name!r}")
        if verdict.required and verdict.status is Status.ERROR:
            raise EnvironmentFailed(f"required check {name!r} broke: {evidence}")
        if name is not verdict.name or evidence is not verdict.evidence:
            verdict = replace(verdict, name=name, evidence=evidence)
        checked.append(verdict)
    return tuple(checked)
