"""Do the weights in one model folder fit where those of another are, or an adapter on them? Looks at names
and shapes alone."""

from __future__ import annotations

import json
from pathlib import Path

LARGEST_HEADER = 100_000_000
ADAPTER = "adapter"
"""The folder in a checkpoint that holds its adapter, as peft keeps it."""
CONFIG_FILE = "adapter_config.json"
PREFIX = "base_model.model."


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


def adapter_misfit(model: Path, folder: Path, *, rank: int) -> str | None:
    """Why the adapter in `folder` cannot be put on the model, where the server takes those of at most `rank`;
    None where it can, or where the model cannot be read."""
    if not (folder / CONFIG_FILE).is_file():
        return f"there is none in {folder}; train one (train.lora_rank), or leave lora=true out"
    try:
        base, found = adapter_base(folder), json.loads((folder / CONFIG_FILE).read_text())["r"]
        there = shapes(folder)
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    if found > rank:
        return f"its rank is {found}, and the server was started for at most {rank}"
    if base is not None and base.resolve() != model.resolve():
        return f"it belongs to the model in {base}, and vLLM has the one in {model}"
    try:
        here = shapes(model)
    except (OSError, ValueError):
        return None
    for name, shape in there.items():
        layer, _, side = name.removeprefix(PREFIX).partition(".lora_")
        if shape[1 if side[:1] == "A" else 0] not in here.get(f"{layer}.weight", ()):
            return f"{name} fits no weight of the model in {model}"
    return None


def adapter_base(folder: Path) -> Path | None:
    """The folder of the model that the adapter in `folder` belongs to, if it says. Raises OSError,
    ValueError."""
    base = json.loads((folder / CONFIG_FILE).read_text()).get("base_model_name_or_path")
    return Path(base) if base else None


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
