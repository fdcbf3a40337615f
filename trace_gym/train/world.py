"""Several processes that train one model: FSDP2 over the processes that torchrun started, nothing in one.

Every process sees the same forest and makes the same shares; the micro-batches of a share are dealt among
them, and together their gradients are what one process would have computed. Leaves out who collects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Module
from transformers.modeling_layers import GradientCheckpointingLayer

from trace_gym.train.outline import Vector
from trace_gym.train.pack import MicroBatch

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others, which may be playing or evaluating meanwhile."""


@contextmanager
def launched() -> Iterator[None]:
    """Join the processes that torchrun started, if it did, until the end: over NCCL where there is CUDA, each
    process on a device of its own, else over gloo."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True, slots=True)
class World:
    """This process among `size`; all of them call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Self:
        """The processes that were joined; one alone if none were."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def deal(self, batches: Sequence[MicroBatch]) -> list[MicroBatch]:
        """This process's part, as many as everybody's: where they do not come out even, a batch without
        anything trained stands in, for all must pass through the model together."""
        if self.size == 1:
            return list(batches)
        rounds = -(-len(batches) // self.size)
        mine = list(batches[self.rank :: self.size])
        spare = min(batches, key=lambda batch: batch.computed)
        return mine + [idle(spare)] * (rounds - len(mine))

    def total(self, values: Vector) -> Vector:
        """The sum over all processes, (N,)."""
        return self._reduced(values, dist.ReduceOp.SUM) if self.size > 1 else values

    def greatest(self, value: float) -> float:
        """The maximum over all processes."""
        return float(self._reduced(np.array([value]), dist.ReduceOp.MAX)[0]) if self.size > 1 else value

    def tell(self, what: Any) -> None:
        """Give the others, who must call `told`, a value that can be pickled."""
        if self.size > 1:
            dist.broadcast_object_list([what], src=0)

    def told(self) -> Any:
        """What the first process tells; waits for it."""
        box: list[Any] = [None]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()

    def shard(self, root: Module) -> None:
        """Spread the weights under `root` over all processes, decoder layer by decoder layer.
        Gradients are then means over the processes."""
        device = next(root.parameters()).device.type
        mesh = init_device_mesh(device, (self.size,))
        units = [module for module in root.modules() if isinstance(module, GradientCheckpointingLayer)]
        for unit in (*units, root):
            fully_shard(unit, mesh=mesh)

    def _reduced(self, values: Vector, how: Any) -> Vector:
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        tensor = torch.from_numpy(np.asarray(values, dtype=np.float64).copy()).to(device)
        dist.all_reduce(tensor, how)
        return np.asarray(tensor.cpu().numpy())


def idle(batch: MicroBatch) -> MicroBatch:
    """The same tokens with nothing to be trained."""
    lists = ("predictor", "target", "plus", "minus", "weight", "behaviour", "entropy", "version", "owner")
    return replace(batch, **{name: getattr(batch, name)[:0] for name in lists})


def whole(value: Any) -> Any:
    """Sharded tensors put together, on the CPU where they were sharded, within nested dicts and lists."""
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(part) for key, part in value.items()}
    return [whole(part) for part in value] if isinstance(value, list) else value


def gathered(model: Module) -> dict[str, Tensor]:
    """The model's weights by name, each whole; weights that are tied stay one tensor."""
    made: dict[int, Tensor] = {}
    named = model.state_dict(keep_vars=True)
    for weight in named.values():
        if id(weight) not in made:
            made[id(weight)] = whole(weight.detach())
    return {name: made[id(weight)] for name, weight in named.items()}


def like(value: Tensor, weight: Tensor) -> Tensor:
    """A whole tensor sharded as `weight` is, if it is, and has its shape."""
    if isinstance(weight, DTensor) and value.shape == weight.shape:
        return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
    return value
