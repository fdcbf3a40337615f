"""What packing trees saves in training: the same gradient, several ways, timed in one run.

Ways: `packed` (every token once, the kernel's own attention), `dense` (packed, with a full mask), `leaves`
(every branch by itself, padded rows under the model's own causal mask) and, where it is installed, `trl` (the
loss of TRL's GRPOTrainer on the same branches). The bound is raw over unique tokens, and for attention raw
over unique pairs of tokens, of which fewer are saved: what is shared lies at the beginning, where there is
little to attend to. Leaves out sampling and the optimiser, alike in all ways.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trace_gym.bench.memory import peak_bytes, watch_peak
from trace_gym.bench.train_models import MODELS, built
from trace_gym.bench.train_trees import SHAPES, Shape, grown
from trace_gym.core.errors import unknown
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Credit, credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.objective import Objective
from trace_gym.train.pack import Layout, MicroBatch, PackStats, pack

Way: TypeAlias = Literal["packed", "dense", "leaves", "trl"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
WAYS: tuple[Way, ...] = ("packed", "dense", "leaves", "trl")


@dataclass(frozen=True, slots=True)
class Measured:
    """One way over one forest. `seconds`: the best of its repeats, forward and backward; `first`: the first
    pass, compilation included; `computed`: tokens that went through the model, padding included; `terms`:
    tokens whose logits were computed, of which fewer are shared; `speedup`: against `leaves`; `peak_mib`: the
    most memory held at once, above what lay there before; `apart`: how far its gradient is from that of
    `leaves`, relative in norm; `ratio` and `pairs`: raw over unique tokens, and pairs of tokens that attend.
    """

    shape: str
    way: Way
    seconds: float
    first: float
    computed: int
    terms: int
    speedup: float | None
    ratio: float
    pairs: float
    peak_mib: float | None
    apart: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All measurements, and on what they were made."""

    device: str
    model: str
    parameters: int
    dtype: str
    torch: str
    rows: tuple[Measured, ...]

    @property
    def reached(self) -> bool:
        """Is packing 0.9 times as much faster as there are fewer tokens, and nowhere slower?"""
        packed = [r for r in self.rows if r.way == "packed" and r.speedup is not None]
        return bool(packed) and all((r.speedup or 0.0) >= max(1.0, 0.9 * r.ratio) for r in packed)

    def json(self) -> dict[str, Any]:
        """All fields by name, and the verdict."""
        return {**asdict(self), "reached": self.reached}


