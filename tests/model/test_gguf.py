"""A GGUF file written here, with its rotary rows interleaved, is read back as the same model."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from trace_gym.core.errors import MalformedData
from trace_gym.model.gguf import convert_llama
from trace_gym.model.quiet import quiet
from trace_gym.model.tokenize import HFTokenizer

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"]
NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def llama(*, tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tied,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config).to(torch.bfloat16).eval()


def interleaved(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Row i and row i + D/2 of every head become neighbours."""
    size = weight.shape[0] // heads
    order = [
        h * size + half * size // 2 + i for h in range(heads) for i in range(size // 2) for half in (0, 1)
    ]
    return weight[order]


def write(path: Path, model: LlamaForCausalLM, *, architecture: str = "llama", leave_out: str = "") -> None:
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, tensor in model.state_dict().items():
        weight = tensor.float().numpy()
        stem = name.removesuffix(".weight")
        if stem in outer:
            new = outer[stem]
        else:
            layer, part = stem.removeprefix("model.layers.").split(".", 1)
            new = f"blk.{layer}.{NAMES[part]}"
            if part.endswith(("q_proj", "k_proj")):
                heads = config.num_attention_heads if "q_" in part else config.num_key_value_heads
                weight = interleaved(weight, heads)
        if new != leave_out and not (new == "output" and config.tie_word_embeddings):
            writer.add_tensor(f"{new}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("tied", [True, False])
def test_the_same_model_comes_back(tmp_path: Path, tied: bool) -> None:
    model = llama(tied=tied)
    write(tmp_path / "model.gguf", model)
    out = tmp_path / "out"
    out.mkdir()
    convert_llama(tmp_path / "model.gguf", out)
    with quiet():
        back = AutoModelForCausalLM.from_pretrained(out)
    assert back.dtype == torch.bfloat16
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, back.state_dict()[name]), name
    given = torch.tensor([[1, 3, 4, 5, 2]])
    with torch.no_grad():
        assert torch.equal(model(given).logits, back(given).logits)
    tokenizer = HFTokenizer.from_folder(out)
    assert tokenizer.encode("aab") == [3, 5]
    assert (tokenizer.eos_id, tokenizer.control("<|im_start|>")) == (2, 1)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", llama(tied=True), architecture="qwen2")
    with pytest.raises(MalformedData, match="the architecture is not llama: qwen2"):
        convert_llama(tmp_path / "model.gguf", tmp_path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", llama(tied=True), leave_out="blk.1.attn_v")
    with pytest.raises(MalformedData, match=r"model\.layers\.1\.self_attn\.v_proj\.weight"):
        convert_llama(tmp_path / "model.gguf", tmp_path)
