"""Calls whose cost has no bound are refused before they run: what an agent asks for never hangs the gym.

The bounds lie far beyond anything the tasks need. Leaves out the checks of types and names, which the
toolbox has made already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_BITS = 50_000
MAX_DIGITS = 5_000
MAX_DIRECTORIES = 100
MAX_ENTRIES = 5_000

_GROW_OR_WALK = frozenset({"cp", "du", "find", "mkdir", "mv", "touch"})


def refusal(service: Any, name: str, arguments: Mapping[str, Any]) -> str | None:
    """Why the call `name` on the backend `service` is not run; None: it may run."""
    match name:
        case "power":
            base, exponent = arguments["base"], arguments["exponent"]
            whole = isinstance(base, int) and isinstance(exponent, int)
            if whole and abs(base) > 1 and base.bit_length() * exponent > MAX_BITS:
                return "the result is too large"
        case "logarithm" | "square_root" if abs(arguments["precision"]) > MAX_DIGITS:
            return f"the precision must be at most {MAX_DIGITS} digits"
        case "round_number" if abs(arguments.get("decimal_places", 0)) > MAX_DIGITS:
            return f"decimal_places must lie between {-MAX_DIGITS} and {MAX_DIGITS}"
        case _ if name in _GROW_OR_WALK:
            return _sprawl(service.root, service._current_dir)
    return None


def _sprawl(*starts: Any) -> str | None:
    """A directory copy shares what is in it with the original, so that a tree can fold into itself: few
    directories then make an endless or exponential tree to walk, and many a long way for a deep copy."""
    seen: set[int] = set()
    pending = list(starts)
    while pending:
        directory = pending.pop()
        if directory is not None and id(directory) not in seen:
            seen.add(id(directory))
            pending += [directory.parent, *_inside(directory)]
    if len(seen) > MAX_DIRECTORIES:
        return f"the file system has more than {MAX_DIRECTORIES} directories"
    entries, pending = 0, list(starts)
    while pending:
        directory = pending.pop()
        entries += len(directory.contents)
        if entries > MAX_ENTRIES:
            return f"the directory tree has more than {MAX_ENTRIES} entries"
        pending += _inside(directory)
    return None


def _inside(directory: Any) -> list[Any]:
    return [item for item in directory.contents.values() if hasattr(item, "contents")]
