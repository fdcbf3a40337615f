"""The viewer's page in one piece: markup, style and scripts of this folder put together. No build step."""

from __future__ import annotations

import json
from importlib.resources import files

SCRIPTS = (
    "source.js",
    "marks.js",
    "charts.js",
    "run.js",
    "tasks.js",
    "time.js",
    "tree.js",
    "turn.js",
    "main.js",
)


def assembled(embedded: object = None) -> str:
    """The page as one HTML document; `embedded` is data that it then shows without a server."""
    folder = files(__name__)

    def read(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    data = json.dumps(embedded).replace("<", "\\u003c")
    scripts = "\n".join(read(name) for name in SCRIPTS)
    text = read("index.html").replace("/* style */", read("style.css"))
    return text.replace("/* data */null", data).replace("/* scripts */", scripts)
