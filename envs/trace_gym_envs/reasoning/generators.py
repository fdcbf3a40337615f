"""The generators: which of reasoning-gym's 106 are played, how their items are made, and who verifies.

Made only of what the package does by itself: nothing is fetched, and no verifier of it that would evaluate an
agent's text as code is ever called. Leaves out which items are for training and which for testing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, Final

from reasoning_gym.factory import DATASETS, create_dataset

from trace_gym.core.errors import EnvironmentFailed, boundary

STREAM: Final = 1_000_000
ITEMS: Final = 10_000
RIGHT: Final = 1.0 - 1e-9

_EVALUATES = "its verifier evaluates the agent's answer as code"
_UNBOUNDED = "its verifier can be kept busy without end by a short answer"
_NO_ANSWER = "it has no reference answer"
_UNSTEADY = "its items differ from process to process"

EXCLUDED: Final[Mapping[str, str]] = {
    "arc_agi": "it leaves its data file open",
    "bf": "it writes to standard output while it makes items",
    "boxnet": _NO_ANSWER,
    "codeio": "it runs the programs that it ships, written by language models, in this process",
    "coin_flip": _UNBOUNDED,
    "complex_arithmetic": "its verifier accepts `nan`",
    "composite": "it mixes the others",
    "countdown": _EVALUATES,
    "game_of_life_halting": "its verifier accepts any answer",
    "intermediate_integration": _EVALUATES,
    "isomorphic_strings": _UNSTEADY,
    "knight_swap": _UNSTEADY,
    "list_functions": _UNSTEADY,
    "polynomial_multiplication": _EVALUATES,
    "propositional_logic": _UNBOUNDED,
    "puzzle24": _EVALUATES,
    "ransom_note": _UNSTEADY,
    "rubiks_cube": _UNBOUNDED,
    "rush_hour": _NO_ANSWER,
    "simple_integration": _EVALUATES,
    "word_ladder": _UNSTEADY,
}

# The settings that differ from the package's own: large boards take many seconds to make.
_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {"futoshiki": {"max_board_size": 6}}

# These make all items of a data set before the first, so every item is a data set of its own.
_ONE_BY_ONE: Final = frozenset({"acre"})


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its reference answer, and what its verifier knows besides."""

    generator: str
    stream: int
    question: str
    answer: str
    entry: Mapping[str, Any]


def _equal(item: Item, text: str) -> float:
    return float(text.strip() == item.answer.strip())


def _listed(item: Item, text: str) -> float:
    return float(text.strip() in item.entry["metadata"]["valid_answers"])


# The package's own verifiers of these evaluate what they cannot read otherwise, for part of a point.
_OWN_VERIFIERS: Final[Mapping[str, Callable[[Item, str], float]]] = {
    "binary_matrix": _equal,
    "n_queens": _listed,
    "spiral_matrix": _equal,
    "string_insertion": _equal,
}


def _graph_colours(entry: Mapping[str, Any]) -> str:
    """The reference answer of graph_color, which stands among what its verifier knows."""
    return json.dumps({str(node): colour for node, colour in entry["metadata"]["possible_answer"].items()})


class Source:
    """One generator and one stream of its items. Thread-safe: the package's data sets may keep notes while
    they make an item, so one is made at a time."""

    def __init__(self, generator: str, stream: int) -> None:
        self._generator = generator
        self._stream = stream
        self._lock = Lock()
        self._pages: dict[int, Any] = {}
        self.dataset = self.page(0)

    def page(self, number: int) -> Any:
        """The data set of the places from `number` times ITEMS on, as many."""
        if number not in self._pages:
            size = 1 if self._generator in _ONE_BY_ONE else ITEMS
            self._pages[number] = self._made(number * ITEMS, size)
        return self._pages[number]

    def item(self, place: int) -> Item:
        """The item at a place of the stream; always the same. Raises EnvironmentFailed."""
        what = f"{self._generator}: item {place} of stream {self._stream} cannot be made"
        with self._lock, boundary(EnvironmentFailed, Exception, what=what):
            page, at = divmod(place, ITEMS)
            one = self._generator in _ONE_BY_ONE
            entry = self._made(place, 1)[0] if one else self.page(page)[at]
            answer = _graph_colours(entry) if self._generator == "graph_color" else str(entry["answer"])
        return Item(self._generator, self._stream, str(entry["question"]), answer, entry)

    def score(self, item: Item, text: str) -> float:
        """How right an answer is, in [0, 1]; what is empty, or makes the verifier stumble, is wrong."""
        if not text.strip():
            return 0.0
        own = _OWN_VERIFIERS.get(self._generator)
        if own is not None:
            return own(item, text)
        try:
            with self._lock, boundary(EnvironmentFailed, Exception, what="the answer cannot be read"):
                return min(max(float(self.dataset.score_answer(text, item.entry)), 0.0), 1.0)
        except EnvironmentFailed:
            return 0.0

    def _made(self, first: int, size: int) -> Any:
        """The data set of `size` items from place `first` on."""
        settings = _SETTINGS.get(self._generator, {})
        return create_dataset(self._generator, seed=self._stream * STREAM + first, size=size, **settings)


@cache
def source(generator: str, stream: int) -> Source:
    """The items of a generator in a stream; made once per process."""
    return Source(generator, stream)


def generators() -> tuple[str, ...]:
    """The names of all generators that are played, sorted."""
    return tuple(sorted(set(DATASETS) - set(EXCLUDED)))


@cache
def category(generator: str) -> str:
    """The part of the package that a generator belongs to, such as `arithmetic`."""
    module: str = DATASETS[generator][0].__module__
    return module.split(".")[1]
