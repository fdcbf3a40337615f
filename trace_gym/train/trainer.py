"""Policy optimisation on rollout trees: a forest goes in, better weights come out.

Blind to the algorithm: credit, packing and loss are chosen by name. One process, or several that torchrun
started and that make every call together. Leaves out when to train and on what (the loop's business), the
passes through the model (`passes.py`) and files (`checkpoint.py`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from trace_gym.core.errors import MissingExtra
from trace_gym.core.policy import Checkpoint
from trace_gym.core.tokens import IntArray
from trace_gym.core.tree import Forest
from trace_gym.model.load import load_weights, model_folder
from trace_gym.train.checkpoint import base_folder, demand_base, read_state, write_checkpoint
from trace_gym.train.config import TrainConfig
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.noise import flat, noise
from trace_gym.train.objective import Share
from trace_gym.train.pack import MicroBatch, stack
from trace_gym.train.passes import Passes
from trace_gym.train.probe import scored_row
from trace_gym.train.replay import Crediting
from trace_gym.train.tally import Tally, described
from trace_gym.train.world import World, gathered, like, whole

if TYPE_CHECKING:
    from trace_gym.train.lora import Adapter


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
        self._base = None if source is None else source.absolute()
        self._clock = clock
        self._world = World.current()
        self._crediting = Crediting(config)
        self._adapter = _adapter(model, config) if config.lora_rank else None
        self._kernel = self._new_kernel(self.model)
        self._reference: LogprobKernel | None = None
        if config.kl > 0 and self._adapter is None:
            self._reference = self._new_kernel(copy.deepcopy(self.model).requires_grad_(False))
        if self._world.size > 1:
            for kernel in filter(None, (self._kernel, self._reference)):
                kernel.shard(self._world)
        self._passes = Passes(config, self._kernel, self._reference_logprobs(), self._world)
        self._optimizer = torch.optim.AdamW(
            self._groups(),
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            fused=model.device.type == "cuda",
        )

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
        home = base_folder(state, folder, rank=chosen.lora_rank)
        trainer = cls(_on(device, home), chosen, source=folder, version=state["version"], clock=clock)
        trainer.updates, trainer.steps = state["updates"], state["steps"]
        if trainer._adapter is not None and state["base"] is not None:
            demand_base(trainer._adapter.fits(state["base"]["sum"]), state["base"], folder)
            trainer._adapter.load(state["adapter"])
            trainer._base = home
        trainer._restore(state)
        return trainer

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Put the optimiser and the reference where they stood."""
        groups = self._optimizer.state_dict()["param_groups"]
        weights = [weight for group in self._optimizer.param_groups for weight in group["params"]]
        moments = {
            number: {name: like(value, weights[number]) for name, value in parts.items()}
            for number, parts in state["optimizer"]["state"].items()
        }
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if self._reference is not None and state["reference"] is not None:
            mine = self._reference.model.state_dict()
            with torch.no_grad():
                for name, value in state["reference"].items():
                    mine[name].copy_(like(value, mine[name]))

    @property
    def mask_free(self) -> bool:
        """Does the model attend to packed trees without a mask of their whole length squared?"""
        return self._kernel.mask_free

    def save(self, folder: Path) -> Checkpoint:
        """Write an ordinary Hugging Face folder with `trainer.pt` in it; all of it or nothing appears.
        Replaces an earlier checkpoint in that place; raises RunFolderError where it cannot be written."""
        weights = gathered(self.model)
        adapter, home = self._adapter, self._base
        base = None if adapter is None else {"folder": str(home), "sum": adapter.base_mark}
        state: dict[str, Any] = {
            "config": self.config.json(),
            "version": self.version,
            "updates": self.updates,
            "steps": self.steps,
            "optimizer": whole(self._optimizer.state_dict()),
            "reference": gathered(self._reference.model) if self._reference else None,
            "base": base,
            "adapter": adapter.own(weights) if adapter else None,
        }
        if self._world.rank == 0:
            write_checkpoint(
                folder,
                model=self.model,
                weights=adapter.merged(weights) if adapter else weights,
                state=state,
                tokenizer_from=self._source,
                beside=(lambda to: adapter.write(to / "adapter", weights, base=home)) if adapter else None,
            )
        self._world.wait()
        self._source = folder if self._source else None
        return Checkpoint(folder, self.version)

    def update(self, forest: Forest) -> dict[str, float]:
        """Train on a forest: several clipped epochs of minibatches of whole trees. Returns metrics.

        Old log-probs are the trainer's own, taken with the same kernel and the same packing before the first
        step, or the sampler's (`old_logprobs`). The trees of the last forests count again (`replay`). Without
        contrast anywhere nothing changes, and `skipped` is 1. `update_kl`: see `movement.py`.
        """
        begun, version, config = self._clock(), self.version, self.config
        fresh, again = self._crediting.of(forest)
        credits_ = [*fresh, *again]
        rng = np.random.default_rng([config.seed, self.updates])
        shares, batches, stats = self._passes.shares(credits_, rng)
        tally = Tally(version)
        movement = self._passes.movement(credits_, stats, number=self.updates)
        self._passes.prepare(shares, tally)
        spread = self._noise(shares) if config.noise else {}
        for epoch in range(config.epochs):
            order = rng.permutation(len(shares)) if epoch else range(len(shares))
            for index in order:
                self._step(shares[index], tally)
        self.updates += bool(shares)
        self.version += bool(tally.steps)
        return {
            **tally.over(self._world).metrics(),
            **described(fresh, batches, stats, version=version),
            **spread,
            "update_kl": movement.nats(),
            "lr": config.rate(max(0, self.steps - 1)),
            "skipped": float(not shares),
            "replayed_trees": float(len(again)),
            "seconds": self._clock() - begun,
        }

    def remember(self, forest: Forest) -> None:
        """Before the first update of a resumed run: a forest of an earlier one, for what is replayed."""
        self._crediting.remember(forest)

    @torch.no_grad()
    def score(self, pairs: Sequence[tuple[IntArray, IntArray]]) -> list[NDArray[np.float64]]:
        """The log-probs (A,) of each completion after its prompt, under the weights now."""
        found: list[NDArray[np.float64]] = []
        for prompt, completion in pairs:
            scored = self._kernel(stack([scored_row(prompt, completion)], chains=True))
            found.append(scored.double().cpu().numpy())
        return found

    def _noise(self, shares: Sequence[Share]) -> dict[str, float]:
        """The noise of the gradient before the first step, from at least two minibatches. Of several
        processes none sees the whole of one."""
        if self._world.size > 1 or len(shares) < 2:
            return {}
        parts = []
        for share in shares:
            self._optimizer.zero_grad(set_to_none=True)
            self._passes.gradient(share, Tally(self.version))
            parts.append(flat(self.model.parameters()))
        return noise(parts)

    def _step(self, share: Share, tally: Tally) -> None:
        """One optimiser step: the gradient of a share, clipped, applied. None is made of a share in which
        nothing is left to learn."""
        if not self._world.total(np.array([float(share.contrast)]))[0]:
            return
        self._optimizer.zero_grad(set_to_none=True)
        self._passes.gradient(share, tally)
        longest = self.config.max_grad_norm or torch.inf
        length = torch.nn.utils.clip_grad_norm_(self.model.parameters(), longest)
        norm = float(whole(length))
        tally.passes += 1
        if not np.isfinite(norm):
            tally.nonfinite += 1
            return
        tally.grad_norm += norm
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.rate(self.steps)
        self._optimizer.step()
        tally.steps += 1
        self.steps += 1

    def _reference_logprobs(self) -> Callable[[MicroBatch], Tensor] | None:
        """How log-probs under the first weights are computed: without the adapters, or by a copy."""
        adapter, kernel = self._adapter, self._kernel
        if not self.config.kl or adapter is None:
            return self._reference

        def without_adapters(batch: MicroBatch) -> Tensor:
            with adapter.off():
                return kernel(batch)

        return without_adapters

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


def _adapter(model: PreTrainedModel, config: TrainConfig) -> Adapter:
    """Adapters inside the model. Raises MissingExtra."""
    try:
        from trace_gym.train.lora import Adapter
    except ModuleNotFoundError as error:
        raise MissingExtra(f"adapters need {error.name}: pip install 'trace-gym[lora]'") from error
    alpha = 2.0 * config.lora_rank if config.lora_alpha is None else config.lora_alpha
    return Adapter(model, rank=config.lora_rank, alpha=alpha, seed=config.seed)


def _on(device: str, folder: Path) -> PreTrainedModel:
    return load_weights(folder, dtype=torch.float32, device=device)
