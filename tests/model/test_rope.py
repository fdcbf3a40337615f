"""Which models' positions are steady, and how far."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from trace_gym.model.rope import steady_length

SHAPE: dict[str, Any] = {
    "vocab_size": 31,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 64,
    "factor": 4.0,
}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        ({"rope_type": "default", "rope_theta": 1e4}, None),
        ({"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}, None),
        (YARN, None),
        ({"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}, 256),
        (LONGROPE, 64),
    ],
)
def test_company_tells_from_where_positions_are_unsteady(kind: dict[str, Any], length: int | None) -> None:
    """Log-probs of a short row are the same beside a long one up to that length, and not beyond it."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=kind, initializer_range=0.5)).eval()
    assert steady_length(model) == length
    tokens = torch.arange(300)[None] * 7 % 31

    def short(beside: int) -> torch.Tensor:
        at = torch.stack([torch.arange(20).expand(20), torch.arange(beside - 20, beside)])
        with torch.no_grad():
            return model(input_ids=tokens[:, :20].expand(2, 20), position_ids=at).logits[0]

    alone = short(20)
    assert torch.allclose(short(length or 300), alone, atol=1e-4)
    if length is not None:
        assert not torch.allclose(short(length + 1), alone, atol=1e-4)


def test_layers_may_differ() -> None:
    plain = {"rope_type": "default", "rope_theta": 1e4}
    kinds = {"full_attention": {**plain, "rope_type": "dynamic", "factor": 2.0}, "sliding_attention": plain}
    options = {**SHAPE, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}
    model = Gemma3ForCausalLM(Gemma3TextConfig(**options, rope_parameters=kinds))
    assert steady_length(model) == 256


def test_models_without_rotary_positions_are_steady() -> None:
    assert steady_length(GPT2LMHeadModel(GPT2Config(vocab_size=31, n_embd=16, n_layer=1, n_head=2))) is None
