"""Behaviour cloning: a model learns to give the oracle's actions the probability one.

Turns of the oracle, or of whom one chooses, are imitated, token by token; everybody else's, and the task's
words, are context. Leaves out how demonstrations are played and whether cloning is fair to compare with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from trace_gym.core.episode import Actor
from trace_gym.core.tree import Forest
from trace_gym.train.credit import Credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.pack import MicroBatch, batched, stack
from trace_gym.train.row import Row, row
from trace_gym.train.trie import segments

POOL = 32
"""Rows are sorted by length within so many batches' worth of shuffled rows, which keeps padding small."""
WARM, FLOOR = 0.05, 0.1
"""The learning rate rises over the first twentieth and falls along a cosine to a tenth."""


@dataclass(frozen=True, slots=True)
class CloningStep:
    """Where cloning stands: `fraction` of the way, mean `loss` in nats per token and share of `likely` tokens
    (probability above 1/2, hence the greedy choice) in this step's batch, trained `tokens` and `seconds` so
    far."""

    step: int
    fraction: float
    loss: float
    likely: float
    tokens: int
    seconds: float


def demonstrations(forest: Forest, *, imitated: Collection[Actor] = (Actor.ORACLE,)) -> list[Row]:
    """One row for every tree in which an `imitated` actor acted with tokens."""
    rows: list[Row] = []
    for tree in forest.trees:
        weight = np.array([float(turn.actor in imitated) for turn in tree.turns])
        trie = segments(Credit(tree, (), weight, np.zeros_like(weight), weight))
        if trie:
            rows.append(row([trie]))
    return rows


def warm_start(
    model: PreTrainedModel,
    forests: Iterable[Forest],
    *,
    steps: int | None = None,
    seconds: float | None = None,
    lr: float = 1e-3,
    batch_tokens: int = 4096,
    weight_decay: float = 0.01,
    max_grad_norm: float = 1.0,
    imitated: Collection[Actor] = (Actor.ORACLE,),
    dtype: Literal["float32", "bfloat16"] = "float32",
    seed: int = 0,
    on_progress: Callable[[CloningStep], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Clone turns of the `imitated` in `forests` into `model`, in place, for `steps` batches or `seconds`.

    Forests are taken one after another, as they are needed, each in shuffled batches of at most
    `batch_tokens` tokens; when they run out, all that were seen are gone through again and again. With
    `steps` (and not `seconds`) the result depends on the arguments alone. Returns the `loss` and `likely` of
    the last tenth of the steps, `loss_first`, `steps`, `tokens`, `seconds`. ValueError for no budget, or
    where no turn to imitate has tokens.
    """
    if (steps is None) == (seconds is None):
        raise ValueError("cloning needs either steps or seconds")
    if (steps or seconds or 0) <= 0:
        raise ValueError(f"cloning needs a positive budget, got steps={steps}, seconds={seconds}")
    if model.dtype != torch.float64:
        torch.nn.Module.to(model, torch.float32)
    kernel = LogprobKernel(model, bfloat16=dtype == "bfloat16")
    rows = (demonstrations(forest, imitated=imitated) for forest in forests)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=weight_decay)
    begun, tokens = clock(), 0
    trail: list[CloningStep] = []
    for batch in _endless(rows, np.random.default_rng(seed), batch_tokens):
        elapsed = clock() - begun
        fraction = len(trail) / steps if steps else elapsed / (seconds or math.inf)
        if fraction >= 1.0:
            break
        for group in optimizer.param_groups:
            group["lr"] = lr * _shape(fraction)
        logprobs = kernel(batch)
        loss = -logprobs.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        tokens += len(logprobs)
        likely = float((logprobs.detach() > math.log(0.5)).double().mean())
        trail.append(CloningStep(len(trail), fraction, float(loss.detach()), likely, tokens, elapsed))
        if on_progress is not None:
            on_progress(trail[-1])
    last = trail[-max(1, len(trail) // 10) :]
    return {
        "loss": float(np.mean([step.loss for step in last])),
        "likely": float(np.mean([step.likely for step in last])),
        "loss_first": trail[0].loss,
        "steps": float(len(trail)),
        "tokens": float(tokens),
        "seconds": clock() - begun,
    }


def _shape(fraction: float) -> float:
    """The learning rate's share of its peak, `fraction` of the way."""
    if fraction < WARM:
        return (fraction + WARM / 10) / (WARM * 1.1)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * (fraction - WARM) / (1 - WARM)))


def _endless(shown: Iterable[list[Row]], rng: np.random.Generator, batch_tokens: int) -> Iterator[MicroBatch]:
    """Batches of each forest's rows as they come, then of all of them over and over."""
    seen: list[Row] = []
    for fresh in shown:
        seen += fresh
        yield from _batches(fresh, rng, batch_tokens)
    if not seen:
        raise ValueError("there is nothing to clone: no turn of those to imitate has tokens")
    while True:
        yield from _batches(seen, rng, batch_tokens)


def _batches(rows: Sequence[Row], rng: np.random.Generator, batch_tokens: int) -> Iterator[MicroBatch]:
    """All rows once, in random order, rows of like length together."""
    shuffled = iter([rows[i] for i in rng.permutation(len(rows))])
    while first := next(shuffled, None):
        pool, size = [first], len(first)
        while size < POOL * batch_tokens and (more := next(shuffled, None)):
            pool.append(more)
            size += len(more)
        batches = batched(pool, batch_tokens)
        for index in rng.permutation(len(batches)):
            linear = all((made.end == len(made)).all() for made in batches[index])
            yield stack(batches[index], chains=linear)
