"""Up to what length rotary positions mean the same in any company.

Two kinds of scaling choose the frequencies of a whole batch by its farthest position: `longrope` (Phi-3 and
Phi-3.5 with 128k, Phi-4-mini, MiniCPM) has others beyond the length of pretraining, `dynamic` (InternLM2)
ever new ones beyond `max_position_embeddings`. There a token's log-prob depends on what else is in its batch,
and cached keys are of other frequencies than new ones. Leaves out all other kinds, which never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel


def steady_length(model: PreTrainedModel) -> int | None:
    """How many tokens a sequence may have so that no frequency changes; None: any number."""
    config = model.config.get_text_config()
    given: Mapping[str, Any] = getattr(config, "rope_parameters", None) or {}
    lengths: list[int] = []
    for kind in (given, *(each for each in given.values() if isinstance(each, Mapping))):
        if kind.get("rope_type") == "longrope":
            lengths.append(kind["original_max_position_embeddings"])
        elif kind.get("rope_type") == "dynamic":
            lengths.append(config.max_position_embeddings)
    return min(lengths, default=None)
