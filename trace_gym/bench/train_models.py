"""Models for `bench train`, by name: random weights, for values do not change what a gradient costs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen3Config

from trace_gym.model.products import quicken
from trace_gym.model.quiet import quiet

MODELS: Mapping[str, Mapping[str, int]] = {
    "mini": {"hidden": 256, "layers": 4, "heads": 4, "groups": 2, "inner": 768, "vocab": 1024, "head": 64},
    "smollm2-135m": {
        **{"hidden": 576, "layers": 30, "heads": 9, "groups": 3, "inner": 1536},
        **{"vocab": 49152, "head": 64},
    },
    "qwen3-0.6b": {
        **{"hidden": 1024, "layers": 28, "heads": 16, "groups": 8, "inner": 3072},
        **{"vocab": 151936, "head": 128},
    },
}
"""Shapes of models by name, all of Qwen3's kind with tied embeddings."""


def built(name: str, device: torch.device, *, seed: int = 0) -> PreTrainedModel:
    """A model of `MODELS` with random weights in float32, in evaluation mode."""
    m = MODELS[name]
    config = Qwen3Config(
        vocab_size=m["vocab"],
        hidden_size=m["hidden"],
        intermediate_size=m["inner"],
        num_hidden_layers=m["layers"],
        num_attention_heads=m["heads"],
        num_key_value_heads=m["groups"],
        head_dim=m["head"],
        max_position_embeddings=32768,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), quiet(), device:
        torch.manual_seed(seed)
        made: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    made.train(False)
    quicken(made)
    return made
