"""The embedded policy: a Hugging Face model in this process, sampled by one worker thread.

Whatever waits joins the running batch between two decoding steps and leaves it when it is done. Leaves out
how a batch is computed (`model/engine.py`), more than one device, and training.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from trace_gym.core.errors import ContextExceeded, ModelFailed, boundary
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids
from trace_gym.model.engine import Engine, Throughput
from trace_gym.model.load import LoadedModel, Precision, load_model, load_weights
from trace_gym.model.memory import vocabulary
from trace_gym.model.row import Row
from trace_gym.rollout.answers import tell


@dataclass(frozen=True, slots=True, eq=False)
class _Sampling:
    """A row that waits for the batch, and who waits for it."""

    row: Row
    answer: asyncio.Future[Completion]


@dataclass(frozen=True, slots=True, eq=False)
class _Loading:
    """New weights that wait for the batch to drain."""

    checkpoint: Checkpoint
    answer: asyncio.Future[None]


class TorchPolicy:
    """Samples any Hugging Face causal model in batches; implements core's Policy.

    The draw of a request depends on its seed and on the weights, not on what else is in the batch, except
    for rounding. Log-probabilities and entropy are those of the distribution drawn from, after temperature
    and top-p; under temperature 0 both are 0. Requests are served in the order they came. The weights of a
    LoadedModel belong to the policy from then on: `load` writes into them.

    `max_batch` rows run at once, fewer where their keys and values would exceed `slot_bytes`; up to
    `cache_bytes` more remember the prefixes of earlier sequences (exact, least recently used forgotten
    first, all forgotten by `load`). A prefill computes up to `prefill_tokens` at a time, and begins after
    `join_every` decoding steps, for it holds up who runs; both default to more on a GPU (8: about as long as
    a prefill). `threads` is torch's number of threads while it samples (see `Engine`); `dtype` and `device`
    are for a model named rather than loaded. Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        model: LoadedModel | str | Path,
        *,
        max_batch: int = 192,
        dtype: Precision | None = None,
        device: str | None = None,
        context_size: int | None = None,
        threads: int | None = None,
        slot_bytes: int = 2 << 30,
        cache_bytes: int = 1 << 30,
        prefill_tokens: int | None = None,
        join_every: int | None = None,
        version: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if min(given := (max_batch, slot_bytes, cache_bytes + 1, prefill_tokens or 1, join_every or 1)) < 1:
            raise ValueError(f"max_batch, bytes, prefill_tokens and join_every must be positive, got {given}")
        loaded = model if isinstance(model, LoadedModel) else load_model(model, dtype=dtype, device=device)
        config = loaded.model.config.get_text_config()
        room = context_size or getattr(config, "max_position_embeddings", None)
        if room is None:
            raise ValueError(f"{loaded.path} does not say its context size; give context_size")
        self.model = loaded
        self.context_size = int(room)
        self._version = version
        self._max_batch = max_batch
        self._join_every = join_every or (8 if loaded.model.device.type == "cuda" else 1)
        self._joined_at = 0
        self._vocabulary = vocabulary(loaded.model)
        self._engine = Engine(
            loaded.model,
            max_batch=max_batch,
            slot_bytes=slot_bytes,
            block_bytes=cache_bytes,
            prefill_tokens=prefill_tokens,
            threads=threads,
            clock=clock,
        )
        self._waiting: deque[_Sampling | _Loading] = deque()
        self._running: dict[Row, asyncio.Future[Completion]] = {}
        self._closed = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="policy", daemon=True)
        self._worker.start()

    @property
    def version(self) -> int:
        """The version of the weights in use."""
        return self._version

    @property
    def throughput(self) -> Throughput:
        """Running totals since the beginning."""
        return replace(self._engine.throughput)

    async def sample(self, request: SampleRequest) -> Completion:
        """Sample one turn; `max_tokens` is capped to what the context leaves.

        Raises ContextExceeded if the prompt leaves no room for a single token, ModelFailed, ValueError.
        """
        if request.temperature < 0 or not 0 < request.top_p <= 1:
            given = f"got {request.temperature} and {request.top_p}"
            raise ValueError(f"temperature must be at least 0 and top_p lie in (0, 1], {given}")
        room = self.context_size - len(request.prompt_ids)
        if room < 1:
            size = f"{len(request.prompt_ids)} tokens in a context of {self.context_size}"
            raise ContextExceeded(f"the prompt leaves no room to sample: {size}")
        row = Row(
            self._checked(request.prompt_ids),
            limit=min(request.max_tokens, room),
            seed=request.seed,
            stop_ids=frozenset(request.stop_ids),
            temperature=request.temperature,
            top_p=request.top_p,
        )
        return (await self._answers([row]))[0]

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """The last hidden state (D,) at the end of each prompt. Raises ContextExceeded, ModelFailed."""
        for prompt_ids in prompts:
            if not 0 < len(prompt_ids) <= self.context_size:
                size = f"{len(prompt_ids)} tokens, the context {self.context_size}"
                raise ContextExceeded(f"a prompt to encode must fit the context: it has {size}")
        rows = [Row(self._checked(prompt_ids), limit=0) for prompt_ids in prompts]
        await self._answers(sorted(rows, key=lambda row: row.prompt_ids.tolist()))  # neighbours share
        return [row.hidden for row in rows]

    async def load(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a folder of the same architecture.

        Requests made before are answered by the old weights, and say so; those made afterwards by the new
        ones. Raises ModelFailed, and the old weights stay, if the folder does not fit.
        """
        job = _Loading(checkpoint, asyncio.get_running_loop().create_future())
        self._submit([job])
        await job.answer

    def close(self) -> None:
        """Stop the worker; whoever still waits gets ModelFailed. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def __enter__(self) -> TorchPolicy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked(self, prompt_ids: IntArray) -> IntArray:
        """The prompt as the engine wants it; ValueError for a token that the model does not have."""
        tokens = np.ascontiguousarray(prompt_ids, dtype=np.int32)
        wrong = tokens[(tokens < 0) | (tokens >= self._vocabulary)]
        if len(wrong):
            raise ValueError(f"token ids must lie in [0, {self._vocabulary}), got {wrong[0]}")
        return tokens

    async def _answers(self, rows: Sequence[Row]) -> list[Completion]:
        loop = asyncio.get_running_loop()
        jobs = [_Sampling(row, loop.create_future()) for row in rows]
        self._submit(jobs)
        if len(jobs) == 1:
            return [await jobs[0].answer]
        return await asyncio.gather(*(job.answer for job in jobs))

    def _submit(self, jobs: Sequence[_Sampling | _Loading]) -> None:
        with self._changed:
            if self._closed:
                raise ModelFailed("the policy is closed")
            self._waiting.extend(jobs)
            self._changed.notify()

    def _work(self) -> None:
        """The worker: one turn after the other, whatever goes wrong in one, until closed."""
        while self._wait():
            try:
                with boundary(ModelFailed, Exception, what="the model could not be sampled"):
                    self._turn()
            except ModelFailed as failure:
                self._fail(failure, list(self._running.values()))
                self._running.clear()
                self._engine.clear()
        left = [job.answer for job in self._waiting]
        self._fail(ModelFailed("the policy was closed"), [*left, *self._running.values()])

    def _wait(self) -> bool:
        """Until there is something to do; False when closed."""
        with self._changed:
            while not (self._closed or self._waiting or self._running):
                self._changed.wait()
            return not self._closed

    def _turn(self) -> None:
        """Let in who waits, decode one token for everybody, answer who is done."""
        taken = self._take()
        if isinstance(taken, _Loading):
            self._load(taken)
            return
        for row in [row for row, answer in self._running.items() if answer.cancelled()]:
            del self._running[row]
            self._engine.drop(row)
        self._running.update((job.row, job.answer) for job in taken)
        done = self._engine.join([job.row for job in taken]) if taken else []
        if taken:
            self._joined_at = self._engine.throughput.steps
        if self._engine.rows:
            done += self._engine.step()
        tell([(self._running.pop(row), self._completion(row)) for row in done])

    def _take(self) -> list[_Sampling] | _Loading:
        """Those in front of the queue that can join now; or new weights, when nothing runs any more."""
        with self._changed:
            if self._waiting and isinstance(head := self._waiting[0], _Loading):
                if self._running:
                    return []
                self._waiting.popleft()
                return head
            if self._running and self._engine.throughput.steps - self._joined_at < self._join_every:
                return []
            front: list[_Sampling] = []
            for job in islice(self._waiting, self._max_batch):
                if isinstance(job, _Loading):
                    break
                front.append(job)
            front = front[: self._engine.room([job.row for job in front])]
            for _ in front:
                self._waiting.popleft()
        return [job for job in front if not job.answer.cancelled()]

    def _completion(self, row: Row) -> Completion:
        return Completion(
            token_ids=ids(row.sampled),
            logprobs=floats(row.logprobs),
            entropy=floats(row.entropy),
            version=self._version,
            finish=Finish.STOP if row.stopped else Finish.LENGTH,
            fresh=len(row.prompt_ids) - row.cached,
            cached=row.cached,
            seconds=row.seconds,
            hidden=row.hidden,
        )

    def _load(self, job: _Loading) -> None:
        """Copy new weights into the live model, after making sure that they fit."""
        if job.answer.cancelled():
            return
        try:
            with boundary(ModelFailed, Exception, what=f"cannot take weights from {job.checkpoint.path}"):
                self._exchange(job.checkpoint)
        except ModelFailed as failure:
            tell([(job.answer, failure)])
            return
        self._version = job.checkpoint.version
        tell([(job.answer, None)])

    def _exchange(self, checkpoint: Checkpoint) -> None:
        live = self.model.model
        weights = load_weights(checkpoint.path, dtype=live.dtype).state_dict()
        new, old = ({(n, w.shape) for n, w in state.items()} for state in (weights, live.state_dict()))
        if new != old:
            odd = sorted({name for name, _ in new ^ old})
            raise ModelFailed(f"{checkpoint.path} is of another shape: {', '.join(odd[:3])}")
        live.load_state_dict(weights)
        self._engine.clear()

    def _fail(self, failure: ModelFailed, answers: Sequence[asyncio.Future[Any]]) -> None:
        """Tell everybody, each with an exception of their own."""
        told = [ModelFailed(str(failure)) for _ in answers]
        for each in told:
            each.__cause__ = failure.__cause__
        tell(list(zip(answers, told, strict=True)))
