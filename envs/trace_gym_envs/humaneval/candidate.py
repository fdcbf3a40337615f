"""The program inside the sandbox that calls a candidate, and the encoding in which values pass the border.

Its text is handed to the sandbox's Python, so it imports the standard library only. It shares its process
with the candidate, which can make it say anything: whatever it says is nothing but a claim, "this call
returned that value", and the values that can be claimed are plain built-in ones. What they should be is not
known here.

Only None, bool, int, float, str, list, tuple, set and dict pass, of exactly these types, and the three
dictionaries of `collections`, as the dictionaries that they equal. Leaves out judging.
"""

import json
import os
import random
import sys
from collections import Counter, OrderedDict, defaultdict
from types import ModuleType
from typing import Any

MAX_DEPTH = 32
_PLAIN = (type(None), bool, int, float, str)
_DICTIONARIES = (dict, Counter, OrderedDict, defaultdict)


def encode(value: Any, depth: int = 0) -> Any:
    """A built-in value as JSON data that keeps its type. Raises ValueError for anything else."""
    if depth > MAX_DEPTH:
        raise ValueError("the value is nested too deeply")
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    if kind in (tuple, set):
        return {kind.__name__: [encode(item, depth + 1) for item in value]}
    if kind in _DICTIONARIES:
        return {"dict": [[encode(key, depth + 1), encode(value[key], depth + 1)] for key in value]}
    raise ValueError(f"a value of type {kind.__name__} is no plain built-in value")


def decode(data: Any, depth: int = 0) -> Any:
    """The value that `encode` made `data` of. Raises ValueError for data that it cannot have made."""
    if depth > MAX_DEPTH:
        raise ValueError("the value is nested too deeply")
    if type(data) in _PLAIN:
        return data
    if type(data) is list:
        return [decode(item, depth + 1) for item in data]
    if type(data) is dict and len(data) == 1:
        [(kind, items)] = data.items()
        if kind in ("tuple", "set", "dict") and type(items) is list:
            parts = [decode(item, depth + 1) for item in items]
            try:
                return {"tuple": tuple, "set": set, "dict": dict}[kind](parts)
            except (TypeError, ValueError):
                raise ValueError(f"not the parts of a {kind}") from None
    raise ValueError("not an encoded value")


def told(error: BaseException) -> str:
    """An exception in a short line, whatever its class does when it is printed."""
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except BaseException:  # noqa: BLE001 (the candidate chose the class)
        return type(error).__name__[:200]


def main() -> None:
    """Read a job (code, name of the function, arguments of each call) and answer each call with a line.

    What the candidate prints goes nowhere: the answers have the only open channel.
    """
    job = json.loads(sys.stdin.buffer.read())
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    random.seed(0)
    module = ModuleType("solution")
    sys.modules["solution"] = module
    trouble: Any = None
    function: Any = None
    try:
        exec(compile(job["code"], "solution.py", "exec"), vars(module))
        function = vars(module)[job["name"]]
    except BaseException as error:  # noqa: BLE001 (the candidate's)
        trouble = told(error)
    for arguments in job["calls"]:
        line = json.dumps({"raised": trouble})
        if trouble is None:
            try:
                line = json.dumps({"returned": encode(function(*decode(arguments)))})
            except BaseException as error:  # noqa: BLE001 (the candidate's)
                line = json.dumps({"raised": told(error)})
        answers.write(line + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
