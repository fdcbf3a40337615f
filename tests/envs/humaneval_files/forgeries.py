"""Tries every forgery of `programs.py` on every problem; each must fail on all, and harm nobody.

`python -m tests.envs.humaneval_files.forgeries [SANDBOX] [RECORD]` takes about half an hour of one core. It
says every ten seconds how far it is, and exits with 1 if a forgery passes or a reference solution does not.
With RECORD, a file, each decision is a line there, and one that is there already is not made again, unless
the program or the sandbox is another.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TextIO

from tests.envs.humaneval_files.programs import FORGERIES
from trace_gym.core.sandbox import SandboxProvider
from trace_gym.environment.sandbox import provider
from trace_gym_envs.humaneval.grader import Decision, decide
from trace_gym_envs.humaneval.problems import problems
from trace_gym_envs.humaneval.suite import SPEC

SOLUTION = "the reference solution"
_EVERY_S = 10.0  # between two lines of progress


def graded(boxes: SandboxProvider, identifier: str, code: str, *, timeout_s: float = 10.0) -> Decision:
    """What the hidden check of a problem says of a program, in a sandbox of its own."""
    problem = problems()[identifier]
    with closing(boxes.open(SPEC)) as box:
        return decide(box, problem, code.replace("NAME", problem.name), timeout_s=timeout_s)


def forged(boxes: SandboxProvider, identifier: str, forgery: str) -> Decision:
    """What the hidden check says of a forgery; it gets a second."""
    return graded(boxes, identifier, FORGERIES[forgery], timeout_s=1.0)


class _Record:
    """Decisions by program and problem, in a file where there is one."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self.passed: dict[tuple[str, str, str], bool] = {}
        if file is not None:
            file.seek(0)
            lines = file.read().splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):  # cut off while it was written
                file.truncate(sum(len(line.encode()) for line in lines[:-1]))
                del lines[-1]
            for line in lines:
                program, identifier, digest, passed = json.loads(line)
                self.passed[program, identifier, digest] = passed

    def add(self, key: tuple[str, str, str], passed: bool) -> None:
        """Keep a decision."""
        self.passed[key] = passed
        if self._file is not None:
            self._file.write(json.dumps([*key, passed]) + "\n")
            self._file.flush()


def _keys(kind: str) -> Iterator[tuple[str, str, str]]:
    """Everything to decide: a program's name, a problem, a digest of the text and the kind of sandbox."""
    for name, problem in problems().items():
        yield SOLUTION, name, _digest(kind, problem.solution)
    for forgery, code in FORGERIES.items():
        for name in problems():
            yield forgery, name, _digest(kind, code)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _passed(boxes: SandboxProvider, key: tuple[str, str, str]) -> bool:
    program, name, _ = key
    if program == SOLUTION:
        return graded(boxes, name, problems()[name].solution).passed
    return forged(boxes, name, program).passed


def _decide(boxes: SandboxProvider, kind: str, record: _Record) -> dict[str, int]:
    """Make every decision that the record lacks; how many problems each program passes."""
    keys = list(_keys(kind))
    missing = [key for key in keys if key not in record.passed]
    begun = told = time.monotonic()
    for count, key in enumerate(missing, start=1):
        record.add(key, _passed(boxes, key))
        now = time.monotonic()
        if now - told >= _EVERY_S or count == len(missing):
            left_s = (now - begun) / count * (len(missing) - count)
            done = len(keys) - len(missing) + count
            print(f"{done} of {len(keys)}, {left_s / 60:.0f} min left: {key[0]}", file=sys.stderr, flush=True)
            told = now
    found = dict.fromkeys((program for program, _, _ in keys), 0)
    for key in keys:
        found[key[0]] += record.passed[key]
    return found


def main() -> None:
    """Every program on every problem; then a line for each."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "auto"
    boxes = provider(kind)
    with ExitStack() as stack:
        file = stack.enter_context(Path(sys.argv[2]).open("a+")) if len(sys.argv) > 2 else None
        found = _decide(boxes, kind, _Record(file))
    solved = found.pop(SOLUTION)
    for forgery, passed in found.items():
        print(f"{forgery}: passes {passed} of {len(problems())}")
    print(f"{len(found)} forgeries passed {sum(found.values())} times; {solved} reference solutions passed")
    sys.exit(0 if not any(found.values()) and solved == len(problems()) else 1)


if __name__ == "__main__":
    main()
