"""The tokens of chats whose turns stand between `<|im_start|>role` and `<|im_end|>`.

Leaves out what is said in them, which each renderer decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trace_gym.core.episode import Turn
from trace_gym.core.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of markup that is one token wherever the tokenizer has it."""

    token: str


START, END = Mark("<|im_start|>"), Mark("<|im_end|>")


class ChatML:
    """Lays pieces of text and markup out as tokens. `marks` is the markup that is used besides the turns'.

    Text between two marks is encoded in one go, so that the tokens are those of the whole text. Text never
    yields a mark's token, whatever it says. Raises ValueError if the tokenizer has no tokens for the turns.
    """

    def __init__(self, tokenizer: Tokenizer, marks: Sequence[Mark] = ()) -> None:
        self._tokenizer = tokenizer
        try:
            self._ids = {mark: tokenizer.control(mark.token) for mark in (START, END)}
        except ValueError as error:
            raise ValueError(
                f"a tokenizer without chat turns needs the renderer 'compact': {error}"
            ) from error
        for mark in marks:
            try:
                self._ids[mark] = tokenizer.control(mark.token)
            except ValueError:  # spelled in ordinary tokens, then
                continue
        self._spelled = re.compile("|".join(re.escape(mark.token) for mark in self._ids))
        self.start, self.end = self._ids[START], self._ids[END]

    def lay(self, *pieces: str | Mark) -> list[int]:
        """The tokens of the pieces, one after another."""
        laid: list[int] = []
        text = ""
        for piece in pieces:
            if isinstance(piece, str) or piece not in self._ids:
                text += piece if isinstance(piece, str) else piece.token
            else:
                laid += [*self._text(text), self._ids[piece]]
                text = ""
        return laid + self._text(text)

    def after(self, last: Turn) -> list[str | Mark]:
        """What closes the turn `last`: its end, if it was cut before that, and the line break."""
        ended = len(last.action_ids) and last.action_ids[-1] == self.end
        return ["\n"] if ended else [END, "\n"]

    def _text(self, text: str) -> list[int]:
        """Ordinary tokens only: markup that is spelled out is encoded in two parts."""
        cuts = [0, *(found.start() + 1 for found in self._spelled.finditer(text)), len(text)]
        return [token for a, b in pairwise(cuts) if a < b for token in self._tokenizer.encode(text[a:b])]
