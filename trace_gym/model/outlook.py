"""One forward pass of a model: who may see whom goes in, what it says at the end of each row comes out.

Leaves out what is remembered between passes. Shapes: R rows, W new tokens per row, T places, V vocabulary, D
features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import PreTrainedModel


class Outlook(NamedTuple):
    """What a model says at the end of each row: `logits` (R, V) and the last hidden state (R, D), float32; no
    hidden state where the model has no output embedding to be asked."""

    logits: torch.Tensor
    hidden: torch.Tensor | None


def last_outlook(model: PreTrainedModel, **inputs: object) -> Outlook:
    """One forward pass; logits and last hidden state at the last place of every row.

    The hidden state is what the output embedding is given: after the model's last norm.
    """
    given: list[torch.Tensor] = []
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    hook = head.register_forward_pre_hook(lambda _, args: given.append(args[0])) if head is not None else None
    try:
        logits = model(**inputs, logits_to_keep=1).logits
    finally:
        if hook is not None:
            hook.remove()
    return Outlook(logits[:, -1].float(), given[0][:, -1].float() if given else None)


def masks(
    model: PreTrainedModel,
    *,
    at: torch.Tensor,
    place: torch.Tensor,
    seen: torch.Tensor | None = None,
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Who sees whom (R, 1, W, T), for tokens at positions `at` (R, W) and those at `place` (T,) or (R, 1, T):
    positions up to one's own, of those that are `seen` (R, W, T) where not all are; with a window, only the
    latest of them."""
    full = (place <= at[:, :, None])[:, None]
    if seen is not None:
        full = full & seen[:, None]
    config = model.config.get_text_config()
    window: int | None = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    if window is None or "sliding_attention" not in kinds:
        return _as_wanted(model, full)
    near = full & (place > at[:, :, None] - window)[:, None]
    if kinds == {"sliding_attention"}:
        return _as_wanted(model, near)
    return {"full_attention": _as_wanted(model, full), "sliding_attention": _as_wanted(model, near)}


def _as_wanted(model: PreTrainedModel, mask: torch.Tensor) -> torch.Tensor:
    """A boolean mask as it is, or as numbers to add where attention is computed eagerly."""
    if model.config._attn_implementation != "eager":
        return mask
    lowest = torch.finfo(model.dtype).min
    return torch.zeros(mask.shape, dtype=model.dtype, device=mask.device).masked_fill(~mask, lowest)
