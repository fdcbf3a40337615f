"""Grading: a candidate answers calls in a sandbox that has seen nothing else, and plain values come back.

For the hidden check three processes that never share memory are at work: one that runs the check on the
reference solution and notes the calls it makes, the sandbox where the candidate answers them, and one that
runs the check again on those answers (`judge.py`). The candidate never meets the check or what it expects;
nothing but built-in values of bounded size leaves the sandbox. Whatever the candidate does is its failure,
never that of the environment. Leaves out when grading happens.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from trace_gym.core.errors import EnvironmentFailed, boundary
from trace_gym.core.sandbox import ExecResult, Sandbox
from trace_gym_envs.humaneval.candidate import decode, encode
from trace_gym_envs.humaneval.problems import Problem, problems
from trace_gym_envs.script import PYTHON, SCRIPT_ENV, ended, steady

ANSWER_BYTES: Final = 64 << 10
JUDGE_TIMEOUT_S: Final = 30.0

_CANDIDATE: Final = Path(__file__).with_name("candidate.py").read_text(encoding="utf-8")
_ROOT: Final = str(Path(__file__).parents[2])
_JUDGE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from trace_gym_envs.humaneval.judge import main; main()"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call: a plain `value`, or, where `trouble` says why, none."""

    value: Any = None
    trouble: str | None = None

    @property
    def told(self) -> str:
        """The answer in a short phrase."""
        text = f"gave {self.value!r}" if self.trouble is None else self.trouble
        return text if len(text) <= 200 else f"{text[:199]}…"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the hidden check says, with the reason."""

    passed: bool
    evidence: str


def answers(
    box: Sandbox, problem: Problem, code: str, calls: Sequence[Any], *, timeout_s: float
) -> tuple[Answer, ...]:
    """What `code`, below the problem's header, answers to each call (encoded lists of arguments).

    `box` should be fresh. All calls together have `timeout_s` seconds. Raises SandboxFailed.
    """
    job = {"code": f"{problem.header}{code}", "name": problem.name, "calls": list(calls)}
    command = [*PYTHON, "-c", _CANDIDATE]
    result = box.run(command, stdin=json.dumps(job).encode(), env=SCRIPT_ENV, timeout_s=timeout_s)
    lines = result.stdout.splitlines()
    if result.truncated or len(lines) > len(calls):
        return (Answer(trouble="the channel of the answers was written to"),) * len(calls)
    given = [_read(line) for line in lines]
    silent = Answer(trouble=_silence(result, box, timeout_s))
    return tuple(given) + (silent,) * (len(calls) - len(given))


def decide(box: Sandbox, problem: Problem, code: str, *, timeout_s: float) -> Decision:
    """Does `code` pass the problem's hidden check? A call without a plain value fails it: no check expects
    one to raise. Raises SandboxFailed, EnvironmentFailed."""
    calls = _noted(problem.id)
    given = answers(box, problem, code, calls, timeout_s=timeout_s)
    silent = next((place for place, answer in enumerate(given) if answer.trouble is not None), None)
    if silent is not None:
        return Decision(False, f"call {silent + 1} of {len(calls)} {given[silent].told}")
    values = [encode(answer.value) for answer in given]
    found = _process({"work": "judge", **_about(problem), "calls": calls, "values": values})
    if found is None:
        return Decision(False, "the hidden check does not come to an end on these answers")
    reached = int(found["reached"])
    if found["passed"]:
        return Decision(True, f"the hidden check holds in all {reached} calls")
    why = str(found["why"]).removesuffix(": ")
    return Decision(
        False,
        f"the hidden check fails at call {reached} of {len(calls)}, which {given[reached - 1].told} ({why})",
    )


@cache
def _noted(identifier: str) -> tuple[Any, ...]:
    """The calls that a problem's hidden check makes, noted once per process."""
    problem = problems()[identifier]
    found = _process({"work": "note", **_about(problem)})
    if found is None:
        raise EnvironmentFailed(f"{identifier}: the reference solution takes too long")
    return tuple(found["calls"])


def _about(problem: Problem) -> dict[str, Any]:
    return {"problem": problem.secret, "seed": problem.seed}


def _process(job: dict[str, Any]) -> dict[str, Any] | None:
    """Hand a job to `judge.py` in a process of its own; None where it used up its CPU time."""
    command = [sys.executable, "-I", "-S", "-c", _JUDGE, _ROOT]
    with boundary(
        EnvironmentFailed, OSError, subprocess.SubprocessError, ValueError, what="the judge failed"
    ):
        done = subprocess.run(
            command, input=json.dumps(job), capture_output=True, text=True, timeout=JUDGE_TIMEOUT_S
        )
        if done.returncode == -signal.SIGXCPU:
            return None
        if done.returncode != 0:
            raise ValueError(f"exit code {done.returncode}: {done.stderr[-500:]}")
        found: dict[str, Any] = json.loads(done.stdout)
    return found


def _read(line: bytes) -> Answer:
    """What a line of the candidate's process claims."""
    if len(line) > ANSWER_BYTES:
        return Answer(trouble=f"gave more than {ANSWER_BYTES} bytes")
    try:
        claim = json.loads(line)
        if type(claim) is dict and list(claim) == ["returned"]:
            return Answer(decode(claim["returned"]))
        if type(claim) is dict and list(claim) == ["raised"] and type(claim["raised"]) is str:
            return Answer(trouble=f"raised {steady(claim['raised'])[:200]}")
    except (ValueError, RecursionError):
        return Answer(trouble="gave something that is no plain value")
    return Answer(trouble="gave something that is no answer")


def _silence(result: ExecResult, box: Sandbox, timeout_s: float) -> str:
    how = ended(result, box.spec.limits, timeout_s=timeout_s) or "ended early"
    return f"gave no answer: the program was {how}" if how.startswith("stopped") else f"gave no answer: {how}"
