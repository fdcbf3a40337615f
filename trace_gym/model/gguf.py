"""GGUF files of the Llama architecture as Hugging Face folders. Sole importer of gguf.

Weights are dequantised and stored in bfloat16. Leaves out other architectures, untied output embeddings'
scaling and rotary variants: a file that uses them is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from trace_gym.core.errors import MalformedData
from trace_gym.model.quiet import quiet

_OUTER = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_llama(source: Path, folder: Path) -> None:
    """Write the model and tokenizer of the GGUF file `source` into the existing `folder`.

    Raises MalformedData where the file holds something else than a Llama, or not all of one.
    """
    reader = GGUFReader(str(source))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != "llama":
        raise MalformedData(f"{source}: the architecture is not llama: {fields.get('general.architecture')}")
    weights = {_renamed(tensor.name): tensor for tensor in reader.tensors}
    config = _config(fields, tied="lm_head.weight" not in weights)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    state: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        weight: NDArray[np.float32] = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        count = heads.get(name.split(".")[-2])
        if count is not None:
            weight = _halved(weight, count)
        state[name] = torch.from_numpy(np.ascontiguousarray(weight)).to(torch.bfloat16)
    _check(state, config, source)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with quiet():
        config.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def _config(fields: dict[str, Any], *, tied: bool) -> LlamaConfig:
    end = fields["tokenizer.ggml.eos_token_id"]
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=float(fields["llama.attention.layer_norm_rms_epsilon"]),
        rope_parameters={"rope_theta": float(fields["llama.rope.freq_base"]), "rope_type": "default"},
        tie_word_embeddings=tied,
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=end,
        pad_token_id=fields.get("tokenizer.ggml.padding_token_id", end),
    )


def _renamed(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    part = name.split(".")
    try:
        if part[0] == "blk":
            return f"model.layers.{part[1]}.{_INNER[part[2]]}.{part[3]}"
        return f"{_OUTER[part[0]]}.{part[1]}"
    except (KeyError, IndexError):
        raise MalformedData(f"a Llama has no tensor {name!r}") from None


def _halved(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows (heads * D, C) of a query or key projection from GGUF's rotary order, where the two halves of a
    head are interleaved, to Hugging Face's, where one follows the other."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _check(state: dict[str, torch.Tensor], config: LlamaConfig, source: Path) -> None:
    """Do names and shapes match the model that `config` describes?"""
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in LlamaForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        del wanted["lm_head.weight"]
    wrong = [name for name in {*wanted, *state} if name not in state or state[name].shape != wanted.get(name)]
    if wrong:
        raise MalformedData(
            f"{source}: tensors missing or of the wrong shape: {', '.join(sorted(wrong)[:3])}"
        )
