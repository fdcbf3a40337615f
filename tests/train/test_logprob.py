"""The kernel: the same log-probs as a model asked one branch at a time, and refusals where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trace_gym.core.errors import BadConfig
from trace_gym.train.attention import TREE_ATTENTION
from trace_gym.train.credit import credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.pack import Layout, pack


def plain(model: Any, tree: Any, node: int, temperature: float) -> torch.Tensor:
    """log pi of a turn's action, from one forward pass over its path."""
    path = torch.tensor(tree.tokens(node).tolist())
    logits = model(input_ids=path[None]).logits[0].double() / temperature
    size = len(tree.turns[node].action_ids)
    picked = logits.log_softmax(-1)[:-1].gather(1, path[1:, None])[:, 0]
    return picked[-size:]


def compare(model: Any, tree: Any, *, packed: bool, temperature: float = 1.0) -> float:
    """The largest difference over all trained tokens, matched by their turns' values."""
    made = credit([tree])
    kernel = LogprobKernel(model, temperature=temperature, packed=packed)
    batches, _ = pack(made, Layout(packed=packed))
    with torch.no_grad():
        found = torch.cat([kernel(batch).double() for batch in batches]).sort().values
        nodes = [
            node
            for branch in made[0].branches
            for node in branch.nodes
            if not packed or branch.leaf == min(b.leaf for b in made[0].branches if node in b.nodes)
        ]
        expected = torch.cat([plain(model, tree, node, temperature) for node in nodes]).sort().values
    return float((found - expected).abs().max())


def models() -> dict[str, Any]:
    """Qwen2-MoE writes a window of 0 for none, and of this Qwen2 no layer has the window that it names."""
    shape = {"vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    wide = {**shape, "intermediate_size": 32, "num_key_value_heads": 1, "initializer_range": 0.3}
    return {
        "qwen3": Qwen3ForCausalLM(Qwen3Config(**wide, head_dim=8)),
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=31, n_embd=16, n_layer=2, n_head=2, n_positions=128)),
        "mamba": MambaForCausalLM(
            MambaConfig(vocab_size=31, hidden_size=16, num_hidden_layers=2, state_size=4)
        ),
        "bloom": BloomForCausalLM(BloomConfig(vocab_size=31, hidden_size=16, n_layer=2, n_head=2)),
        "mistral": MistralForCausalLM(MistralConfig(**wide, sliding_window=20)),
        "qwen2_moe": Qwen2MoeForCausalLM(
            Qwen2MoeConfig(**wide, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16)
        ),
        "qwen2": Qwen2ForCausalLM(
            Qwen2Config(**wide, use_sliding_window=True, sliding_window=8, max_window_layers=2)
        ),
    }


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_llama(gardener: Any, small_llama: Any, packed: bool, temperature: float) -> None:
    assert compare(small_llama(), gardener.wild(), packed=packed, temperature=temperature) < 1e-5


@pytest.mark.parametrize("name", ["qwen3", "gpt2", "qwen2_moe", "qwen2"])
def test_other_architectures(gardener: Any, name: str) -> None:
    model = models()[name]
    assert LogprobKernel(model, packed=True).mask_free
    assert compare(model, gardener.wild(), packed=True) < 1e-5
    assert compare(model, gardener.wild(), packed=False) < 1e-5
    assert not model.training


@pytest.mark.parametrize(("lean", "packed"), [(False, True), (False, False), (True, True)])
def test_the_last_layer_goes_on_where_something_is_asked(
    gardener: Any, small_llama: Any, lean: bool, packed: bool
) -> None:
    """Its feed-forward part sees the places that predict a trained token, each once; lean, all."""
    model, sizes = small_llama(), []
    kernel = LogprobKernel(model, packed=packed, lean=lean)
    (batch,), _ = pack(credit([gardener.wild()]), Layout(packed=packed))
    model.model.layers[-1].mlp.gate_proj.register_forward_hook(
        lambda module, given, found: sizes.append(found.shape[:-1].numel())
    )
    kernel(batch).sum().backward()
    asked = len(set(batch.predictor.tolist()))
    assert asked < batch.token_ids.numel()
    assert set(sizes) == {batch.token_ids.numel() if lean else asked}


