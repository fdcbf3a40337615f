"""Do the weights in one model folder fit where those of another are? Looks at names and shapes alone."""

from __future__ import annotations

import json
from pathlib import Path

LARGEST_HEADER = 100_000_000


def misfit(old: Path, new: Path) -> str | None:
    """Why the weights in the folder `new` cannot take the place of those in `old`; None where they can, or
    where `old` cannot be read."""
    try:
        there = shapes(new)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    try:
        here = shapes(old)
    except (OSError, ValueError):
        return None
    odd = sorted({name for name, _ in set(here.items()) ^ set(there.items())})
    return f"they are of another shape: {', '.join(odd[:3])}" if odd else None


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a folder's safetensors files. Raises OSError, ValueError."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"there are no safetensors files in {folder}")
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            if size > LARGEST_HEADER:
                raise ValueError(f"{file} is no safetensors file")
            header = json.loads(opened.read(size))
        found |= {n: tuple(t["shape"]) for n, t in header.items() if n != "__metadata__"}
    return found
