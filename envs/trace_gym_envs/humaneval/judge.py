"""The process that runs a problem's hidden check: code of the dataset alone, never of the agent.

It first runs the check on the reference solution and notes with which arguments that is called (`note`). Once
a candidate has answered the same calls elsewhere, it runs the check again on a stand-in that gives those
answers in turn (`judge`): all that an agent has brought into this process are plain built-in values. Started
by `grader.py` as a program of its own with a time limit; imports the standard library and the encoding only.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trace_gym_envs.humaneval.candidate import decode, encode, told

CPU_SECONDS = 10
MEMORY_BYTES = 2 << 30


class Strayed(BaseException):
    """The check made other calls than those that were noted, as no right answers would have it do."""


def note(problem: Mapping[str, str], seed: int) -> dict[str, Any]:
    """The arguments of every call that the check makes, in order, encoded."""
    scope = _scope(problem)
    reference, calls = scope[problem["name"]], list[Any]()

    def noting(*arguments: Any) -> Any:
        calls.append(encode(list(arguments)))
        return reference(*arguments)

    random.seed(seed)
    scope["check"](noting)
    return {"calls": calls}


def judge(
    problem: Mapping[str, str], seed: int, *, calls: Sequence[Any], values: Sequence[Any]
) -> dict[str, Any]:
    """Does the check pass on these values, encoded, one for each call? `reached` is how many calls the check
    had made when it ended, `why` the exception that ended it."""
    scope, reached = _scope(problem), 0

    def answering(*arguments: Any) -> Any:
        nonlocal reached
        place, reached = reached, reached + 1
        if place >= len(calls) or encode(list(arguments)) != calls[place]:
            raise Strayed(f"call {reached} is not the one that was noted")
        return decode(values[place])

    random.seed(seed)
    try:
        scope["check"](answering)
    except (Exception, Strayed) as error:  # noqa: BLE001 (whatever ends a check fails it)
        return {"passed": False, "reached": min(reached, len(calls)), "why": told(error)}
    if reached != len(calls):
        return {"passed": False, "reached": reached, "why": f"{reached} of {len(calls)} calls were made"}
    return {"passed": True, "reached": reached, "why": ""}


def _scope(problem: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """The names that the check sees: those of the prompt, the reference solution, and its own. Some checks
    call helpers of the prompt, one calls the solution by its name and so asks for the reference's result."""
    scope: dict[str, Any] = {"__name__": "check"}
    exec(compile(problem["prompt"] + problem["solution"], "problem.py", "exec"), scope)
    exec(compile(problem["test"], "test.py", "exec"), scope)
    return scope


def main() -> None:
    """Read a job from standard input, write its outcome to standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    job = json.load(sys.stdin)
    work: Callable[..., dict[str, Any]] = note if job.pop("work") == "note" else judge
    json.dump(work(**job), sys.stdout)


if __name__ == "__main__":
    main()