def run(
    shapes: Sequence[str | tuple[str, Shape]] = ("small",),
    *,
    model: str = "mini",
    ways: Sequence[Way] = WAYS,
    device: str | None = None,
    dtype: Precision = "float32",
    token_budget: int = 16384,
    repeats: int = 3,
    lean: bool = False,
    seconds: float | None = None,
    seed: int = 0,
    on_row: Callable[[Measured], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Measure `ways` over `shapes`, named or given as (name, Shape). `leaves` always runs, first: the others
    are compared with it; `trl` is left out where it is not installed. With `seconds` nothing new is begun
    after so long. Raises UnknownName, ValueError."""
    if model not in MODELS:
        raise unknown("model", model, list(MODELS))
    if repeats < 1:
        raise ValueError(f"at least one repeat, got {repeats}")
    began = clock()
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    made = built(model, place, seed=seed)
    rows: list[Measured] = []
    for name, shape in (_shape(given) for given in shapes):
        bench = Bench(made, name, shape, dtype, token_budget, lean, seed, clock)
        order: list[Way] = ["leaves", *(w for w in ways if w != "leaves")]
        for way in order:
            late = seconds is not None and clock() - began > seconds
            if late or (way == "trl" and not has_trl()):
                continue
            rows.append(bench.measure(way, repeats))
            if on_row is not None:
                on_row(rows[-1])
    card = torch.cuda.get_device_name(place) if place.type == "cuda" else platform.processor() or "cpu"
    return Report(card, model, made.num_parameters(), dtype, torch.__version__, tuple(rows))


def has_trl() -> bool:
    """Is TRL installed?"""
    return find_spec("trl") is not None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One way made ready: what makes one pass, on which model, over how many tokens."""

    once: Callable[[], None]
    model: PreTrainedModel
    computed: int
    terms: int
    stats: PackStats
    note: str = ""


class Bench:
    """One forest and one model, measured in several ways. `reference` is the gradient of `leaves`."""

    def __init__(
        self,
        model: PreTrainedModel,
        name: str,
        shape: Shape,
        dtype: Precision,
        token_budget: int,
        lean: bool,
        seed: int,
        clock: Callable[[], float],
    ) -> None:
        self.model = model
        self.name = name
        self.config = TrainConfig(loss="dapo", advantage="drgrpo", token_weight="leaf_sum", dtype=dtype)
        self.objective = Objective(self.config)
        forest = grown(shape, vocab=model.config.get_text_config().vocab_size, seed=seed)
        self.credits: list[Credit] = credit(forest.trees, advantage="drgrpo", token_weight="leaf_sum")
        self.divisor = self.config.divisor(self.credits)
        self.token_budget, self.lean, self.clock = token_budget, lean, clock
        self.pairs = _attending(self._packed(packed=False)[0]) / _attending(self._packed(packed=True)[0])
        self.slowest: float | None = None
        self.reference: list[Tensor] = []

    def measure(self, way: Way, repeats: int) -> Measured:
        """Passes over the forest: the first apart, then `repeats` more."""
        with self._ready(way) as ready:
            device = self.model.device
            before = watch_peak(device)
            taken = [self._timed(ready) for _ in range(1 + repeats)]
            peak = peak_bytes(device)
            apart = self._apart(way, ready.model)
            ready.model.zero_grad(set_to_none=True)
        seconds = min(taken[1:])
        if way == "leaves":
            self.slowest = seconds
        return Measured(
            self.name,
            way,
            seconds,
            taken[0],
            ready.computed,
            ready.terms,
            self.slowest / seconds if self.slowest else None,
            ready.stats.raw / ready.stats.unique,
            self.pairs,
            None if before is None or peak is None else (peak - before) / 2**20,
            apart,
            ready.note,
        )

    @contextmanager
    def _ready(self, way: Way) -> Iterator[Prepared]:
        packed = way in ("packed", "dense")
        self.model.set_attn_implementation("sdpa")
        kernel = LogprobKernel(
            self.model,
            packed=packed,
            bfloat16=self.config.dtype == "bfloat16",
            lean=self.lean,
        )
        note = kernel.reason if way == "packed" and not kernel.mask_free else ""
        if way == "dense":
            kernel.mask_free = False
        batches, stats = self._packed(packed=packed)
        if way == "trl":
            from trace_gym.bench.train_trl import TRL

            with TRL(self.model, self.credits, self.config, token_budget=self.token_budget) as trl:
                yield Prepared(trl.once, trl.model, trl.computed, trl.terms, stats)
            return
        terms = sum(len(batch.behaviour) for batch in batches)
        yield Prepared(lambda: self._pass(kernel, batches), self.model, stats.computed, terms, stats, note)

    def _packed(self, *, packed: bool) -> tuple[list[MicroBatch], PackStats]:
        layout = Layout(
            token_budget=self.token_budget,
            row_tokens=self.token_budget,
            packed=packed,
            multiple=128 if self.model.device.type == "cuda" else 1,
        )
        return pack(self.credits, layout)

    def _pass(self, kernel: LogprobKernel, batches: Sequence[MicroBatch]) -> None:
        for batch in batches:
            logprobs = kernel(batch)
            loss = self.objective.loss(
                logprobs, batch, old=logprobs.detach(), reference=None, divisor=self.divisor
            )
            loss.backward()  # type: ignore[no-untyped-call]

    def _timed(self, ready: Prepared) -> float:
        ready.model.zero_grad(set_to_none=True)
        _wait(self.model.device)
        began = self.clock()
        ready.once()
        _wait(self.model.device)
        return self.clock() - began

    def _apart(self, way: Way, model: PreTrainedModel) -> float | None:
        found = [p.grad for p in model.parameters() if p.grad is not None]
        if way == "leaves":
            self.reference = [g.detach().clone() for g in found]
            return 0.0
        if len(found) != len(self.reference):
            return None
        gap = sum(float((g - r).square().sum()) for g, r in zip(found, self.reference, strict=True))
        size = sum(float(r.square().sum()) for r in self.reference)
        return float((gap / size) ** 0.5)


def _attending(batches: Sequence[MicroBatch]) -> int:
    """How many pairs of tokens attend, padding left out."""
    total = 0
    for batch in batches:
        index = torch.arange(batch.end.shape[1])
        total += int((batch.end - index)[index < batch.lengths[:, None]].sum())
    return total


def _shape(given: str | tuple[str, Shape]) -> tuple[str, Shape]:
    if not isinstance(given, str):
        return given
    if given not in SHAPES:
        raise unknown("shape", given, list(SHAPES))
    return given, SHAPES[given]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
