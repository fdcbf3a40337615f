"""JSON out of text that a model or a person wrote. Leaves out what the values mean."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_json(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `text[start]`, and where it ends.

    Raises ValueError, and nothing else, for what is not JSON, and for what Python would read although it
    cannot be written again: NaN, numbers beyond all bounds, half a surrogate pair.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half a surrogate pair is no text") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value, end
