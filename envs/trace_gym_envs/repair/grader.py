"""Judging a package: its sources go into a fresh sandbox, questions are put to it, answers are compared here.

What is expected never enters a sandbox, and nothing in a sandbox decides: see `probes` and `harness`. Leaves
out which tests matter for a task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from trace_gym.core.sandbox import ExecResult, Sandbox
from trace_gym_envs.repair.probes import Expected, Probe, probe
from trace_gym_envs.repair.projects import project
from trace_gym_envs.repair.workspace import LATE

TEST_S: Final = 1.0
ALL_S: Final = 6.0
WALL_S: Final = 40.0
ROOT: Final = "/workspace/judged"

_CONTAINERS: Final[Mapping[str, type]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one test: `why` is empty where it passed."""

    test: str
    why: str = ""

    @property
    def passed(self) -> bool:
        """Did everything come as expected?"""
        return not self.why


class NoValue(ValueError):
    """What was reported is no built-in value."""


@cache
def probes_of(name: str, held_out: bool) -> tuple[Probe, ...]:
    """The probes of a project's tests: those that are shown, or those that are held out."""
    found = project(name)
    files = found.held_out if held_out else found.shown
    return tuple(probe(path, text) for path, text in sorted(files.items()))


@cache
def _harness() -> str:
    return (Path(__file__).parent / "harness.py").read_text("utf-8")


def judge(box: Sandbox, name: str, sources: Mapping[str, str]) -> dict[str, Outcome]:
    """The outcome of every test of a project, shown and held out, for the given sources.

    `box` is reset first; nothing but the sources and the harness is put into it. Raises SandboxFailed.
    """
    probes = probes_of(name, False) + probes_of(name, True)
    report = ask(box, sources, probes)
    outcomes: dict[str, Outcome] = {}
    for each in probes:
        for test, expected in each.expected.items():
            found = report.get(test, report.get(each.name))
            outcomes[test] = Outcome(test, _compared(found, expected))
    return outcomes


def ask(box: Sandbox, sources: Mapping[str, str], probes: tuple[Probe, ...]) -> Mapping[str, Any]:
    """What the harness reports of the probes; where it reports nothing, every probe has the reason as
    error."""
    box.reset()
    request = {
        "root": ROOT,
        "files": dict(sources),
        "probes": [[each.name, each.source] for each in probes],
        "test_s": TEST_S,
        "all_s": ALL_S,
    }
    command = [
        "bash",
        "-c",
        f'ulimit -t {ALL_S:.0f}; exec "$@"',
        "bash",
        "python3",
        "-I",
        "-B",
        "-c",
        _harness(),
    ]
    ended = box.run(command, stdin=json.dumps(request).encode(), timeout_s=WALL_S)
    try:
        report = json.loads(ended.stdout)
    except (ValueError, RecursionError):
        return _all(probes, _silence(ended))
    return report if isinstance(report, dict) else _all(probes, "the run gave no report")


def decoded(data: Any) -> Any:
    """The built-in value that `harness.encoded` wrote. Raises NoValue."""
    if data is None or isinstance(data, (bool, int, str)):
        return data
    if not isinstance(data, dict) or len(data) != 1:
        raise NoValue("a report that cannot be read")
    ((kind, inside),) = data.items()
    if kind == "float" and isinstance(inside, str):
        return float(inside)
    if kind == "other":
        raise NoValue(f"an object of type {inside!s:.40}")
    if kind in _CONTAINERS and isinstance(inside, list):
        return _CONTAINERS[kind](decoded(item) for item in inside)
    if kind == "dict" and isinstance(inside, list):
        return {decoded(key): decoded(value) for key, value in inside}
    raise NoValue("a report that cannot be read")


def _compared(found: Any, expected: tuple[Expected, ...]) -> str:
    """Why a test has not passed; empty if it has."""
    if not isinstance(found, dict):
        return "not reported"
    came = found.get("came", [])
    for number, (got, wanted) in enumerate(zip(came, expected, strict=False), start=1):
        why = _differs(got, wanted)
        if why:
            return f"statement {number} of {len(expected)}: {why}"
    if "error" in found:
        return f"statement {len(came) + 1} of {len(expected)}: {found['error']!s:.200}"
    return "" if len(came) == len(expected) else f"{len(came)} of {len(expected)} statements were reached"


def _differs(got: Any, wanted: Expected) -> str:
    if not isinstance(got, dict):
        return "a report that cannot be read"
    names = got.get("raised")
    if wanted.raises is not None:
        if isinstance(names, list) and wanted.raises in names:
            return ""
        return f"expected {wanted.raises}, came {got.get('said', 'no error')!s:.120}"
    if wanted.anything:
        return "" if names is None else f"came {got.get('said')!s:.120}"
    if names is not None:
        return f"expected {_brief(wanted.value)}, came {got.get('said')!s:.120}"
    try:
        value = decoded(got.get("value", {}))
        same = bool(value == wanted.value)
    except (NoValue, TypeError, ValueError, RecursionError) as error:
        return f"came {error!s:.80}"
    return "" if same else f"expected {_brief(wanted.value)}, came {_brief(value)}"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _silence(ended: ExecResult) -> str:
    if ended.out_of_memory:
        return "ran out of memory"
    late = ended.timed_out or ended.exit_code in LATE
    return "ran out of time" if late else f"ended with {ended.exit_code} and without a report"


def _all(probes: tuple[Probe, ...], reason: str) -> dict[str, Any]:
    return {each.name: {"error": reason} for each in probes}
