"""Cells of several methods and seeds, read as one table: every figure with its spread over seeds, paired.

Differences are to the baseline of the same seed, which saw the same tasks. Pure; leaves out running cells and
printing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from trace_gym.bench.curve import AXES, Point, points
from trace_gym.bench.reach import Reach, reach
from trace_gym.bench.spread import seed_interval

BASELINE = "uniform"
"""GRPO's allocation."""
SHARES = ("collect", "train", "schedule", "predict", "rest")


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over `seeds` and its 95 % interval (None for fewer than two)."""

    mean: float
    interval: tuple[float, float] | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """The figure of one value a seed; None of none."""
        return cls(fmean(values), seed_interval(values), len(values)) if values else None

    def json(self) -> dict[str, Any]:
        """All fields by name."""
        interval = None if self.interval is None else list(self.interval)
        return {"mean": self.mean, "interval": interval, "seeds": self.seeds}


@dataclass(frozen=True, slots=True)
class Row:
    """A method. `success` at the end, `gain` over the start, `paired` difference to the baseline; `reach` by
    axis: the cost at which the baseline's final success is reached over what the baseline spent in all;
    `figures` by name (see `_per_seed`)."""

    method: str
    seeds: int
    success: Figure | None
    gain: Figure | None
    paired: Figure | None
    reach: Mapping[str, Reach | None]
    figures: Mapping[str, Figure | None]

    def json(self) -> dict[str, Any]:
        """All fields by name."""

        def plain(figure: Figure | None) -> dict[str, Any] | None:
            return None if figure is None else figure.json()

        return {
            "method": self.method,
            "seeds": self.seeds,
            "success": plain(self.success),
            "gain": plain(self.gain),
            "paired": plain(self.paired),
            "reach": {axis: None if found is None else found.json() for axis, found in self.reach.items()},
            "figures": {name: plain(figure) for name, figure in self.figures.items()},
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, the best first, and the curves they were read off: by method, one a seed. Rows are paired
    with those of `baseline`; where that is None, `unpaired` says why."""

    rows: tuple[Row, ...]
    curves: Mapping[str, Sequence[Sequence[Point]]]
    ratios: Mapping[str, Sequence[Sequence[float]]]
    target: float | None
    baseline: str | None = None
    unpaired: str | None = None

    def json(self) -> dict[str, Any]:
        """Rows and curves as JSON data."""
        return {
            "baseline": self.baseline,
            "unpaired": self.unpaired,
            "target": self.target,
            "rows": [row.json() for row in self.rows],
            "curves": {
                method: [[point.json() for point in curve] for curve in curves]
                for method, curves in self.curves.items()
            },
        }


def compare(cells: Sequence[Mapping[str, Any]], *, baseline: str | None = None) -> Comparison:
    """The comparison of finished cells with the method `baseline` (None: the one that `found_baseline`
    finds); without it among them nothing is paired."""
    by_method: dict[str, dict[int, Mapping[str, Any]]] = {}
    for cell in cells:
        by_method.setdefault(cell["method"], {})[cell["seed"]] = cell
    curves = {
        method: {seed: points(cell["curve"]) for seed, cell in of.items()} for method, of in by_method.items()
    }
    name, unpaired = found_baseline(list(by_method), baseline)
    base = {} if name is None else curves[name]
    target = fmean(curve[-1].success for curve in base.values()) if base else None
    rows = [_row(method, of, curves[method], base) for method, of in by_method.items()]
    rows.sort(key=lambda row: -(row.success.mean if row.success else 0.0))
    return Comparison(
        tuple(rows),
        {method: [of[seed] for seed in sorted(of)] for method, of in curves.items()},
        {
            method: [[s["effective_ratio"] for s in of[seed]["steps"]] for seed in sorted(of)]
            for method, of in by_method.items()
        },
        target,
        name,
        unpaired,
    )


