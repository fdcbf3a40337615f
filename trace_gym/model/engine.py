"""A running batch: sequences join between two decoding steps and leave when they are done.

Each call does one thing on the calling thread: prefill those who join, or decode one token for all. Equal
prompts, and long beginnings that prompts share, are computed once, remembered prefixes not at all. Leaves out
threads, queues and weights (`rollout/policy_torch.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from trace_gym.core.errors import ModelFailed
from trace_gym.core.tokens import FloatArray, IntArray, floats
from trace_gym.model.draw import draw, uniforms
from trace_gym.model.load import SMALL
from trace_gym.model.memory import memory_for
from trace_gym.model.outlook import Outlook
from trace_gym.model.prefix import PrefixIndex, later
from trace_gym.model.replay import Recorder
from trace_gym.model.row import Row
from trace_gym.model.slots import BLOCK
from trace_gym.model.threads import threads_of_torch

STRIDE = 512
"""A prompt is read in strides of at most so many tokens: each looks back at less than the whole, which a
mask over the whole prompt would compute and throw away."""

PREFILL_TOKENS, PADDING = {"cuda": 16384}, {"cuda": 4096}
"""By device, else 4,096 and 64: a GPU computes thousands of tokens in the time that starting a pass takes."""


@dataclass(slots=True)
class Throughput:
    """Running totals: `decoded` tokens in `steps` decoding steps and `decode_seconds`; prompt tokens, `fresh`
    and `cached`, and `prefill_seconds`."""

    steps: int = 0
    decoded: int = 0
    fresh: int = 0
    cached: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def occupancy(self) -> float:
        """Mean number of rows in a decoding step."""
        return self.decoded / self.steps if self.steps else 0.0


class Engine:
    """The running batch of one model. Not thread-safe.

    Invariant: row i of `rows` lies in slot i, and none of them is done. After an exception `clear` must be
    called: what the slots hold is then unknown. `slot_bytes` bound the keys and values of the running rows,
    `block_bytes` those of remembered prefixes; a prefill computes about `prefill_tokens` at a time, padding
    counted, of which it takes `padding` to save a pass; `threads` is torch's number of threads while rows
    enter and while they decode (None: one for a small model on a CPU, where waiting for others takes longer
    than their part of a step, and torch's own otherwise; prompts are then read in as many passes at once as
    torch has threads); `recorder` is for `Slots`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        max_batch: int,
        slot_bytes: int,
        block_bytes: int,
        clock: Callable[[], float],
        prefill_tokens: int | None = None,
        padding: int | None = None,
        threads: int | None = None,
        recorder: Callable[[], Recorder] | None = None,
    ) -> None:
        tiny = model.device.type == "cpu" and model.num_parameters() <= SMALL
        self._threads = 1 if threads is None and tiny else threads
        self._shares_out = threads is None and tiny
        self.rows: list[Row] = []
        self.throughput = Throughput()
        self._max_batch = max_batch
        self._slot_bytes = slot_bytes
        self._prefill_tokens = prefill_tokens or PREFILL_TOKENS.get(model.device.type, 4096)
        self._padding = padding or PADDING.get(model.device.type, 64)
        self._clock = clock
        self._memory = memory_for(model, slot_bytes=slot_bytes, block_bytes=block_bytes, recorder=recorder)
        self._index = PrefixIndex(capacity=self._memory.block_count, block=BLOCK)

    def room(self, rows: Sequence[Row]) -> int:
        """How many of `rows`, in their order, can join now. Into an empty batch at least one can."""
        longest = max((len(row.ids) for row in self.rows), default=0)
        for count, row in enumerate(rows, start=len(self.rows) + 1):
            longest = max(longest, len(row.ids))
            too_big = count * longest * self._memory.token_bytes > self._slot_bytes
            if count > 1 and (too_big or count > self._max_batch):
                return count - 1 - len(self.rows)
        return len(rows)

    @torch.inference_mode()
    def join(self, rows: Sequence[Row]) -> list[Row]:
        """Compute the prompts of `rows` and draw their first tokens. Returns those that are done."""
        began, first = self._clock(), len(self.rows)
        if rows:
            with threads_of_torch(self._threads):
                self._enter(rows, first)
        spent = self._clock() - began
        for row in rows:
            row.seconds += spent / len(rows)
            self.throughput.cached += row.cached
            self.throughput.fresh += len(row.prompt_ids) - row.cached
        self.throughput.prefill_seconds += spent
        return self._retire()

    @torch.inference_mode()
    def read(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """The hidden states (D,) at the ends of prompts of up to SHORT tokens, which take no slots; nothing
        is kept. What neighbours have in common is computed once, so sort them."""
        began = self._clock()
        sharing = torch.get_num_threads() if self._shares_out else None
        with threads_of_torch(self._threads):
            hidden = self._memory.read(prompts, threads=sharing)
        self.throughput.fresh += sum(len(prompt_ids) for prompt_ids in prompts)
        self.throughput.prefill_seconds += self._clock() - began
        if hidden is None:
            return [None] * len(prompts)
        return [floats(state) for state in hidden.cpu().numpy()]

    def _enter(self, rows: Sequence[Row], first: int) -> None:
        """Compute the prompts of `rows` in the slots from `first` on, and draw their first tokens."""
        self._memory.reserve(first + len(rows), max(len(row.ids) for row in (*self.rows, *rows)))
        leaders: dict[bytes, Row] = {}
        twins = [row for row in rows if leaders.setdefault(row.prompt_ids.tobytes(), row) is not row]
        waiting, outlooks, waited = list(leaders.values()), [], set[Row]()
        while waiting:
            now, waiting = self._pioneers(waiting, waited)
            while now:
                group, now = self._group(now)
                outlooks.append(self._prefill(group))
        outlook = _joined(outlooks)
        if twins:
            outlook = self._copy(twins, leaders, outlook, first)
        self._describe(self.rows[first:], outlook)
        self._draw(first, outlook.logits)

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Decode one token for every row. Returns those that are done."""
        began, rows = self._clock(), self.rows
        starts = [row.length - 1 for row in rows]
        with threads_of_torch(self._threads):
            outlook = self._memory.forward([row.ids[: row.length] for row in rows], starts=starts, first=0)
            self._draw(0, outlook.logits)
        spent = self._clock() - began
        for row in rows:
            row.seconds += spent / len(rows)
        self.throughput.steps += 1
        self.throughput.decoded += len(rows)
        self.throughput.decode_seconds += spent
        return self._retire()

    @torch.inference_mode()
    def drop(self, row: Row) -> None:
        """Take out a row that nobody waits for any more."""
        row.stopped = True
        self._retire()

    def clear(self) -> None:
        """Drop all rows and forget all prefixes."""
        self.rows.clear()
        self._index.clear()

    def _pioneers(self, waiting: Sequence[Row], waited: set[Row]) -> tuple[list[Row], list[Row]]:
        """Who of `waiting` is computed now, and who later, because one that begins alike will be remembered;
        nobody waits a second time in vain, of which `waited` takes note."""
        known = [BLOCK * len(self._index.match(row.prompt_ids)) for row in waiting]
        followers = later([row.prompt_ids for row in waiting], known, block=BLOCK, least=self._padding)
        now: list[Row] = []
        put_off: list[Row] = []
        for i, (row, cached) in enumerate(zip(waiting, known, strict=True)):
            waits = i in followers and (row not in waited or cached > row.cached)
            (put_off if waits else now).append(row)
            row.cached = cached
        waited.update(put_off)
        return now, put_off

    def _group(self, waiting: list[Row]) -> tuple[list[Row], list[Row]]:
        """Rows to prefill together, and the others: of nearly equal length, so that little is padded."""
        for row in waiting:
            row.cached = BLOCK * len(self._index.match(row.prompt_ids))
        waiting = sorted(waiting, key=lambda row: len(row.prompt_ids) - row.cached)
        count, real = 0, 0
        for row in waiting:
            width = len(row.prompt_ids) - row.cached
            padding = (count + 1) * width - (real + width)
            if count and ((count + 1) * width > self._prefill_tokens or padding > self._padding + real // 8):
                break
            count, real = count + 1, real + width
        return waiting[:count], waiting[count:]

    def _prefill(self, group: list[Row]) -> Outlook:
        """Compute what is not remembered of the prompts of `group`, in the next slots; they are rows then."""
        first = len(self.rows)
        known = [
            (first + i, place, number)
            for i, row in enumerate(group)
            for place, number in enumerate(self._index.match(row.prompt_ids))
        ]
        if known:
            slots, places, numbers = zip(*known, strict=True)
            self._memory.restore(slots, places, numbers)
        starts = [row.cached for row in group]
        fresh = [len(row.prompt_ids) - row.cached for row in group]
        strides = min(-(-max(fresh) // STRIDE), *fresh)
        for stride in range(1, strides + 1):
            stops = [row.cached + new * stride // strides for row, new in zip(group, fresh, strict=True)]
            read = [row.prompt_ids[:stop] for row, stop in zip(group, stops, strict=True)]
            outlook = self._memory.forward(read, starts=starts, first=first)
            starts = stops
        self.rows += group
        self._remember(range(first, len(self.rows)))
        return outlook

    def _copy(self, twins: list[Row], leaders: dict[bytes, Row], outlook: Outlook, first: int) -> Outlook:
        """Give each twin a copy of its leader's slot and outlook; they are rows then."""
        slot = {id(row): i for i, row in enumerate(self.rows[first:], start=first)}
        sources = [slot[id(leaders[row.prompt_ids.tobytes()])] for row in twins]
        targets = range(len(self.rows), len(self.rows) + len(twins))
        self._memory.copy_rows(sources, targets, places=max(row.length for row in twins))
        for row in twins:
            row.cached = len(row.prompt_ids)
        self.rows += twins
        index = torch.tensor([*range(len(outlook.logits)), *(s - first for s in sources)])
        index = index.to(outlook.logits.device)
        return Outlook(outlook.logits[index], None if outlook.hidden is None else outlook.hidden[index])

    def _describe(self, rows: Sequence[Row], outlook: Outlook) -> None:
        """Note the hidden states at the ends of the prompts."""
        if outlook.hidden is not None:
            for row, hidden in zip(rows, outlook.hidden.cpu().numpy(), strict=True):
                row.hidden = floats(hidden)

    def _draw(self, first: int, logits: torch.Tensor) -> None:
        """Draw a token for every row from slot `first` on that wants one; `logits` (R, V) are theirs."""
        wanting = [i for i, row in enumerate(self.rows[first:]) if not row.done]
        if not wanting:
            return
        if len(wanting) < len(logits):
            logits = logits[torch.tensor(wanting, device=logits.device)]
        if bool(logits.isnan().any()):
            raise ModelFailed("the model computed logits that are not numbers")
        rows = [self.rows[first + i] for i in wanting]
        seeds = np.array([row.seed % 2**64 for row in rows], dtype=np.uint64)
        steps = np.array([len(row.logprobs) for row in rows], dtype=np.uint64)
        drawn = draw(
            logits,
            uniform=uniforms(seeds, steps),
            temperature=np.array([row.temperature for row in rows]),
            top_p=np.array([row.top_p for row in rows]),
        )
        for row, *values in zip(rows, *(column.tolist() for column in drawn), strict=True):
            row.append(*values)

    def _retire(self) -> list[Row]:
        """Remember and take out the rows that are done; the last rows move to their slots."""
        done = [i for i, row in enumerate(self.rows) if row.done]
        if not done:
            return []
        self._remember(done)
        gone = [self.rows[i] for i in done]
        left = len(self.rows) - len(done)
        holes = [i for i in done if i < left]
        movers = [i for i in range(left, len(self.rows)) if not self.rows[i].done]
        if holes:
            self._memory.copy_rows(movers, holes, places=max(self.rows[i].length for i in movers))
        for hole, mover in zip(holes, movers, strict=True):
            self.rows[hole] = self.rows[mover]
        del self.rows[left:]
        return gone

    def _remember(self, slots: Sequence[int]) -> None:
        """Store the prefixes that these slots hold. A token that was just drawn is not in its slot yet."""
        rows = [self.rows[i] for i in slots]
        held = [row.ids[: max(len(row.prompt_ids), row.length - 1)] for row in rows]
        new = self._index.insert(held)
        if new:
            which, places, numbers = zip(*new, strict=True)
            self._memory.store([slots[i] for i in which], places, numbers)


def _joined(outlooks: Sequence[Outlook]) -> Outlook:
    if len(outlooks) == 1:
        return outlooks[0]
    hidden = [outlook.hidden for outlook in outlooks if outlook.hidden is not None]
    return Outlook(torch.cat([outlook.logits for outlook in outlooks]), torch.cat(hidden) if hidden else None)
