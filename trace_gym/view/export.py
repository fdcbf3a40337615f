"""A run as one self-contained HTML file: the viewer's page with the run's data in it, for reading offline.

Holds every metric and task row, the newest turns of the timeline, and the trees that are most worth a look
with their screenshots, up to a size. Leaves out the rest,
which the page says.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.files import new_file
from trace_gym.view import questions
from trace_gym.view import timeline as times
from trace_gym.view.page import assembled
from trace_gym.view.runfile import RunFile

MOST_TREES = 60
MOST_ROWS = 20_000
MOST_PICTURES_B = 20 << 20


def export(
    run: RunFile, file: Path, *, trees: int = MOST_TREES, clock: Callable[[], float] = time.time
) -> int:
    """Write the report; returns how many trees it holds. An existing file is not overwritten.

    Raises BadConfig where the file exists or cannot be written, RunFolderError where the run cannot be read.
    """
    told = _rows(run)
    chosen = sorted(told["rows"], key=_interest)[:trees]
    data: dict[str, Any] = {
        "made_at": clock(),
        "overview": run.overview(),
        "spending": run.spending(),
        "tasks": told,
        "timeline": times.timeline(run),
        "trees": {},
        "turns": {},
    }
    room = MOST_PICTURES_B
    for row in chosen:
        step, index = row["step"], row["tree"]
        tree = questions.tree(run, step, index)
        data["trees"][f"{step}/{index}"] = tree
        for node in range(len(tree["nodes"])):
            turn = {**questions.turn(run, step, index, node), **times.seen(run, step, index, node)}
            if turn["picture"]:
                png = times.picture(run, step, index, node) if room > 0 else b""
                room -= len(png)
                turn["picture"] = f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else None
            data["turns"][f"{step}/{index}/{node}"] = turn
    with (
        boundary(BadConfig, OSError, what=f"the report {file} cannot be written"),
        new_file(file) as out,
    ):
        out.write(assembled(data))
    return len(chosen)


def _rows(run: RunFile) -> dict[str, Any]:
    """All task rows, up to a bound."""
    first = questions.tasks(run)
    rows = list(first["rows"])
    page = 1
    while len(rows) < min(first["total"], MOST_ROWS):
        rows += questions.tasks(run, page=page)["rows"]
        page += 1
    return {**first, "rows": rows, "total": len(rows)}


def _interest(row: dict[str, Any]) -> tuple[bool, int, int]:
    """Mixed trees first, then the newest, then those with the most rollouts."""
    mixed = row["success"] is not None and 0 < row["success"] < 1
    return (not mixed, -row["step"], -row["rollouts"])