def found_baseline(methods: Sequence[str], wanted: str | None = None) -> tuple[str | None, str | None]:
    """What the others are compared with, or None and why: the method `wanted`; else `uniform` as it is, else
    the only method that is `uniform` with options."""
    if wanted is not None:
        return (wanted, None) if wanted in methods else (None, f"nothing is paired: no method is {wanted!r}")
    if BASELINE in methods:
        return BASELINE, None
    with_options = [method for method in methods if method.partition("?")[0] == BASELINE]
    if len(with_options) == 1:
        return with_options[0], None
    lacking = "several methods are" if with_options else "no method is"
    return None, f"nothing is paired: {lacking} {BASELINE!r}; add it, or say which is the baseline"


def _row(
    method: str,
    cells: Mapping[int, Mapping[str, Any]],
    curves: Mapping[int, Sequence[Point]],
    base: Mapping[int, Sequence[Point]],
) -> Row:
    finals = {seed: curve[-1].success for seed, curve in curves.items()}
    both = sorted(set(finals) & set(base))
    told = [_per_seed(cell["steps"]) for cell in cells.values()]
    names = sorted(set().union(*told))
    return Row(
        method,
        len(cells),
        Figure.of(list(finals.values())),
        Figure.of([curve[-1].success - curve[0].success for curve in curves.values()]),
        Figure.of([finals[seed] - base[seed][-1].success for seed in both]),
        {axis: reach(curves, base, axis) for axis in AXES},
        {name: Figure.of([figures[name] for figures in told if name in figures]) for name in names},
    )


def _per_seed(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A run's figures: means over its steps, and the parts of its seconds.

    `effective_ratio` with `leaves_per_tree`; `mixed_prefixes`, the part of prefixes with two leaves or more
    that hold both outcomes; `flipped` forks; Brier scores of the predictor against both baselines, its AUC
    and calibration error; `share_PART` of the seconds, where `schedule` and `predict` are parts of the
    others.
    """
    if not steps:
        return {}
    found: dict[str, float] = {}

    def mean(name: str, key: str) -> None:
        values = [step[key] for step in steps if key in step]
        if values:
            found[name] = fmean(values)

    mean("effective_ratio", "effective_ratio")
    mean("flipped", "schedule/forks_contrast")
    mean("grad_norm", "train/grad_norm")
    for kind in ("root", "prefix", "unseen"):
        for of in ("", "_constant", "_counts"):
            mean(f"brier_{kind}{of}", f"predictor/brier_{kind}{of}")
    mean("auc", "predictor/auc_prefix")
    mean("calibration_error", "predictor/ece_prefix")
    trees = sum(step["trees"] for step in steps)
    shared = sum(step["shared_prefixes"] for step in steps)
    found["leaves_per_tree"] = sum(step["leaves"] for step in steps) / max(1.0, trees)
    if shared:
        found["mixed_prefixes"] = sum(step["mixed_prefixes"] for step in steps) / shared
    found |= _noise(steps)
    found |= _seconds(steps, lambda key: sum(step.get(key, 0.0) for step in steps))
    return found


def _noise(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """`noise_share`, the part of a gradient's squared length that is noise, averaged over steps; and from it
    `signal_ktoken`, signal over noise that 1,000 sampled tokens buy (both are squared lengths; 0 or less:
    none is found)."""
    known = [step for step in steps if step.get("train/gradient_square", 0.0) > 0.0]
    if not known:
        return {}
    part = fmean(step["train/gradient_noise"] / step["train/gradient_square"] for step in known)
    tokens = fmean(step["tokens_sampled"] for step in known)
    return {"noise_share": part, "signal_ktoken": 1000.0 * (1.0 / part - 1.0) / tokens if part else 0.0}


def _seconds(steps: Sequence[Mapping[str, float]], total: Callable[[str], float]) -> dict[str, float]:
    whole = sum(total(f"seconds_{part}") for part in ("collect", "train", "rest"))
    parts = {
        "collect": total("seconds_collect"),
        "train": total("seconds_train"),
        "rest": total("seconds_rest"),
        "schedule": total("schedule/seconds"),
        "predict": total("predictor/seconds"),
    }
    shares = {f"share_{part}": parts[part] / whole for part in SHARES} if whole else {}
    return {"seconds": whole, **shares}
