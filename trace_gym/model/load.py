"""Models by name: the packaged one, any Hugging Face id, any folder; on which device and in which precision.

Attention is SDPA wherever the architecture has it. Leaves out quantised and adapter checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from trace_gym.core.errors import BadConfig, ModelFailed, UnknownName, boundary, unknown
from trace_gym.model.products import quicken
from trace_gym.model.quiet import quiet
from trace_gym.model.smollm2 import smollm2_folder
from trace_gym.model.tokenize import HFTokenizer

PACKAGED = ("smollm2",)
SMALL = 20_000_000
"""Up to so many parameters a model is computed in float32 unless told otherwise: it costs little."""

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A causal language model in evaluation mode, its tokenizer, and the folder both came from."""

    model: PreTrainedModel
    tokenizer: HFTokenizer
    path: Path


def load_model(
    name: str | Path,
    *,
    dtype: Precision | None = None,
    device: str | None = None,
    cache: Path | None = None,
) -> LoadedModel:
    """Load `smollm2`, a folder, or a Hugging Face id `owner/name`.

    `device` defaults to a GPU if there is one; `dtype` to float32 for models of at most 20 million parameters
    and bfloat16 for larger ones. Raises UnknownName, MissingExtra, DatasetUnavailable, ModelFailed.
    """
    folder = model_folder(name, cache=cache)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = precision_of(folder) if dtype is None else getattr(torch, dtype)
    loaded = load_weights(folder, dtype=kind, device=place)
    return LoadedModel(loaded, HFTokenizer.from_folder(folder), folder)


def model_folder(name: str | Path, *, cache: Path | None = None) -> Path:
    """The local folder of a model, fetched first if it is packaged or a Hugging Face id."""
    if str(name) == "smollm2":
        return smollm2_folder(cache)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UnknownName(f"{folder} is no model folder: it has no config.json")
        return folder
    if isinstance(name, Path) or name.startswith((".", "/", "~")):
        raise UnknownName(f"there is no model folder {folder}")
    if name.count("/") != 1:
        raise UnknownName(f"{unknown('model', name, PACKAGED)} Else name a folder, or an id like owner/name.")
    return _downloaded(name)


def demand_device(device: str, key: str) -> None:
    """See that torch knows a device of that name, and has it if it is a GPU, which the configuration's `key`
    gives; nothing is put on it. Raises BadConfig."""
    allowed = "say cpu, cuda or cuda:0, or leave it out"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise BadConfig(f"{key} = {device!r} is no device; {allowed}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadConfig(f"{key} = {device!r}, and torch finds no GPU here; say cpu, or leave it out")


def load_weights(folder: Path, *, dtype: torch.dtype, device: str = "cpu") -> PreTrainedModel:
    """The causal language model in `folder`, on a device, in evaluation mode. Raises ModelFailed."""
    kinds = (OSError, ValueError, RuntimeError, KeyError, AttributeError, ImportError, SafetensorError)
    with boundary(ModelFailed, *kinds, what=f"cannot load the model in {folder}"), quiet():
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    with boundary(ModelFailed, RuntimeError, AssertionError, what=f"cannot use the device {device!r}"):
        model.to(device)  # type: ignore[arg-type]
    model.train(False)
    quicken(model)
    return model


def exchange_weights(live: PreTrainedModel, folder: Path) -> None:
    """Write the weights in `folder` into a live model of the same shape. Raises ModelFailed, and nothing is
    written, if the folder does not fit."""
    weights = load_weights(folder, dtype=live.dtype).state_dict()
    new, old = ({(n, w.shape) for n, w in state.items()} for state in (weights, live.state_dict()))
    if new != old:
        odd = sorted({name for name, _ in new ^ old})
        raise ModelFailed(f"{folder} is of another shape: {', '.join(odd[:3])}")
    live.load_state_dict(weights)


def precision_of(folder: Path) -> torch.dtype:
    """bfloat16 for models that are large, judged by their shape, without reading the weights."""
    with boundary(ModelFailed, OSError, ValueError, KeyError, what=f"cannot read the model in {folder}"):
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"), quiet():
            shape = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return torch.float32 if shape.num_parameters() <= SMALL else torch.bfloat16


def _downloaded(name: str) -> Path:
    """The snapshot of a Hugging Face id, from the hub or from its own cache."""
    files = ["*.json", "*.txt", "*.model", "*.jinja"]
    try:
        with quiet():
            folder = Path(snapshot_download(name, allow_patterns=[*files, "*.safetensors"]))
            if not any(folder.glob("*.safetensors")):
                folder = Path(snapshot_download(name, allow_patterns=[*files, "*.bin"]))
    except (OSError, ValueError) as cause:
        reason = str(cause).strip().partition("\n")[0]
        raise ModelFailed(f"cannot fetch the model {name!r} ({type(cause).__name__}: {reason})") from cause
    return folder
