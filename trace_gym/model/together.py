"""The last hidden states of many short prompts, read together: what neighbours share is computed once.

Prompts are laid out as tries, in packs of few tokens, where a token sees itself and those before it on its
own path. Exact. Leaves out everything that is remembered: blocks (`slots.py`) hold as many tokens as short
prompts have. Shapes: P packs, N tokens per pack, R prompts, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel

from trace_gym.core.tokens import IntArray
from trace_gym.model.outlook import ends_alone, masks

SHORT = 64
"""Prompts of up to so many tokens are read together."""
PACK = 2 * SHORT
"""Tokens of a pack: few, since every token of a pack is compared with every other."""
AT_ONCE = 4
"""Packs in a forward pass."""


@dataclass(slots=True)
class Pack:
    """A trie in depth-first order: `tokens`, their `depths`, and for each the place `until` which its
    descendants lie; `ends` are (which prompt, place of its last token)."""

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    until: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    path: list[int] = field(default_factory=list)

    def shared(self, prompt: Sequence[int]) -> int:
        """How many tokens `prompt` has in common with the path of the prompt before it."""
        for depth, (place, token) in enumerate(zip(self.path, prompt, strict=False)):
            if self.tokens[place] != token:
                return depth
        return min(len(self.path), len(prompt))

    def add(self, number: int, prompt: Sequence[int]) -> None:
        """Lay out what `prompt` does not share."""
        depth = self.shared(prompt)
        self._leave(depth)
        for token in prompt[depth:]:
            self.path.append(len(self.tokens))
            self.tokens.append(token)
            self.depths.append(len(self.path) - 1)
            self.until.append(0)
        self.ends.append((number, self.path[-1]))

    def close(self) -> None:
        """Nothing more is added."""
        self._leave(0)

    def _leave(self, depth: int) -> None:
        for place in self.path[depth:]:
            self.until[place] = len(self.tokens)
        del self.path[depth:]


def laid_out(prompts: Sequence[IntArray]) -> list[Pack]:
    """`prompts`, none empty or longer than PACK, in packs of at most PACK tokens. Only prompts that follow
    one another share, so sort them."""
    packs = [Pack()]
    for number, prompt_ids in enumerate(prompts):
        prompt = prompt_ids.tolist()
        if len(packs[-1].tokens) + len(prompt) - packs[-1].shared(prompt) > PACK:
            packs[-1].close()
            packs.append(Pack())
        packs[-1].add(number, prompt)
    packs[-1].close()
    return packs


def read_together(
    model: PreTrainedModel, packs: Sequence[Pack], *, threads: int | None = None
) -> torch.Tensor | None:
    """The last hidden states (R, D), float32, in the order of the prompts' numbers; None for a model without
    an output embedding to be given them. With `threads`, passes are shared out among so many, each computing
    with one of torch's: passes of a small model have too little to do to be shared out themselves."""
    passes = [packs[first : first + AT_ONCE] for first in range(0, len(packs), AT_ONCE)]
    if threads is None or threads == 1 or len(passes) < 2:
        found = [_read(model, part) for part in passes]
    else:
        found = _shared_out(model, passes, threads)
    states = [state for state in found if state is not None]
    numbers = torch.tensor([number for pack in packs for number, _ in pack.ends])
    return torch.cat(states)[numbers.argsort()] if states else None


def _shared_out(
    model: PreTrainedModel, passes: Sequence[Sequence[Pack]], threads: int
) -> list[torch.Tensor | None]:
    """What `_read` finds in each pass, by several threads, each with a copy of the modules for the hooks of
    its own; weights are shared."""
    weights = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}

    @torch.inference_mode()
    def every(own: PreTrainedModel, first: int) -> list[torch.Tensor | None]:
        return [_read(own, part) for part in passes[first::threads]]

    own = [model, *(copy.deepcopy(model, dict(weights)) for _ in range(threads - 1))]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(every, own, range(threads)))
    return [found[i % threads][i // threads] for i in range(len(passes))]


def _read(model: PreTrainedModel, packs: Sequence[Pack]) -> torch.Tensor | None:
    width = max(len(pack.tokens) for pack in packs)
    tokens, depths, until = (np.zeros((len(packs), width), dtype=np.int64) for _ in range(3))
    until += np.arange(1, width + 1)  # what is padded sees itself
    for row, pack in enumerate(packs):
        size = len(pack.tokens)
        tokens[row, :size], depths[row, :size], until[row, :size] = pack.tokens, pack.depths, pack.until
    device = model.device
    at, after = torch.from_numpy(depths).to(device), torch.from_numpy(until).to(device)
    place = torch.arange(width, device=device)
    seen = (place <= place[:, None]) & (place[:, None] < after[:, None, :])
    ends = [(row, place) for row, pack in enumerate(packs) for _, place in pack.ends]
    rows, places = (torch.tensor(column, device=device) for column in zip(*ends, strict=True))
    given: list[torch.Tensor] = []

    def narrowed(_: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        """Let the output embedding see the ends alone."""
        given.append(args[0][rows, places])
        return (given[0][None],)

    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None:
        return None
    with ExitStack() as hooks:
        hooks.callback(head.register_forward_pre_hook(narrowed).remove)
        hooks.enter_context(ends_alone(model, rows, places))
        model(
            input_ids=torch.from_numpy(tokens).to(device),
            position_ids=at,
            attention_mask=masks(model, at=at, place=at[:, None, :], seen=seen),
            use_cache=False,
        )
    return given[0].float()
