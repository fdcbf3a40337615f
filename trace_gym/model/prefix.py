"""Which token prefixes are remembered, in blocks of equal size; the least recently used are forgotten first.

An index only: it hands out block numbers, and `slots.py` keeps the keys and values that belong to them. A
block is known by its own tokens and by the block before it, so equal prefixes are stored once, however
many sequences share them, and a match is exact.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from trace_gym.core.tokens import IntArray

_ROOT = -1


class PrefixIndex:
    """A trie of token blocks with `capacity` nodes of `block` tokens each.

    Invariant: whenever a block was used, the blocks before it were used later; so the least recently used
    block has no successor, and what is in the index can always be reached.
    """

    def __init__(self, *, capacity: int, block: int) -> None:
        if block < 1 or capacity < 0:
            raise ValueError(f"block must be positive and capacity not negative, got {block} and {capacity}")
        self.block = block
        self._capacity = capacity
        self._numbers: dict[tuple[int, bytes], int] = {}
        self._used: OrderedDict[int, tuple[int, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def match(self, token_ids: IntArray) -> list[int]:
        """The numbers of the blocks that spell the longest remembered prefix of `token_ids` (T,).

        At least one token is left unmatched: a model must compute something to predict what follows.
        """
        found = self._walk(token_ids, upto=(len(token_ids) - 1) // self.block)
        self._touch(found)
        return found

    def insert(self, sequences: Sequence[IntArray]) -> list[tuple[int, int, int]]:
        """Remember the whole blocks of `sequences`. Returns what is to be stored: (which sequence, which of
        its blocks, under which number).

        Where the capacity does not suffice for all, those that come later are cut short; no block handed
        out or matched in this call is forgotten again within it.
        """
        stored: list[tuple[int, int, int]] = []
        held: set[int] = set()
        for which, token_ids in enumerate(sequences):
            blocks = len(token_ids) // self.block
            chain = self._walk(token_ids, upto=blocks)
            held.update(chain)
            self._touch(chain)
            for place in range(len(chain), blocks):
                number = self._free(held)
                if number is None:
                    break
                key = (chain[-1] if chain else _ROOT, self._spelling(token_ids, place))
                self._numbers[key] = number
                self._used[number] = key
                chain.append(number)
                held.add(number)
                stored.append((which, place, number))
            self._touch(chain)
        return stored

    def clear(self) -> None:
        """Forget everything."""
        self._numbers.clear()
        self._used.clear()

    def _walk(self, token_ids: IntArray, *, upto: int) -> list[int]:
        """The remembered blocks along `token_ids`, at most `upto`."""
        return list(self._steps(token_ids, upto))

    def _steps(self, token_ids: IntArray, upto: int) -> Iterator[int]:
        at = _ROOT
        for place in range(upto):
            number = self._numbers.get((at, self._spelling(token_ids, place)))
            if number is None:
                return
            yield number
            at = number

    def _spelling(self, token_ids: IntArray, place: int) -> bytes:
        return token_ids[place * self.block : (place + 1) * self.block].tobytes()

    def _touch(self, chain: Sequence[int]) -> None:
        """Mark the blocks of a chain as used, the first of them last."""
        for number in reversed(chain):
            self._used.move_to_end(number)

    def _free(self, held: set[int]) -> int | None:
        """A number to use: a new one, else that of the least recently used block; None if that is held."""
        if len(self._used) < self._capacity:
            return len(self._used)
        oldest = next(iter(self._used), None)
        if oldest is None or oldest in held:
            return None
        del self._numbers[self._used.pop(oldest)]
        return oldest


def later(prompts: Sequence[IntArray], known: Sequence[int], *, block: int, least: int) -> set[int]:
    """Which of `prompts`, of which the first `known[i]` tokens are remembered, had better wait until another
    is computed: those that begin as it does, where more than `least` tokens need not be computed again."""
    alike: defaultdict[bytes, list[int]] = defaultdict(list)
    for i, (prompt_ids, start) in enumerate(zip(prompts, known, strict=True)):
        if len(prompt_ids) > start + block:
            alike[prompt_ids[: start + block].tobytes()].append(i)
    waiting: set[int] = set()
    for group in alike.values():
        first, *others = sorted(group, key=lambda i: len(prompts[i]))
        shared = min((_shared(prompts[first], prompts[i]) for i in others), default=0)
        if len(others) * (shared // block * block - known[first]) > least:
            waiting.update(others)
    return waiting


def _shared(one: IntArray, other: IntArray) -> int:
    """How many tokens both begin with."""
    length = min(len(one), len(other))
    apart = np.flatnonzero(one[:length] != other[:length])
    return int(apart[0]) if len(apart) else length