def test_a_bound_on_logits_is_seen_while_they_are_small(gardener: Any) -> None:
    """Fresh weights say hardly anything; training makes them loud."""
    torch.manual_seed(0)
    shape = {"vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = Gemma2ForCausalLM(Gemma2Config(**shape, intermediate_size=32, num_key_value_heads=1, head_dim=8))
    kernel, tree = LogprobKernel(model), gardener.wild()
    with torch.no_grad():
        model.lm_head.weight.mul_(200.0)
        (batch,), _ = pack(credit([tree]), Layout(packed=False))
        found = kernel(batch)
        nodes = dict.fromkeys((node, leaf) for _, node, leaf in batch.owner.tolist())
        expected = torch.cat([plain(model, tree, node, 1.0) for node, _ in nodes])
    assert torch.allclose(found.double(), expected, atol=1e-4)


def test_a_head_that_is_not_bare_is_left_to_the_model(gardener: Any, small_llama: Any) -> None:
    class Scaled(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, **inputs: Any) -> Any:
            out = self.inner(**inputs)
            out.logits = 2 * out.logits
            return out

        def __getattr__(self, name: str) -> Any:
            if name in (
                "config",
                "device",
                "dtype",
                "base_model",
                "get_output_embeddings",
                "set_attn_implementation",
            ):
                return getattr(self.inner, name)
            return super().__getattr__(name)

    assert compare(Scaled(small_llama()), gardener.wild(), packed=True) < 1e-5


def test_without_sdpa_masks_are_dense(gardener: Any, small_llama: Any) -> None:
    model = small_llama()
    model.set_attn_implementation("eager")
    assert not LogprobKernel(model, packed=True).mask_free
    assert model.config._attn_implementation == "eager"
    assert compare(model, gardener.wild(), packed=True) < 1e-5


@pytest.mark.parametrize("name", ["mamba", "bloom"])
def test_models_that_cannot_take_a_tree_are_refused(gardener: Any, name: str) -> None:
    model = models()[name]
    before = model.config._attn_implementation
    with pytest.raises(BadConfig, match="set packed = false"):
        LogprobKernel(model, packed=True)
    assert model.config._attn_implementation == before
    assert compare(model, gardener.wild(), packed=False) < 1e-4


def test_a_second_kernel_of_one_model_attends_in_blocks_too(small_llama: Any) -> None:
    model = small_llama()
    assert LogprobKernel(model, packed=True).mask_free
    assert LogprobKernel(model, packed=True).mask_free
    assert model.config._attn_implementation == TREE_ATTENTION


def test_lean_memory_changes_no_gradient(gardener: Any, small_llama: Any) -> None:
    (batch,), _ = pack(credit([gardener.wild()]), Layout())
    grads = []
    for lean in (False, True):
        model = small_llama()
        kernel = LogprobKernel(model, packed=True, lean=lean)
        kernel(batch).sum().backward()
        grads.append([p.grad for p in model.parameters()])
        assert model.model.layers[0].gradient_checkpointing is lean
    for left, right in zip(*grads, strict=True):
        assert torch.equal(left, right)


def test_lean_memory_needs_layers_that_can(small_llama: Any) -> None:
    with pytest.raises(BadConfig, match="lean = false"):
        LogprobKernel(torch.nn.Linear(2, 2), lean=True)  # type: ignore[arg-type]


def test_lean_memory_keeps_dropout_off(gardener: Any) -> None:
    (batch,), _ = pack(credit([gardener.wild()]), Layout())
    kernel = LogprobKernel(models()["gpt2"], lean=True)
    assert torch.equal(kernel(batch), kernel(batch))


def test_trees_deeper_than_a_sliding_window_are_refused(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=12)
    gardener.play(tree, False, turns=12)
    with pytest.raises(BadConfig, match="window of 20 tokens; set packed = false"):
        compare(models()["mistral"], tree, packed=True)


def test_rows_of_trees_longer_than_a_model_sees_are_refused(gardener: Any) -> None:
    """A branch by itself may be: the model's own window is what it was trained with."""
    shape = {"vocab_size": 31, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "window_size": 20}
    model = GPTNeoForCausalLM(GPTNeoConfig(**shape, attention_types=[[["global", "local"], 1]]))
    tree = gardener.plant()
    for outcome in (True, False):
        gardener.play(tree, outcome, turns=6)
    with pytest.raises(
        BadConfig, match="looks back 20 tokens, whatever mask it is given; set packed = false"
    ):
        compare(model, tree, packed=True)
    assert compare(model, tree, packed=False) < 1e-5


@pytest.mark.parametrize("packed", [True, False])
def test_sequences_longer_than_positions_are_steady_are_refused(gardeners: Any, packed: bool) -> None:
    """Up to there it matters nothing what else is in a micro-batch."""
    kind = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
    kind |= {"short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 4.0, 5.0]}
    shape = {"vocab_size": 31, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = LlamaConfig(**shape, num_attention_heads=2, max_position_embeddings=256, rope_parameters=kind)
    kernel = LogprobKernel(LlamaForCausalLM(config), packed=packed)
    garden = gardeners(0, tokens=(10, 10))
    for turns in (3, 1):
        tree = garden.plant()
        garden.play(tree, True, turns=turns)
        garden.play(tree, False)
    (together,), _ = pack(credit(garden.trees), Layout(packed=packed))
    apart, _ = pack(credit(garden.trees[::-1]), Layout(packed=packed, token_budget=30))
    with torch.no_grad():
        found, expected = kernel(together), torch.cat([kernel(batch) for batch in apart])
    assert torch.allclose(found.sort().values, expected.sort().values, atol=1e-5)
    garden.play(garden.trees[0], False, turns=4)
    (long,), _ = pack(credit(garden.trees), Layout(packed=packed))
    with pytest.raises(BadConfig, match="80 tokens in a row are too many: beyond 64"):
        kernel(long)


def test_bfloat16_is_near(gardener: Any, small_llama: Any) -> None:
    (batch,), _ = pack(credit([gardener.wild()]), Layout())
    model = small_llama()
    with torch.no_grad():
        exact, narrow = (LogprobKernel(model, packed=True, bfloat16=on)(batch) for on in (False, True))
    assert narrow.dtype == torch.float32
    assert 0 < float((exact - narrow).abs().max()) < 0.2


def test_bad_temperature_is_refused(small_llama: Any) -> None:
    with pytest.raises(ValueError, match="temperature"):
        LogprobKernel(small_llama(), temperature=0.0)
