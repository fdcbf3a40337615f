"""Tokenizers for hostile text: what the world says never becomes a control token.

Leaves out chat templates: renderers build prompts from text and from control tokens named one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer, decoders
from transformers import AutoTokenizer

from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.model.quiet import quiet

MOST_BREAKS = 16
"""Breaking a word can bring out one that overlaps it, so as a rule no more often than words are long."""


class HFTokenizer:
    """core's Tokenizer over a Hugging Face one. Control tokens are those that it marks as special.

    `decode(encode(text)) == text` wherever the vocabulary can spell the text. What it cannot spell (lone
    surrogates; in a byte-level vocabulary with holes, the characters whose bytes are missing) is written as
    a backslash escape instead of being dropped. Immutable after construction, hence safe to share between
    threads; the tokenizer it was made from is left as it was.
    """

    def __init__(self, tokenizer: Tokenizer, *, eos_id: int) -> None:
        copy = Tokenizer.from_str(tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
        copy.encode_special_tokens = True
        added = copy.get_added_tokens_decoder()
        self._backend = copy
        self._added = {token.content: token_id for token_id, token in added.items()}
        self._control = frozenset(token_id for token_id, token in added.items() if token.special)
        self._holes = _holes(copy)
        self.vocab_size = copy.get_vocab_size(with_added_tokens=True)
        self.eos_id = eos_id
        if not 0 <= eos_id < self.vocab_size:
            raise ValueError(f"eos_id must lie in the vocabulary of {self.vocab_size} tokens, got {eos_id}")

    @classmethod
    def from_folder(cls, folder: Path) -> HFTokenizer:
        """The tokenizer saved in a model folder. Raises ModelFailed if there is none that is usable."""
        with boundary(ModelFailed, Exception, what=f"no usable tokenizer in {folder}"), quiet():
            loaded = AutoTokenizer.from_pretrained(folder)
        backend, eos_id = getattr(loaded, "backend_tokenizer", None), loaded.eos_token_id
        if not isinstance(backend, Tokenizer):
            raise ModelFailed(f"the tokenizer in {folder} has no fast version (tokenizer.json)")
        if not isinstance(eos_id, int):
            raise ModelFailed(f"the tokenizer in {folder} names no end-of-sequence token")
        return cls(backend, eos_id=eos_id)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; a control token spelled out in `text` becomes ordinary tokens."""
        return self._encode(self._spellable(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids, control tokens spelled out; bytes that are no text become U+FFFD."""
        return self._backend.decode([int(i) for i in token_ids], skip_special_tokens=False)

    def control(self, token: str) -> int:
        """The id of a control token such as `<|im_end|>`; ValueError if there is none."""
        if token not in self._added:
            raise ValueError(f"no control token {token!r}; there are: {', '.join(sorted(self._added))}")
        return self._added[token]

    def _encode(self, text: str) -> list[int]:
        """Encode; where a vocabulary reads control tokens as words of its own, break each word in two. Pieces
        are broken again while that helps, then taken character by character, so that the time is linear."""
        found: list[int] = []
        waiting = [(text, 0)]
        while waiting:
            part, broken = waiting.pop()
            encoding = self._backend.encode(part, add_special_tokens=False)
            read: list[int] = encoding.ids
            if self._control.isdisjoint(read):
                found += read
            elif len(part) < 2:
                found += [i for i in read if i not in self._control]
            else:
                words = zip(read, encoding.offsets, strict=True)
                starts = [start for i, (start, _) in words if i in self._control]
                pieces = _broken(part, starts) if broken < MOST_BREAKS else list(part)
                waiting += [(piece, broken + 1) for piece in reversed(pieces)]
        return found

    def _spellable(self, text: str) -> str:
        """`text` with the characters that cannot be encoded written as backslash escapes."""
        raw = text.encode("utf-8", errors="backslashreplace")
        if self._holes is None or self._holes.search(raw) is None:
            return raw.decode()
        return "".join(_escaped(raw.decode(), self._holes))


def _broken(text: str, starts: Sequence[int]) -> list[str]:
    """A text of at least two characters, cut after the first character of the words that start there."""
    cuts = sorted({min(start + 1, len(text) - 1) for start in starts})
    return [text[first:last] for first, last in pairwise([0, *cuts, len(text)])]


def _escaped(text: str, holes: re.Pattern[bytes]) -> Iterator[str]:
    for character in text:
        if holes.search(character.encode()):
            yield f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"
        else:
            yield character


def _holes(tokenizer: Tokenizer) -> re.Pattern[bytes] | None:
    """Matches the bytes that a byte-level vocabulary has no token for; None if every byte has one."""
    if not isinstance(tokenizer.decoder, decoders.ByteLevel):
        return None
    known = tokenizer.get_vocab()
    missing = bytes(byte for byte, symbol in enumerate(_byte_symbols()) if symbol not in known)
    return re.compile(b"[" + re.escape(missing) + b"]") if missing else None


def _byte_symbols() -> list[str]:
    """How byte-level vocabularies write each byte: visible Latin-1 as itself, the others from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]
