"""Low-rank adapters (LoRA, arXiv 2106.09685) on all linear layers of a model but its head; the only importer
of peft.

The model stays what it is, a Hugging Face model, with adapters inside; its other weights are frozen. Leaves
out quantised base weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

NAME = "default"
BASE = ".base_layer"
PREFIX = "base_model.model."
"""How peft names the model that an adapter belongs to."""


class Adapter:
    """Adapters of one rank, put into `model` in place; they change nothing until they are trained."""

    def __init__(self, model: PreTrainedModel, *, rank: int, alpha: float, seed: int) -> None:
        self._model = model
        self.base_mark = fingerprint(model.parameters())
        self._config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
            task_type="CAUSAL_LM",
        )
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            inject_adapter_in_model(self._config, model, adapter_name=NAME)
        for name, weight in model.named_parameters():
            weight.requires_grad_("lora_" in name)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The model without its adapters, while this lasts."""
        layers = [module for module in self._model.modules() if isinstance(module, LoraLayer)]
        trained = [weight for weight in self._model.parameters() if weight.requires_grad]
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)
            for weight in trained:
                weight.requires_grad_(True)

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the plain model, adapters added in, from the `weights` of the model with adapters."""
        found: dict[str, Tensor] = {}
        layers = self._layers()
        for name, weight in weights.items():
            if "lora_" in name:
                continue
            if BASE in name:
                at = name.partition(BASE)[0]
                down = weights.get(f"{at}.lora_A.{NAME}.weight")
                if name.endswith(".weight") and down is not None:
                    layer = layers[at]
                    added = layer.scaling[NAME] * (weights[f"{at}.lora_B.{NAME}.weight"] @ down)
                    weight = weight + (added.t() if layer.fan_in_fan_out else added).to(weight.dtype)
            found[name.replace(BASE, "")] = weight
        return found

    def own(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What of `weights` is the adapters'."""
        return {name: weight for name, weight in weights.items() if "lora_" in name}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take the adapters' weights that `own` gave."""
        mine = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, weight in weights.items():
                mine[name].copy_(weight)

    def fits(self, mark: str | float) -> bool:
        """Are these the base weights of that `base_mark`? A number is what older checkpoints hold, the sum of
        all weights: it depends on how many threads add, so nearly equal must do."""
        if isinstance(mark, str):
            return self.base_mark == mark
        total, size = _sums(w for name, w in self._model.named_parameters() if "lora_" not in name)
        return math.isclose(total, mark, rel_tol=0.0, abs_tol=1e-12 * size)

    def write(self, folder: Path, weights: Mapping[str, Tensor], *, base: Path | None) -> None:
        """The adapters as peft keeps them, in `folder`, for engines that load adapters; `base`: where the
        weights lie that they belong to."""
        folder.mkdir()
        named = {
            PREFIX + name.replace(f".{NAME}.", "."): w.contiguous() for name, w in self.own(weights).items()
        }
        save_file(named, folder / "adapter_model.safetensors")
        self._config.base_model_name_or_path = None if base is None else str(base.absolute())
        self._config.save_pretrained(str(folder))

    def _layers(self) -> dict[str, LoraLayer]:
        modules = self._model.named_modules()
        return {name: module for name, module in modules if isinstance(module, LoraLayer)}


@torch.no_grad()
def fingerprint(weights: Iterable[Tensor]) -> str:
    """What other weights would hardly have, of float32 or float64: a digest of the sum of each one's bits,
    read as whole numbers. Those add up to the same in any order, so on any number of threads."""
    sums = [int(weight.reshape(-1).view(torch.int32).sum(dtype=torch.int64)) for weight in weights]
    return sha256(repr(sums).encode()).hexdigest()


@torch.no_grad()
def _sums(weights: Iterable[Tensor]) -> tuple[float, float]:
    """The sum of all weights, and that of their sizes."""
    total = size = 0.0
    for weight in weights:
        wide = weight.double()
        total, size = total + wide.sum().item(), size + wide.abs().sum().item()
    return total, size
