"""Initial weights of a small Llama that can look things up: "what followed this symbol before?"

A transformer of this size otherwise needs some 3 million tokens before it finds that circuit (measured: a
lookup among six stays at .41 for 55 CPU seconds), and nothing else can be learned without it; with the
circuit written in, the same lookup is at .99 after 5 seconds. The idea is mimetic initialisation (Trockman
and Kolter, arXiv 2305.09828), the circuit that of induction heads (Olsson et al., arXiv 2209.11895). All
weights go on being trained. Leaves out everything that a task would have to teach.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

ROPE_THETA = 1e6
SPREAD = 0.02
"""Standard deviation of the embeddings, and the size of what the written heads add to the residual stream."""
LOUDNESS = 4.0
"""Weights of the last normalisation: with embeddings this small a model cannot be sure of anything before
they have grown, which takes longer than to learn what to be sure of."""
CONSTANT = 3.0
"""Feature 0 of every embedding, in units of SPREAD: what heads that look at positions alone can read."""
SHARPNESS = 2.1
"""Weight of the constant in queries and keys of heads that look a fixed number of tokens back."""
MATCH = 2.0
"""Weight of a symbol in queries and keys of heads that look for equal symbols."""
SLOW = 0.02
"""Radians a token: slower frequencies are still aligned after fifty tokens; symbols are compared there."""
FAST = 0.1
"""Radians a token: frequencies above tell neighbouring places apart; slower ones only add what all share."""
NEAR, RECENCY = 0.03, 1.0
"""Where a symbol occurred more than once, head 0 prefers the latest: weight of the constant at the frequency
nearest to NEAR radians a token, which is aligned over some thirty tokens."""
BACK = (1, 2)
"""Heads 0 and 1 of layer 0 copy the symbol one and two tokens back."""


@torch.no_grad()
def write_induction(model: LlamaForCausalLM) -> None:
    """Write the circuits into a fresh model with full attention heads (as many for keys as for queries).

    The residual stream (D,) is divided: feature 0 is constant, T - 1 features hold the symbol (of equal norm
    for all, so that the constant is one after normalisation too), and r each the symbols one and two tokens
    back. Layer 0, heads 0 and 1, fill the latter two. In every later layer head 0
    attends to what follows earlier occurrences of the current symbol, the latest first, head 1 to what
    follows those of the symbol before it; both pass on the symbol found. Everything else stays random. Raises
    ValueError as `slow_slots`, and where there are fewer heads for keys.
    """
    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    size = width // heads
    half = size // 2
    turn = ROPE_THETA ** (-torch.arange(half) / half)
    slots = slow_slots(heads, width)
    fast = (turn >= FAST).float()
    near = int((turn - NEAR).abs().argmin())
    rank, symbols = len(slots), width - 2 * len(slots)
    if config.num_key_value_heads != heads:
        raise ValueError(
            f"no room for induction heads where {heads} heads share {config.num_key_value_heads} for keys"
        )
    embedding = model.model.embed_tokens.weight
    embedding.normal_(0.0, SPREAD)
    embedding[:, 1:symbols] *= (
        SPREAD * (symbols - 1) ** 0.5 / embedding[:, 1:symbols].norm(dim=1, keepdim=True)
    )
    embedding[:, 0] = CONSTANT * SPREAD
    embedding[:, symbols:] = 0.0
    model.model.norm.weight.fill_(LOUDNESS)
    reading = _orthonormal(symbols - 1, rank)
    for head, back in enumerate(BACK):
        query, key, value, output = _cleared(model.model.layers[0].self_attn, head, size)
        query[:half, 0] = SHARPNESS * fast * torch.cos(back * turn)
        query[half:, 0] = -SHARPNESS * fast * torch.sin(back * turn)
        key[:half, 0] = SHARPNESS * fast
        value[:rank, 1:symbols] = reading
        output[symbols + head * rank : symbols + (head + 1) * rank, :rank] = SPREAD * torch.eye(rank)
    for layer in model.model.layers[1:]:
        for head in range(len(BACK)):
            query, key, value, output = _cleared(layer.self_attn, head, size)
            if head == 0:
                query[slots, 1:symbols] = MATCH * reading
                query[near, 0] = key[near, 0] = RECENCY
            else:
                query[slots, symbols : symbols + rank] = MATCH * torch.eye(rank)
            key[slots, symbols : symbols + rank] = MATCH * torch.eye(rank)
            copying = _orthonormal(symbols - 1, size)
            value[:, 1:symbols] = copying
            output[1:symbols, :] = 2 * SPREAD * copying.T


def slow_slots(heads: int, width: int) -> list[int]:
    """The features of a head, of `heads` in a residual stream of `width`, that turn slowly enough to compare
    symbols in. Raises ValueError for a shape that the circuits have no room in."""
    size = width // heads
    half = size // 2
    slow = [f for f in range(half) if ROPE_THETA ** (-f / half) <= SLOW]
    if not slow or heads < 2 or width - 4 * len(slow) <= size:
        raise ValueError(
            f"no room for induction heads in {heads} heads of {size} features of {width}; "
            "it takes 3 heads or more, of 4 features or more"
        )
    return [*slow, *(f + half for f in slow)]


def _orthonormal(features: int, rank: int) -> Tensor:
    """A random (rank, features) matrix with orthonormal rows."""
    basis: Tensor = torch.linalg.qr(torch.randn(features, rank)).Q
    return basis.T


def _cleared(attention: nn.Module, head: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A head's query, key and value weights (size, D) and its output weights (D, size), set to zero."""
    rows = slice(head * size, (head + 1) * size)
    parts = {name: weight for name, weight in attention.named_parameters() if weight.dim() == 2}
    views = (
        parts["q_proj.weight"][rows],
        parts["k_proj.weight"][rows],
        parts["v_proj.weight"][rows],
        parts["o_proj.weight"][:, rows],
    )
    for view in views:
        view.zero_()
    return views
