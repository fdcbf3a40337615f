"""The smallest tokenizer that keeps the rules: one token a byte, control tokens beyond them.

Leaves out merges: every text has exactly one spelling.
"""

from __future__ import annotations

from collections.abc import Sequence

from trace_gym.core.tokens import IntArray, ids

BYTES = 256


class ToyTokenizer:
    """Implements core's Tokenizer. Ids 0 to 255 are bytes, then the `control` tokens in order; the first of
    them is the end of a text."""

    def __init__(self, control: Sequence[str] = ("<|end|>", "<|im_start|>", "<|im_end|>")) -> None:
        if not control or len(set(control)) != len(control):
            raise ValueError(
                f"a toy tokenizer needs at least one control token, all different, got {control}"
            )
        self._control = tuple(control)

    @property
    def vocab_size(self) -> int:
        """Bytes and control tokens."""
        return BYTES + len(self._control)

    @property
    def eos_id(self) -> int:
        """The first control token."""
        return BYTES

    def encode(self, text: str) -> list[int]:
        """The bytes of the text; a control token spelled out in it becomes ordinary bytes."""
        return list(text.encode("utf-8", "surrogatepass"))

    def encode_ids(self, text: str) -> IntArray:
        """`encode` as an array."""
        return ids(self.encode(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text, control tokens spelled out; broken UTF-8 becomes replacement characters."""
        parts, run = [], bytearray()
        for token in map(int, token_ids):
            if token < BYTES:
                run.append(token)
                continue
            parts += [run.decode("utf-8", "replace"), self._control[token - BYTES]]
            run.clear()
        return "".join([*parts, run.decode("utf-8", "replace")])

    def control(self, token: str) -> int:
        """The id of a control token. Raises ValueError if there is none."""
        if token not in self._control:
            raise ValueError(f"no control token {token!r}; there are {', '.join(self._control)}")
        return BYTES + self._control.index(token)
