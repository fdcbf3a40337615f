"""One contract for packed trees on every device: several optimiser steps of a Hugging Face model, with real
branches, grouped heads and tied embeddings, end where leaf-by-leaf training ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from trace_gym.core.tree import Forest
from trace_gym.train.config import TrainConfig
from trace_gym.train.trainer import Trainer

STEPS = 4
VOCAB = 31
ADVICE = pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")
"""What the compiler of CUDA kernels says where float32 is asked for."""
DEVICES = ("cpu", pytest.param("cuda", marks=(pytest.mark.needs("cuda"), ADVICE)))


def model(kind: str, device: str) -> Any:
    shape = {
        "vocab_size": VOCAB,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
    }
    torch.manual_seed(0)
    made = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen3": (Qwen3ForCausalLM, Qwen3Config)}[kind]
    return made[0](made[1](**shape)).to(device)


def forests(gardeners: Any) -> list[Forest]:
    """Branching trees, each step's of another size: rows of several tiles, one tree of several rows."""
    made = []
    for step in range(STEPS):
        garden = gardeners(300 + step, tokens=(6, 20))
        for _ in range(2 + step):
            garden.wild()
        made.append(garden.forest(step))
    return made


def trained(trainer: Trainer, steps: list[Forest]) -> list[tuple[dict[str, torch.Tensor], dict[str, float]]]:
    trail = []
    for forest in steps:
        metrics = trainer.update(forest)
        grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
        trail.append((grads, metrics))
    return trail


def far(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """The largest difference relative to the largest entry of each tensor."""
    assert left.keys() == right.keys()
    return max(float((left[n] - right[n]).abs().max() / right[n].abs().max()) for n in left)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("llama", {"loss": "dapo", "epochs": 2, "token_budget": 4096}),
        ("qwen3", {"loss": "gspo", "epochs": 2, "kl": 0.05, "token_budget": 700, "clip_low": 0.1}),
    ],
)
def test_packed_training_is_leaf_by_leaf_training(
    gardeners: Any, device: str, kind: str, options: dict[str, Any]
) -> None:
    steps = forests(gardeners)
    runs = []
    for packed in (True, False):
        config = TrainConfig(lr=3e-3, eps=1e-4, minibatches=2, packed=packed, seed=1, **options)
        trainer = Trainer(model(kind, device), config)
        runs.append((trainer, trained(trainer, steps)))
    (packed_run, packed_trail), (plain_run, plain_trail) = runs
    assert packed_run.mask_free
    for (left, left_metrics), (right, right_metrics) in zip(packed_trail, plain_trail, strict=True):
        assert left_metrics["optimiser_steps"] == 4.0
        assert left_metrics["tokens_unique"] < left_metrics["tokens_raw"]
        assert far(left, right) < 1e-3
        assert left_metrics["grad_norm"] == pytest.approx(right_metrics["grad_norm"], rel=1e-4)
    if device == "cuda":
        assert packed_trail[-1][1]["tokens_computed"] % 128 == 0
    ends = dict(plain_run.model.named_parameters())
    for name, found in packed_run.model.named_parameters():
        torch.testing.assert_close(found, ends[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_and_recomputed_layers_train_alike(gardeners: Any, device: str) -> None:
    """Weights stay float32; recomputing layers changes no gradient; bfloat16 is near."""
    (forest,) = forests(gardeners)[:1]
    found = []
    for dtype, lean in (("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)):
        config = TrainConfig(lr=0.0, epochs=1, max_grad_norm=1e9, dtype=dtype, lean=lean)  # type: ignore[arg-type]
        trainer = Trainer(model("llama", device), config)
        ((grads, _),) = trained(trainer, [forest])
        assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
        found.append(grads)
    plain, lean_plain, narrow, lean_narrow = found
    assert far(lean_plain, plain) < 1e-5
    assert far(lean_narrow, narrow) < 1e-2
    flat, near = (torch.cat([g.flatten() for g in grads.values()]) for grads in (plain, narrow))
    assert float((flat - near).norm() / flat.norm()) < 0.05
