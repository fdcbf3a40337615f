"""Requests that rollouts made: recorded on their way to a policy, and computed again without rollouts.

Leaves out how rollouts are played (`rollout.py`).
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from trace_gym.core.policy import Checkpoint, Completion, Policy, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray
from trace_gym.model.engine import Engine
from trace_gym.model.load import LoadedModel
from trace_gym.model.quiet import quiet
from trace_gym.model.row import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took: wall time, and processor time of all threads together."""

    seconds: float
    cpu_seconds: float


def timed(work: Callable[[], T]) -> tuple[T, Took]:
    """What `work` gives, and how long it took."""
    began, computing = time.perf_counter(), time.process_time()
    result = work()
    return result, Took(time.perf_counter() - began, time.process_time() - computing)


class Recorder:
    """A policy that passes on what it is asked, and keeps the `requests` and counts sampled `tokens`."""

    def __init__(self, policy: Policy) -> None:
        self.requests: list[SampleRequest] = []
        self.tokens = 0
        self._policy = policy
        self._turns: list[int] = []
        self._after: dict[bytes, int] = {}

    @property
    def version(self) -> int:
        """That of the policy behind."""
        return self._policy.version

    @property
    def context_size(self) -> int:
        """That of the policy behind."""
        return self._policy.context_size

    async def sample(self, request: SampleRequest) -> Completion:
        """What the policy behind samples."""
        turn = self._after.get(request.prompt_ids[: request.cached].tobytes(), 0)
        self.requests.append(request)
        self._turns.append(turn)
        completion = await self._policy.sample(request)
        self.tokens += len(completion.token_ids)
        self._after[request.prompt_ids.tobytes() + completion.token_ids.tobytes()] = turn + 1
        return completion

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """What the policy behind says."""
        return await self._policy.encode(prompts)

    async def load(self, checkpoint: Checkpoint) -> None:
        """Pass it on."""
        await self._policy.load(checkpoint)

    def close(self) -> None:
        """Nothing: who made the policy behind closes it."""

    def by_turn(self) -> list[list[SampleRequest]]:
        """The requests of first turns, of second turns, ..."""
        groups: defaultdict[int, list[SampleRequest]] = defaultdict(list)
        for turn, request in zip(self._turns, self.requests, strict=True):
            groups[turn].append(request)
        return [groups[turn] for turn in sorted(groups)]


def bare_engine(loaded: LoadedModel, *, rows: int) -> Engine:
    """An engine for at most `rows` rows at once, as large as the embedded policy's."""
    return Engine(
        loaded.model,
        max_batch=rows,
        slot_bytes=2 << 30,
        block_bytes=1 << 30,
        prefill_tokens=4096,
        clock=time.perf_counter,
    )


def computed(engine: Engine, requests: Sequence[SampleRequest], *, rows: int) -> tuple[int, float]:
    """Compute requests with the bare engine, at most `rows` at once: tokens, and mean rows a step."""
    waiting = deque(
        Row(
            request.prompt_ids,
            limit=request.max_tokens,
            seed=request.seed,
            stop_ids=frozenset(request.stop_ids),
            temperature=request.temperature,
            top_p=request.top_p,
        )
        for request in requests
    )
    done: list[Row] = []
    while waiting or engine.rows:
        front = [waiting[i] for i in range(min(len(waiting), rows - len(engine.rows)))]
        joining = front[: engine.room(front)]
        for _ in joining:
            waiting.popleft()
        done += engine.join(joining) if joining else []
        if engine.rows:
            done += engine.step()
    return sum(len(row.sampled) for row in done), engine.throughput.occupancy


@torch.inference_mode()
def generated(
    loaded: LoadedModel, turns: Sequence[Sequence[SampleRequest]], *, rows: int
) -> tuple[int, float]:
    """Sample requests with `generate`, those of one turn at a time in batches of up to `rows`: tokens, and
    mean rows that were not done yet in a step."""
    tokens, steps = 0, 0
    for turn in turns:
        for start in range(0, len(turn), rows):
            batch = turn[start : start + rows]
            counts = _generated(loaded, batch)
            tokens += sum(counts)
            steps += max(counts)
    return tokens, tokens / steps if steps else 0.0


def _generated(loaded: LoadedModel, batch: Sequence[SampleRequest]) -> list[int]:
    """How many tokens each request of one batch was given, its stop token included."""
    width, device = max(len(request.prompt_ids) for request in batch), loaded.model.device
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, request in enumerate(batch):
        ids[row, width - len(request.prompt_ids) :] = torch.from_numpy(request.prompt_ids.copy()).long()
        mask[row, width - len(request.prompt_ids) :] = 1
    first = batch[0]
    chosen = {"temperature": first.temperature, "top_p": first.top_p} if first.temperature else {}
    with quiet():
        found = loaded.model.generate(  # type: ignore[operator]
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=max(request.max_tokens for request in batch),
            do_sample=first.temperature > 0,
            top_k=0,
            eos_token_id=list(first.stop_ids) or None,
            pad_token_id=0,
            **chosen,
        )
    stops = set(first.stop_ids)
    counts = []
    for row in found[:, width:].tolist():
        ends = [place for place, token in enumerate(row, start=1) if token in stops]
        counts.append(min([*ends, len(row)]))
    return counts
