"""The embedded policy: a Hugging Face model in this process, sampled by one worker thread.

Whatever waits joins the running batch between two decoding steps and leaves it when it is done. Leaves out
how a batch is computed (`model/engine.py`), more than one device, and training.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from logging import getLogger
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from trace_gym.core.errors import BadConfig, ContextExceeded, ModelFailed, boundary
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids
from trace_gym.model.engine import Engine, Throughput
from trace_gym.model.load import LoadedModel, Precision, exchange_weights, load_model
from trace_gym.model.memory import vocabulary
from trace_gym.model.rope import steady_length
from trace_gym.model.row import Row
from trace_gym.model.together import SHORT
from trace_gym.rollout.answers import tell
from trace_gym.rollout.torch_queue import Loading, Queue, Reading, Sampling

TOGETHER = 1024
"""Short prompts that are read at once; between such parts those who run go on."""


class TorchPolicy:
    """Samples any Hugging Face causal model in batches; implements core's Policy.

    The draw of a request depends on its seed and on the weights, not on what else is in the batch, except
    for rounding. Log-probabilities and entropy are those of the distribution drawn from, after temperature
    and top-p; under temperature 0 both are 0. Requests are served in the order they came. The weights of a
    LoadedModel belong to the policy from then on: `load` writes into them.

    `max_batch` rows run at once, fewer where their keys and values would exceed `slot_bytes`; up to
    `cache_bytes` more remember the prefixes of earlier sequences (exact, least recently used forgotten
    first, all forgotten by `load`). A prefill computes up to `prefill_tokens` at a time, and begins after
    `join_every` decoding steps, for it holds up who runs, or once `crowd` wait for each who runs; they
    default to more on a GPU (8, about as long as a prefill, and no crowd; else 4 and a half). `threads` is
    torch's number of threads while it samples (see `Engine`); `dtype` and `device` are for a model named
    rather than loaded. Use it as a context manager, or `close` it.

    The context is the model's, or as far as its positions are steady (see `model/rope.py`); BadConfig for a
    `context_size` beyond that.
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
        crowd: float | None = None,
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
        steady = steady_length(loaded.model)
        if steady is not None and self.context_size > steady:
            why = f"beyond {steady} tokens the model's positions depend on what else is in the batch"
            if context_size is not None:
                raise BadConfig(f"a context of {context_size} tokens is too large: {why}")
            getLogger(__name__).warning("the context is cut to %d of %d tokens: %s", steady, room, why)
            self.context_size = steady
        self._version = version
        self._max_batch = max_batch
        gpu = loaded.model.device.type == "cuda"
        self._join_every = join_every or (8 if gpu else 4)
        self._crowd = (math.inf if gpu else 0.5) if crowd is None else crowd
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
        self._queue = Queue()
        self._running: dict[Row, asyncio.Future[Completion]] = {}
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
        loop = asyncio.get_running_loop()
        for prompt_ids in prompts:
            if not 0 < len(prompt_ids) <= self.context_size:
                size = f"{len(prompt_ids)} tokens, the context {self.context_size}"
                raise ContextExceeded(f"a prompt to encode must fit the context: it has {size}")
        checked = [self._checked(prompt_ids) for prompt_ids in prompts]
        order = sorted(range(len(checked)), key=lambda i: checked[i].tolist())  # neighbours share
        short = [i for i in order if len(checked[i]) <= SHORT]
        rows = {i: Row(checked[i], limit=0) for i in order if len(checked[i]) > SHORT}
        reading = [
            Reading([checked[i] for i in short[first : first + TOGETHER]], loop.create_future())
            for first in range(0, len(short), TOGETHER)
        ]
        self._queue.put(reading)
        read, _ = await asyncio.gather(
            asyncio.gather(*(job.answer for job in reading)), self._answers(list(rows.values()))
        )
        known = dict(zip(short, chain.from_iterable(read), strict=True))
        known |= {i: row.hidden for i, row in rows.items()}
        return [known[i] for i in range(len(checked))]

    async def load(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a folder of the same architecture.

        Requests made before are answered by the old weights, and say so; those made afterwards by the new
        ones. Raises ModelFailed, and the old weights stay, if the folder does not fit.
        """
        job = Loading(checkpoint, asyncio.get_running_loop().create_future())
        self._queue.put([job])
        await job.answer

    def close(self) -> None:
        """Stop the worker; whoever still waits gets ModelFailed. Idempotent."""
        self._queue.close()
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
        jobs = [Sampling(row, loop.create_future()) for row in rows]
        self._queue.put(jobs)
        if len(jobs) == 1:
            return [await jobs[0].answer]
        return await asyncio.gather(*(job.answer for job in jobs))

    def _work(self) -> None:
        """The worker: one turn after the other, whatever goes wrong in one, until closed."""
        while self._queue.wait(busy=lambda: self._running):
            try:
                with boundary(ModelFailed, Exception, what="the model could not be sampled"):
                    self._turn()
            except ModelFailed as failure:
                self._fail(failure, list(self._running.values()))
                self._running.clear()
                self._engine.clear()
        left = [job.answer for job in self._queue.left()]
        self._fail(ModelFailed("the policy was closed"), [*left, *self._running.values()])

    def _turn(self) -> None:
        """Let in who waits, decode one token for everybody, answer who is done."""
        engine = self._engine
        crowd = 1
        if self._running and engine.throughput.steps - self._joined_at < self._join_every:
            crowd = math.ceil(min(self._max_batch, self._crowd * len(self._running)))
        taken = self._queue.take(
            running=bool(self._running),
            at_least=crowd,
            at_most=self._max_batch,
            room=engine.room,
        )
        if isinstance(taken, Loading):
            self._load(taken)
            return
        if isinstance(taken, Reading):
            self._read(taken)
            taken = []
        for row in [row for row, answer in self._running.items() if answer.cancelled()]:
            del self._running[row]
            engine.drop(row)
        self._running.update((job.row, job.answer) for job in taken)
        done = engine.join([job.row for job in taken]) if taken else []
        if taken:
            self._joined_at = engine.throughput.steps
        if engine.rows:
            done += engine.step()
        tell([(self._running.pop(row), self._completion(row)) for row in done])

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

    def _read(self, job: Reading) -> None:
        if job.answer.cancelled():
            return
        try:
            with boundary(ModelFailed, Exception, what="prompts could not be read"):
                tell([(job.answer, self._engine.read(job.prompts))])
        except ModelFailed as failure:
            self._fail(failure, [job.answer])

    def _load(self, job: Loading) -> None:
        """Copy new weights into the live model, after making sure that they fit."""
        if job.answer.cancelled():
            return
        try:
            with boundary(ModelFailed, Exception, what=f"cannot take weights from {job.checkpoint.path}"):
                exchange_weights(self.model.model, job.checkpoint.path)
                self._engine.clear()
        except ModelFailed as failure:
            tell([(job.answer, failure)])
            return
        self._version = job.checkpoint.version
        tell([(job.answer, None)])

    def _fail(self, failure: ModelFailed, answers: Sequence[asyncio.Future[Any]]) -> None:
        """Tell everybody, each with an exception of their own."""
        told = [ModelFailed(str(failure)) for _ in answers]
        for each in told:
            each.__cause__ = failure.__cause__
        tell(list(zip(answers, told, strict=True)))
