"""Comparisons as pictures: success over every kind of cost, and the effective ratio step by step.

The sole importer of matplotlib. Leaves out the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trace_gym.bench.comparison import Comparison
from trace_gym.bench.curve import AXES, Point, success_at
from trace_gym.core.errors import MissingExtra

GRID = 60
"""How many costs curves of several seeds are averaged at."""
LETTERS = 12.0
"""How many letters of a legend fit into an inch."""


def draw(comparison: Comparison, folder: Path, *, title: str) -> list[Path]:
    """Write `success.png` and `ratio.png` into `folder`; returns what was written. Raises MissingExtra."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingExtra("plots need matplotlib: pip install 'trace-gym[bench]'") from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    with pyplot.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        written = [folder / "success.png", folder / "ratio.png"]
        for picture, path in zip((_success, _ratio), written, strict=True):
            figure = picture(comparison, pyplot, title)
            figure.savefig(path, dpi=130, bbox_inches="tight")
            pyplot.close(figure)
    return written


def _success(comparison: Comparison, pyplot: Any, title: str) -> Any:
    figure, axes = pyplot.subplots(2, 2, figsize=(10.5, 7.0), sharey=True, layout="constrained")
    figure.suptitle(title)
    for panel, (axis, words) in zip(axes.flat, AXES.items(), strict=True):
        for place, row in enumerate(comparison.rows):
            curves = [curve for curve in comparison.curves[row.method] if getattr(curve[-1], axis) > 0]
            if not curves:
                continue
            cost, mean, low, high = averaged(curves, axis)
            style = _style(place, base=row.method == comparison.baseline)
            panel.plot(cost, mean, label=row.method, **style)
            if len(curves) > 1:
                panel.fill_between(cost, low, high, color=style["color"], alpha=0.12, linewidth=0)
        if comparison.target is not None:
            panel.axhline(comparison.target, color="0.6", linewidth=0.8, linestyle=":")
        panel.set_xlabel(words)
        panel.set_xlim(left=0)
    for panel in axes[:, 0]:
        panel.set_ylabel("held-out success")
        panel.set_ylim(bottom=0.0, top=max(0.05, panel.get_ylim()[1]))
    _legend(figure, axes.flat[0])
    return figure


def _ratio(comparison: Comparison, pyplot: Any, title: str) -> Any:
    figure, panel = pyplot.subplots(figsize=(8.5, 4.0), layout="constrained")
    figure.suptitle(title)
    for place, row in enumerate(comparison.rows):
        runs = [run for run in comparison.ratios[row.method] if run]
        if not runs:
            continue
        length = min(map(len, runs))
        mean = np.mean([run[:length] for run in runs], axis=0)
        style = _style(place, base=row.method == comparison.baseline)
        panel.plot(np.arange(1, length + 1), mean, label=row.method, **style)
    panel.set_xlabel("step")
    panel.set_ylabel("effective ratio")
    panel.set_ylim(0.0, 1.0)
    _legend(figure, panel)
    return figure


def _legend(figure: Any, panel: Any) -> None:
    """Below the panels, in as many columns as the longest name leaves room for."""
    handles, labels = panel.get_legend_handles_labels()
    longest = max(map(len, labels), default=1) + 8
    columns = max(1, int(LETTERS * figure.get_figwidth()) // longest)
    figure.legend(
        handles, labels, loc="outside lower left", frameon=False, fontsize="small", ncols=min(5, columns)
    )


def averaged(curves: Sequence[Sequence[Point]], axis: str) -> tuple[Any, Any, Any, Any]:
    """(costs, mean, low, high): curves of several seeds at common costs, up to where all of them go; low and
    high are one standard error away."""
    end = min(float(getattr(curve[-1], axis)) for curve in curves)
    cost = np.linspace(0.0, end, GRID)
    values = np.array([[success_at(curve, c, axis) for c in cost] for curve in curves])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(curves)) if len(curves) > 1 else np.zeros(GRID)
    mean = values.mean(axis=0)
    return cost, mean, mean - error, mean + error


def _style(place: int, *, base: bool) -> dict[str, Any]:
    if base:
        return {"color": "black", "linewidth": 1.8, "linestyle": "--"}
    return {"color": f"C{place % 10}", "linewidth": 1.5, "linestyle": "-" if place < 10 else "-."}
