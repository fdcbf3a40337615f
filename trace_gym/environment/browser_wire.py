"""What passes between a tab, its owner and the browser's driver: plain data.

Leaves out who does what with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

EPOCH_MS: Final = 1_704_103_200_000
"""What a page's clock shows at first: 2024-01-01, 10:00 UTC."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a page asks its server for; `headers` have lower-case names, cookies included."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What it is answered; a header may be given several times. Redirects and cookies work as usual."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


Server: TypeAlias = Callable[[Request], Response]
Inbox: TypeAlias = Callable[[tuple[Request, Callable[[Response], None]]], None]
"""Takes a request, and where its answer goes."""


@dataclass(frozen=True, slots=True)
class TabOptions:
    """How a tab is opened.

    `origins`: what its pages may ask for, such as "http://shop.test"; everything else is aborted.
    `tick_ms`: how far the page's clock goes on before every look, and it stands still in between; None: the
    page lives in real time. `seed`: of the page's Math.random while its clock is ours. `probe`: a JavaScript
    expression whose value comes with every look. `shapes`: drawings and coloured boxes are told, too.
    `root`: a selector of the only part that is told; `skip`: of parts that are not. `touch`: a phone.
    `patience_s`: how long any single act or look may take before the page counts as broken.
    """

    origins: tuple[str, ...]
    width: int = 1280
    height: int = 800
    tick_ms: int | None = 500
    epoch_ms: int = EPOCH_MS
    seed: int = 0
    probe: str = "null"
    shapes: bool = False
    root: str = ""
    skip: str = ""
    max_lines: int = 400
    touch: bool = False
    patience_s: float = 50.0

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", origin):
                raise ValueError(f"an origin is written http://name, got {origin!r}")
        if not self.origins or self.width < 1 or self.height < 1 or self.max_lines < 1:
            raise ValueError("a tab needs an origin, a size and room for a line")
        if (self.tick_ms or 0) < 0 or self.patience_s <= 0:
            raise ValueError(
                f"times must be positive, got tick_ms={self.tick_ms}, patience_s={self.patience_s}"
            )


@dataclass(frozen=True, slots=True)
class Look:
    """What a page shows: lines with references, what happened meanwhile (`notices`), and `digest`, which
    changes with anything in its document. `probe` is what the tab's probe said."""

    title: str
    url: str
    lines: tuple[str, ...]
    notices: tuple[str, ...]
    digest: str
    probe: Any

    @property
    def text(self) -> str:
        """The look as an agent reads it."""
        return "\n".join(
            [*self.notices, f"page {json.dumps(self.title, ensure_ascii=False)} {self.url}", *self.lines]
        )


@dataclass(frozen=True, slots=True)
class Found:
    """An element: the reference of the nearest listed element that holds it (its `own`, or not), where its
    middle is in that one, and its place in the window as left, top, width, height."""

    ref: int | None
    own: bool
    x: int
    y: int
    box: tuple[float, float, float, float]
    shown: bool
    text: str
    value: str
    checked: bool
    focused: bool
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a browser keeps of an origin beyond its page: address, cookies, storage. Plain data."""

    url: str
    cookies: tuple[Mapping[str, Any], ...]
    storage: Mapping[str, Mapping[str, str]]


class Refused(Exception):
    """What was asked of the page cannot be done, through no fault of the browser; the text says why."""
