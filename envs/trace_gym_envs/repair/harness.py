"""Runs beside the code under test, in a sandbox: puts the questions of probes and reports what came.

It knows no answers, so nothing is gained by subverting it: whatever the code under test does in here, it can
only report values, and those are compared elsewhere. Every test runs in a child process of its own, so that
no test sees another's changes and a child that ends or hangs is one test that failed.

Standard input holds `{"root": …, "files": {path: text}, "probes": [[name, source], …], "test_s": …, "all_s":
…}`; standard output gets one line of JSON: test ids to `{"came": […]}`, or to `{"error": …}` beside what came
before the error. Both limits are seconds of processor time, so that a busy machine changes no verdict; who
merely waits is stopped after `PATIENCE` times as much wall time. Leaves out judging. Plain standard library:
it is handed to Python in the sandbox as it is.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import sys
import time
from types import TracebackType
from typing import Any

MAX_BYTES = 65_536
MAX_TEXT = 300
PATIENCE = 10
LATE = "ran out of time"
UNREADABLE = "what it reported cannot be read"


class Probed:
    """What test cases derive from here: they report what comes instead of comparing."""

    def __init__(self) -> None:
        self.came: list[Any] = []

    def seen(self) -> Seen:
        """A block whose value or error is reported."""
        return Seen(self.came)


class Seen:
    """Reports the value that was set in its block, or the names of the classes of the error that came."""

    def __init__(self, came: list[Any]) -> None:
        self._came = came
        self.value: object = None

    def __enter__(self) -> Seen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if kind is None or error is None:
            self._came.append({"value": encoded(self.value)})
            return True
        self._came.append({"raised": [c.__name__ for c in kind.__mro__], "said": said(error)})
        return issubclass(kind, Exception)


def encoded(value: object, depth: int = 0) -> Any:
    """A value as JSON data that tells its type. Only built-in values of exactly these types are values; of
    anything else the type's name is all that is told."""
    kind = type(value)
    if depth > 20:
        return {"other": "too deep"}
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind is dict:
        pairs = [[encoded(k, depth + 1), encoded(v, depth + 1)] for k, v in value.items()]  # type: ignore[attr-defined]
        return {"dict": pairs}
    for known in (list, tuple, set, frozenset):
        if kind is known:
            return {known.__name__: [encoded(item, depth + 1) for item in value]}  # type: ignore[attr-defined]
    return {"other": kind.__name__[:40]}


def said(error: BaseException) -> str:
    """An error in one short line."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  (an error of the code under test may refuse to be shown)
        text = "(cannot be shown)"
    return f"{type(error).__name__}: {text}"[:MAX_TEXT]


def ask(case: type[Probed], method: str, pipe: int) -> None:
    """In the child: run one test and write what came to the pipe."""
    asked = case()
    answer: dict[str, Any] = {}
    try:
        getattr(asked, method)()
    except BaseException as error:  # noqa: BLE001  (everything that the code under test raises is an answer)
        answer["error"] = said(error)
    answer["came"] = asked.came
    with os.fdopen(pipe, "w", encoding="utf-8", errors="replace") as out:
        out.write(json.dumps(answer))


def in_child(case: type[Probed], method: str, seconds: float) -> tuple[dict[str, Any], float]:
    """Run one test in a child process: what it wrote, or why there is nothing, and the processor time that it
    took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
            ask(case, method, writing)
        finally:
            os._exit(0)
    os.close(writing)
    data, end = b"", time.monotonic() + PATIENCE * seconds
    late = False
    while len(data) <= MAX_BYTES:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(reading, MAX_BYTES) if ready else b""
        late = not ready
        if not chunk:
            break
        data += chunk
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    _, _, used = os.wait4(child, 0)
    taken = used.ru_utime + used.ru_stime
    if late or (not data and taken > 0.9 * seconds):
        return {"error": LATE}, taken
    try:
        answer = json.loads(data)
        return (answer if isinstance(answer, dict) else {"error": UNREADABLE}), taken
    except ValueError:
        return {"error": UNREADABLE if data else "ended without a report"}, taken


def main() -> None:
    """Read the request, run every test, write the report."""
    request = json.load(sys.stdin)
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    for path, text in request["files"].items():
        place = os.path.join(request["root"], path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8", errors="replace", newline="") as out:
            out.write(text)
    sys.path.insert(0, request["root"])
    left = request["all_s"]
    results: dict[str, Any] = {}
    for name, source in request["probes"]:
        space: dict[str, Any] = {"__name__": name, "Probed": Probed}
        try:
            exec(compile(source, name, "exec"), space)
        except BaseException as error:  # noqa: BLE001  (a package that cannot be imported is an answer)
            results[name] = {"error": said(error)}
            continue
        cases = [
            c for c in space.values() if isinstance(c, type) and issubclass(c, Probed) and c is not Probed
        ]
        for case in cases:
            for method in [m for m in vars(case) if m.startswith("test")]:
                test = f"{name}.{case.__name__}.{method}"
                results[test] = {"error": LATE}
                if left > 0:
                    results[test], taken = in_child(case, method, request["test_s"])
                    left -= taken
    report.write(json.dumps(results))
    report.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
