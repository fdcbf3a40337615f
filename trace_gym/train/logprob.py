"""Log-probabilities of trained tokens: the one kernel that training, old and reference log-probs share.

Leaves out dropout: the model is run in evaluation mode throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from logging import getLogger

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from trace_gym.core.episode import Actor, Turn
from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.tokens import floats, ids
from trace_gym.model.outlook import ends_alone, extent_of, window_of
from trace_gym.model.quiet import quiet
from trace_gym.model.rope import steady_length
from trace_gym.train.attention import TREE_ATTENTION, dense, install, planned
from trace_gym.train.flex import TILE
from trace_gym.train.pack import MicroBatch, stack
from trace_gym.train.row import row
from trace_gym.train.trie import Segment
from trace_gym.train.world import World

LOGITS = 1 << 26
"""At most so many logits exist at a time: more are computed in pieces, and again in the backward pass."""

LOUD = 1e3
"""How many times as large logits are made to see whether they are bounded."""


class LogprobKernel:
    """Computes log-probs with one model, always in evaluation mode.

    With `packed` the model is made to attend by a plan, without a (T, T) mask, where it can (`mask_free`);
    where it cannot, trees cost dense masks and `reason` says what was in the way; with a sliding `window`
    they may be no deeper than it, with an `extent` their rows no longer. That packing changes no
    log-prob is tried out on a small tree, in the weights' own precision, and BadConfig raised if it does.
    Only logits that predict a trained token are computed, at most `logits` at a time.
    `bfloat16` computes in it, whatever the weights; `lean` keeps no activations within layers and computes
    them again in the backward pass.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        temperature: float = 1.0,
        packed: bool = False,
        bfloat16: bool = False,
        lean: bool = False,
        logits: int = LOGITS,
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.model = model
        self.reason = ""
        self._root: _Root | None = None
        self.model.train(False)
        self._lean = lean
        if lean:
            _forget_activations(model)
        self._temperature = temperature
        self._bfloat16 = False
        text = model.config.get_text_config()
        self._vocab_size: int = text.vocab_size
        self.window = window_of(text)
        self.extent = extent_of(text)
        self._steady = steady_length(model)
        self._head: Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._head = self._head if self._head_is_bare() else None
        self._piece = max(1, logits // self._vocab_size)
        self._narrow = bfloat16
        self.mask_free = False
        if self.window is not None:
            self.reason = f"the model looks back {self.window} tokens; deeper trees go branch by branch"
        self.mask_free = packed and self.window is None and self._attends_mask_free()
        if packed and not self.mask_free:
            getLogger(__name__).warning("packed trees cost dense masks: %s", self.reason)
            if not self._packs(mask_free=False):
                raise BadConfig("this model does not take tree-shaped attention masks; set packed = false")
        self._bfloat16 = bfloat16

    def __call__(self, batch: MicroBatch) -> Tensor:
        """Log-probs (K,) of the batch's trained tokens under the model at this temperature, float32 or wider.

        Raises BadConfig where a packed tree is deeper than the model's sliding attention window, a row of
        trees longer than its extent, or a sequence longer than its positions are steady (`model/rope.py`).
        """
        longest = batch.token_ids.shape[1] if batch.chains else int(batch.position_ids.max()) + 1
        if self._steady is not None and longest > self._steady:
            why = f"beyond {self._steady} the model's positions depend on what else is in the batch"
            raise BadConfig(f"{longest} tokens in a row are too many: {why}; set policy.context to that")
        if not batch.chains and self.window is not None and longest > self.window:
            window = f"a sliding attention window of {self.window} tokens"
            raise BadConfig(f"a tree is deeper than the model's {window}; set packed = false")
        filled = int(batch.lengths.max())
        if not batch.chains and self.extent is not None and filled > self.extent:
            why = f"the model looks back {self.extent} tokens, whatever mask it is given"
            raise BadConfig(f"{filled} tokens in a row of trees are too many: {why}; set packed = false")
        return self._root(batch) if self._root is not None else self._compute(batch)

    def shard(self, world: World) -> None:
        """Spread the model's weights over all processes."""
        self._root = _Root(self.model, self._compute)
        world.shard(self._root)

    def _compute(self, batch: MicroBatch) -> Tensor:
        batch = batch.to(self.model.device)
        targets = batch.token_ids.flatten()[batch.target]
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self._bfloat16):
            states = self._states(batch)
            if self._head is None or len(states) <= self._piece:
                return self._scored(states, targets)
            pieces = zip(torch.split(states, self._piece), torch.split(targets, self._piece), strict=True)
            return torch.cat([checkpoint(self._scored, *piece, use_reentrant=False) for piece in pieces])

    def _states(self, batch: MicroBatch) -> Tensor:
        """What predicts the trained tokens: last hidden states (K, D), or logits (K, V) where the head is not
        bare."""
        inputs = {"input_ids": batch.token_ids}
        if not batch.chains:
            fits = len(batch.token_ids) == 1 or batch.token_ids.is_cuda
            narrow = torch.bfloat16 if self._bfloat16 else self.model.dtype
            mask = planned(batch.end) if self.mask_free and fits else dense(batch.end, dtype=narrow)
            inputs |= {"attention_mask": mask, "position_ids": batch.position_ids}
        with ExitStack() as hooks:
            if not self._lean:  # which would compute layers again when the hooks are gone
                asked = torch.unique(batch.predictor)
                width = batch.token_ids.shape[1]
                hooks.enter_context(ends_alone(self.model, asked // width, asked % width))
            if self._head is None:
                states: Tensor = self.model(**inputs, use_cache=False).logits
            else:
                states = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        return states.flatten(0, 1).index_select(0, batch.predictor)

    def _scored(self, states: Tensor, targets: Tensor) -> Tensor:
        """Log-probs of `targets` (K,) from what predicts them."""
        logits: Tensor = states if self._head is None else self._head(states)
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return -cross_entropy(wide / self._temperature, targets.to(wide.device), reduction="none")

    @torch.no_grad()
    def _head_is_bare(self) -> bool:
        """Are the logits the output embedding of the last hidden state and nothing more? It is made to speak
        up meanwhile, for a bound on logits (Gemma 2's) does next to nothing to small ones."""
        if self._head is None:
            return False
        token_ids = torch.arange(8, device=self.model.device)[None] % self._vocab_size
        loud = self._head.register_forward_hook(lambda _module, _given, said: LOUD * said)
        try:
            whole = self.model(input_ids=token_ids, use_cache=False).logits
            hidden = self.model.base_model(input_ids=token_ids, use_cache=False).last_hidden_state
            return bool(torch.allclose(self._head(hidden), whole, rtol=1e-4, atol=1e-5))
        finally:
            loud.remove()

    def _attends_mask_free(self) -> bool:
        """Let the model attend by a plan if it then computes what it did; else leave it as it was."""
        before = self.model.config._attn_implementation
        if before not in ("sdpa", TREE_ATTENTION):
            self.reason = f"the model attends through {before!r}"
            return False
        with quiet():
            install(self.model)
            cuda = self.model.device.type == "cuda"
            if self._packs_in_tiles() if cuda else self._packs(mask_free=True):
                return True
            self.model.set_attn_implementation(before)
        return False

    def _packs_in_tiles(self) -> bool:
        """On CUDA: does the model take trees at all, in full precision and with a full mask; and does the
        compiled kernel, in the precision of training, come near that? The second compiles what training then
        uses; near is all that can be asked in bfloat16."""
        return self._packs(mask_free=False) and self._packs(
            mask_free=True, bfloat16=self._narrow, rtol=0.02, atol=0.2 if self._narrow else 1e-3
        )

    def _packs(
        self, *, mask_free: bool, bfloat16: bool = False, rtol: float = 1e-3, atol: float = 1e-4
    ) -> bool:
        """Does this model give a small packed tree the log-probs of its branches one by one?"""
        trunk, left, right, tip = (_probe_turn(self._vocab_size, i) for i in range(4))
        first, second, third = (Segment(at, t.action_ids, t) for at, t in ((0, left), (0, right), (2, tip)))
        start = Segment(-1, trunk.action_ids)
        branches = [row([[start, first]]), row([[start, second, replace(third, parent=1)]])]
        multiple = 2 * TILE if mask_free and self.model.device.type == "cuda" else 1
        self.mask_free, self._bfloat16 = mask_free, bfloat16
        try:
            with boundary(BadConfig, Exception, what="tree-shaped attention"):
                whole = self(stack([row([[start, first, second, third]])], multiple=multiple)).detach()
                with torch.no_grad():
                    alone = self(stack(branches, chains=True))
        except BadConfig as failure:
            self.reason = str(failure)
            return False
        finally:
            self.mask_free, self._bfloat16 = False, False
        apart = float((whole - alone).abs().max())
        if torch.allclose(whole, alone, rtol=rtol, atol=atol):
            return True
        self.reason = f"a packed tree's log-probs are {apart:.2g} off"
        return False


class _Root(Module):
    """The whole computation as one module, so that weights outside of layers, tied ones too, are gathered
    once for it."""

    def __init__(self, model: PreTrainedModel, compute: Callable[[MicroBatch], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._compute = compute

    def forward(self, batch: MicroBatch) -> Tensor:
        """What the kernel computes."""
        return self._compute(batch)


def _probe_turn(vocab_size: int, number: int) -> Turn:
    tokens = [(7 * number + 3 * i + 1) % vocab_size for i in range(3 + number)]
    return Turn(0, 0, Actor.POLICY, "", action_ids=ids(tokens), logprobs=floats([0.0] * len(tokens)))


def _forget_activations(model: PreTrainedModel) -> None:
    """Checkpoint every layer. A layer does so only while it believes to be training; what is inside it does
    not, so that dropout stays off."""
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise BadConfig("this model cannot recompute its activations; set lean = false")
    again = partial(checkpoint, use_reentrant=False)
    for layer in layers:
        layer._gradient_checkpointing_func = again  # type: ignore[assignment]
        layer.gradient_checkpointing = True
        layer.training = True
