"""Policy optimisation on rollout trees: a forest goes in, better weights come out.

Blind to the algorithm: credit, packing and loss are chosen by name. One process, one device. Leaves out
when to train and on what (the loop's business) and files (`checkpoint.py`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from trace_gym.core.policy import Checkpoint
from trace_gym.core.tree import Forest
from trace_gym.model.load import load_weights, model_folder
from trace_gym.train.advantage import Credit, credit
from trace_gym.train.checkpoint import read_state, write_checkpoint
from trace_gym.train.config import TrainConfig
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.loss import Tokens, diagnose, kl_penalty
from trace_gym.train.pack import Layout, MicroBatch, PackStats, pack
from trace_gym.train.tally import Tally, described


@dataclass(slots=True, eq=False)
class Share:
    """The part of a forest that makes one optimiser step: micro-batches, what their sums are divided by, and
    per micro-batch the log-probs before the update and those of the reference, once known."""

    batches: list[MicroBatch]
    divisor: float
    old: list[Tensor | None] = field(default_factory=list)
    reference: list[Tensor | None] = field(default_factory=list)


class Trainer:
    """Owns a model's weights and their optimiser. Lifecycle: `update` with the forests of a step, `save`
    between updates; `resume` goes on exactly from a saved folder.

    The model is trained in place, its weights made float32 (float64 stays). `source` is the folder that the
    tokenizer's files are copied from on `save`. `version` counts the updates that took an optimiser step,
    from the version of the weights given.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        config: TrainConfig,
        *,
        source: Path | None = None,
        version: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.config = config
        self.model = model
        if model.dtype != torch.float64:
            torch.nn.Module.to(model, torch.float32)
        self.version = version
        self.updates = 0
        self.steps = 0
        self._source = source
        self._clock = clock
        self._kernel = self._new_kernel(self.model)
        frozen = copy.deepcopy(self.model).requires_grad_(False) if config.kl > 0 else None
        self._reference = self._new_kernel(frozen) if frozen is not None else None
        self._optimizer = torch.optim.AdamW(self._groups(), lr=config.lr, betas=config.betas, eps=config.eps)

    @classmethod
    def load(
        cls,
        name: str | Path,
        config: TrainConfig,
        *,
        device: str = "cpu",
        cache: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> Trainer:
        """A trainer of the model of that name (see `load_model`). Raises what `load_model` raises."""
        folder = model_folder(name, cache=cache)
        return cls(_on(device, folder), config, source=folder, clock=clock)

    @classmethod
    def resume(
        cls,
        folder: Path,
        *,
        config: TrainConfig | None = None,
        device: str = "cpu",
        clock: Callable[[], float] = time.perf_counter,
    ) -> Trainer:
        """The trainer that `save` wrote to `folder`: its next update is bit for bit (on a CPU, with as many
        threads) the one that the saved trainer would have made. `config` replaces the saved one."""
        state = read_state(folder)
        chosen = config or TrainConfig(**state["config"])
        trainer = cls(_on(device, folder), chosen, source=folder, version=state["version"], clock=clock)
        trainer.updates, trainer.steps = state["updates"], state["steps"]
        groups = trainer._optimizer.state_dict()["param_groups"]
        trainer._optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
        if trainer._reference is not None and state["reference"] is not None:
            trainer._reference.model.load_state_dict(state["reference"])
        return trainer

    def save(self, folder: Path) -> Checkpoint:
        """Write an ordinary Hugging Face folder with `trainer.pt` in it; all of it or nothing appears.
        Replaces an earlier checkpoint in that place; raises RunFolderError where it cannot be written."""
        state: dict[str, Any] = {
            "config": self.config.json(),
            "version": self.version,
            "updates": self.updates,
            "steps": self.steps,
            "optimizer": self._optimizer.state_dict(),
            "reference": self._reference.model.state_dict() if self._reference else None,
        }
        write_checkpoint(folder, model=self.model, state=state, tokenizer_from=self._source)
        self._source = folder if self._source else None
        return Checkpoint(folder, self.version)

    def update(self, forest: Forest) -> dict[str, float]:
        """Train on a forest: several clipped epochs of minibatches of whole trees. Returns metrics.

        Old log-probs are the trainer's own, taken with the same kernel and the same packing before the first
        step, or the sampler's (`old_logprobs`). A forest without contrast makes no optimiser step, and
        `skipped` is 1.
        """
        begun, version = self._clock(), self.version
        config = self.config
        credits_ = credit(
            forest.trees,
            advantage=config.advantage,
            token_weight=config.token_weight,
            whiten=config.whiten,
        )
        rng = np.random.default_rng([config.seed, self.updates])
        shares, stats = self._shares(credits_, rng)
        tally = Tally()
        self._prepare(shares, tally)
        for epoch in range(config.epochs):
            order = rng.permutation(len(shares)) if epoch else range(len(shares))
            for index in order:
                self._step(shares[index], tally)
        batches = [batch for share in shares for batch in share.batches]
        self.updates += 1
        self.version += bool(tally.steps)
        return {
            **tally.metrics(),
            **described(credits_, batches, stats, version=version),
            "lr": config.rate(max(0, self.steps - 1)),
            "skipped": float(not shares),
            "seconds": self._clock() - begun,
        }

    def _shares(self, credits_: Sequence[Credit], rng: np.random.Generator) -> tuple[list[Share], PackStats]:
        """Trees with contrast dealt into minibatches; a divisor is the whole forest's, divided evenly, so
        that no tree counts more for the company it is in."""
        config = self.config
        live = [c for c in credits_ if c.contrast]
        count = min(config.minibatches, len(live))
        if not count:
            return [], PackStats()
        layout = Layout(
            token_budget=config.token_budget,
            row_tokens=config.token_budget if self._kernel.blocks else config.row_tokens,
            packed=config.packed,
            keep_weighted=config.kl > 0,
            multiple=128 if self.model.device.type == "cuda" else 1,
        )
        divisor = config.divisor(credits_) / count
        order = rng.permutation(len(live))
        shares, total = [], PackStats()
        for first in range(count):
            batches, stats = pack([live[i] for i in order[first::count]], layout)
            shares.append(Share(batches, divisor))
            total += stats
        return shares, total

    @torch.no_grad()
    def _prepare(self, shares: Sequence[Share], tally: Tally) -> None:
        """Log-probs needed from before the first step. The first minibatch needs no pass of its own: its old
        log-probs are those of its first training pass."""
        recompute = self.config.old_logprobs == "recompute"
        for index, share in enumerate(shares):
            for batch in share.batches:
                old: Tensor | None = None if recompute else batch.behaviour
                if recompute and index:
                    old = self._kernel(batch)
                    tally.compare(old, batch)
                share.old.append(old)
                share.reference.append(self._reference(batch) if self._reference else None)

    def _step(self, share: Share, tally: Tally) -> None:
        """One optimiser step: gradients of all micro-batches of a share, clipped, applied."""
        config, clip = self.config, self.config.clip
        self._optimizer.zero_grad(set_to_none=True)
        for index, batch in enumerate(share.batches):
            logprobs = self._kernel(batch)
            if tally.steps + tally.nonfinite == 0:
                tally.compare(logprobs, batch)
            old = share.old[index]
            if old is None:
                old = share.old[index] = logprobs.detach()
            plus, minus = (stream.to(logprobs) for stream in (batch.plus, batch.minus))
            tokens = Tokens(logprobs, old.to(logprobs), plus, minus)
            loss = -config.surrogate(tokens, clip).sum() / share.divisor
            reference = share.reference[index]
            if reference is not None:
                penalty = kl_penalty(logprobs, reference) * batch.weight.to(logprobs)
                loss = loss + config.kl * penalty.sum() / share.divisor
            loss.backward()  # type: ignore[no-untyped-call]
            tally.loss += float(loss.detach())
            tally.diagnostics += diagnose(tokens, clip)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm))
        tally.passes += 1
        if not np.isfinite(norm):
            tally.nonfinite += 1
            return
        tally.grad_norm += norm
        for group in self._optimizer.param_groups:
            group["lr"] = config.rate(self.steps)
        self._optimizer.step()
        tally.steps += 1
        self.steps += 1

    def _new_kernel(self, model: PreTrainedModel) -> LogprobKernel:
        return LogprobKernel(
            model,
            temperature=self.config.temperature,
            packed=self.config.packed,
            bfloat16=self.config.dtype == "bfloat16",
            lean=self.config.lean,
        )

    def _groups(self) -> list[dict[str, Any]]:
        """Matrices decay; biases and norms do not."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        decay = self.config.weight_decay
        return [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
        ]


def _on(device: str, folder: Path) -> PreTrainedModel:
    model = load_weights(folder, dtype=torch.float32)
    torch.nn.Module.to(model, device)
    return model
