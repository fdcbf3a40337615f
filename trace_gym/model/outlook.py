"""One forward pass of a model: who may see whom goes in, what it says at the end of each row comes out.

Leaves out what is remembered between passes. Shapes: R rows, W new tokens per row, T places, V vocabulary, D
features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedConfig, PreTrainedModel


class Outlook(NamedTuple):
    """What a model says at the end of each row: `logits` (R, V) and the last hidden state (R, D), float32; no
    hidden state where the model has no output embedding to be asked."""

    logits: torch.Tensor
    hidden: torch.Tensor | None


def last_outlook(model: PreTrainedModel, *, input_ids: torch.Tensor, **inputs: object) -> Outlook:
    """One forward pass; logits and last hidden state at the last place of every row.

    The hidden state is what the output embedding is given: after the model's last norm.
    """
    given: list[torch.Tensor] = []
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    rows, width = input_ids.shape
    with ExitStack() as hooks:
        if head is not None:
            hooks.callback(head.register_forward_pre_hook(lambda _, args: given.append(args[0])).remove)
        if width > 1:
            every = torch.arange(rows, device=input_ids.device)
            hooks.enter_context(ends_alone(model, every, torch.full_like(every, width - 1)))
        logits = model(input_ids=input_ids, **inputs, logits_to_keep=1).logits
    return Outlook(logits[:, -1].float(), given[0][:, -1].float() if given else None)


@contextmanager
def ends_alone(model: PreTrainedModel, rows: torch.Tensor, places: torch.Tensor) -> Iterator[None]:
    """Have the feed-forward part of the last layer, which nothing but the output comes after, compute only
    what is asked for, at (`rows`, `places`); its output is 0 elsewhere. Nothing changes for a model whose
    layers are kept elsewhere than in `layers`."""
    layers = getattr(model.base_model, "layers", None)
    part = getattr(layers[-1], "mlp", None) if layers else None
    if not isinstance(part, torch.nn.Module):
        yield
        return
    shapes: list[torch.Size] = []

    def narrow(_: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        shapes.append(args[0].shape)
        return (args[0][rows, places][None],)

    def widen(_: object, args: object, found: Any) -> Any:
        alone = isinstance(found, torch.Tensor)
        kept = (found if alone else found[0])[0]
        whole = kept.new_zeros(*shapes.pop()[:2], kept.shape[-1])
        whole[rows, places] = kept
        return whole if alone else (whole, *found[1:])

    hooks = (part.register_forward_pre_hook(narrow), part.register_forward_hook(widen))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
    window = window_of(config)
    if window is None:
        return _as_wanted(model, full)
    near = full & (place > at[:, :, None] - window)[:, None]
    if _kinds(config) == {"sliding_attention"}:
        return _as_wanted(model, near)
    return {"full_attention": _as_wanted(model, full), "sliding_attention": _as_wanted(model, near)}


def window_of(config: PreTrainedConfig) -> int | None:
    """How many tokens back, its own counted, a layer with a sliding window sees; None if none has one. Some
    models write 0 for none."""
    window: int | None = getattr(config, "sliding_window", None)
    return window if window and "sliding_attention" in _kinds(config) else None


def extent_of(config: PreTrainedConfig) -> int | None:
    """How many tokens a row may have, so that the model goes by the mask it is given; None: any number.
    GPT-Neo masks besides what is farther back in the row, whatever its position, and has no more places."""
    kinds = getattr(config, "attention_layers", None)
    if not kinds:
        return None
    places: int = config.max_position_embeddings
    return min(places, config.window_size) if "local" in kinds else places


def _kinds(config: PreTrainedConfig) -> set[str]:
    """The kinds of attention of the model's layers; where it does not say, they are alike."""
    return set(getattr(config, "layer_types", None) or ["sliding_attention"])


def _as_wanted(model: PreTrainedModel, mask: torch.Tensor) -> torch.Tensor:
    """A boolean mask as it is, or as numbers to add to scores: where attention is computed eagerly, and on a
    CPU, where every layer would make these numbers of it again."""
    eager = model.config._attn_implementation == "eager"
    if not eager and not mask.is_cpu:
        return mask
    lowest = torch.finfo(model.dtype).min if eager else -torch.inf
    return torch.zeros(mask.shape, dtype=model.dtype, device=mask.device).masked_fill_(~mask, lowest)
