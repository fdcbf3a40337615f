"""Checkpoints as files: a Hugging Face model folder with the trainer's state in it, written all or not at
all.

Leaves out what the state means (`trainer.py`) and which checkpoints to keep.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trace_gym.core.errors import RunFolderError, boundary
from trace_gym.model.quiet import quiet

STATE_FILE = "trainer.pt"
TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "chat_template*",
    "*.model",
)


def write_checkpoint(
    folder: Path,
    *,
    model: PreTrainedModel,
    weights: Mapping[str, Tensor],
    state: Mapping[str, Any],
    tokenizer_from: Path | None,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Write everything next to `folder` under another name, then rename: `weights` as those of the model,
    what `beside` writes into the folder, and the state. An earlier checkpoint there is replaced;
    RunFolderError if something else is there, or if the disk refuses."""
    if folder.exists() and not (folder / STATE_FILE).is_file():
        raise RunFolderError(f"{folder} exists and is no checkpoint; nothing was overwritten")
    part, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("part", "old"))
    with boundary(RunFolderError, OSError, what=f"cannot write the checkpoint {folder}"), quiet():
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        model.save_pretrained(part, state_dict=dict(weights))
        if beside is not None:
            beside(part)
        for pattern in TOKENIZER_FILES if tokenizer_from else ():
            for file in sorted(tokenizer_from.glob(pattern)) if tokenizer_from else ():
                shutil.copyfile(file, part / file.name)
        torch.save(dict(state), part / STATE_FILE)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def read_state(folder: Path) -> dict[str, Any]:
    """The trainer's state from a checkpoint folder; RunFolderError if there is none."""
    if not (folder / STATE_FILE).is_file():
        raise RunFolderError(f"{folder} is no checkpoint of a trainer: it has no {STATE_FILE}")
    with boundary(RunFolderError, Exception, what=f"cannot read the checkpoint {folder}"):
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    return state


def base_folder(state: Mapping[str, Any], folder: Path, *, rank: int) -> Path:
    """Where the weights lie that training goes on from: those that a checkpoint's adapters belong to, or its
    own without adapters. RunFolderError if they are gone, or for adapters of another `rank` (0: none)."""
    before = state["config"].get("lora_rank", 0)
    if rank != before:
        raise RunFolderError(f"{folder} was trained with lora_rank = {before} and cannot go on with {rank}")
    if not before:
        return folder
    home = Path(state["base"]["folder"])
    if not (home / "config.json").is_file():
        raise RunFolderError(f"{folder} holds adapters of the model in {home}, which is not there any more")
    return home.absolute()


def demand_base(fits: bool, base: Mapping[str, Any], folder: Path) -> None:
    """RunFolderError unless the base weights are those that the adapters were trained on."""
    if not fits:
        raise RunFolderError(f"the model in {base['folder']} is not the one that {folder} has adapters for")
