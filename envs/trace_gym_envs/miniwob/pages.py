"""The pages of MiniWoB++: which wheel holds them, their files, their splits and tasks.

Splits go by stem: variants of a page (`click-tab`, `click-tab-2-hard`, ...) are never on both sides. A stem
is a page's name without the words that mark variants; a hash of it decides. Leaves out solving them.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from trace_gym.core.errors import MalformedData, boundary
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.browser_wire import Request, Response
from trace_gym.environment.dataset import PackageData
from trace_gym.environment.tasks import LazyTasks

SUITE: Final = "miniwob"
ORIGIN: Final = "http://miniwob.test"
WHEEL: Final = PackageData(
    package="miniwob",
    version="1.1.0",
    sha256="297006e84219d56ad037e843527ed773a4a82509dc43b6031ec4a3ad3e3e61d9",
)
LIMITS: Final = Limits(max_turns=30, step_timeout_s=60.0)
SEEDS: Final = {Split.TRAIN: 100, Split.TEST: 10}
"""Tasks of a page: how many seeds each split has."""
TEST_SHARE: Final = 4
VARIANTS: Final = frozenset(
    {
        *("2", "3", "all", "delay", "delete", "dynamic", "easy", "forward", "grid", "hard", "important"),
        *("large", "medium", "nl", "nodelay", "noscroll", "popup", "reply", "soft", "some", "star"),
        *("transfer", "turk"),
    }
)
LEFT_OUT: Final[Mapping[str, str]] = {"hover-shape": "it pays no reward: nothing but its time limit ends it"}
"""Pages without tasks, with the reason. None had to be left out because it could not be replayed exactly."""


def stem(page: str) -> str:
    """A page's name without the words at its end that mark variants."""
    words = page.split("-")
    while len(words) > 1 and words[-1] in VARIANTS:
        words.pop()
    return "-".join(words)


def split_of(page: str) -> Split:
    """Which side a page is on, by a hash of its stem."""
    value = int.from_bytes(blake2b(stem(page).encode(), digest_size=6).digest(), "big")
    return Split.TEST if value % TEST_SHARE == 0 else Split.TRAIN


def pages(split: Split | None = None) -> tuple[str, ...]:
    """The names of the pages, or of those of a split, sorted. Raises DatasetUnavailable."""
    return tuple(name for name in _names(html()) if split is None or split_of(name) is split)


def tasks(split: Split, solved: frozenset[str]) -> Sequence[Task]:
    """The tasks of a split, page by page; `solved` are the pages that have an oracle."""
    names, seeds = pages(split), SEEDS[split]

    def task(place: int) -> Task:
        page, seed = names[place // seeds], place % seeds
        return Task(
            id=f"{page}.{seed}",
            suite=SUITE,
            split=split,
            family=page,
            subset="oracle" if page in solved else "no_oracle",
            payload={"page": page, "seed": seed},
            limits=LIMITS,
        )

    return LazyTasks(len(names) * seeds, task)


def html() -> Path:
    """The folder of the pages, fetched first if it is not in the cache. Raises DatasetUnavailable."""
    return WHEEL.unpacked() / "miniwob" / "html"


def serve(request: Request) -> Response:
    """A file of the package."""
    path = unquote(urlsplit(request.url).path).lstrip("/")
    content = _content(html(), path)
    if request.method != "GET" or content is None:
        return Response(404)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    return Response(200, [("Content-Type", f"{kind}{charset}")], content)


@cache
def _names(root: Path) -> tuple[str, ...]:
    with boundary(MalformedData, OSError, what=f"cannot read {root}"):
        found = sorted(path.stem for path in (root / "miniwob").glob("*.html"))
    if not found:
        raise MalformedData(f"{root} holds no pages")
    return tuple(name for name in found if name not in LEFT_OUT)


@cache
def _content(root: Path, path: str) -> bytes | None:
    """The bytes of a file below the folder; None where there is none."""
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()) or not file.is_file():
        return None
    return file.read_bytes()
