"""Cells of two methods and two seeds, read as a table by hand; and drawn."""

from pathlib import Path
from typing import Any

import pytest

from trace_gym.bench.comparison import Comparison, compare
from trace_gym.bench.curve import Point
from trace_gym.bench.plot import averaged, draw


def cell(method: str, seed: int, *successes: float, ratio: float = 0.5) -> dict[str, Any]:
    """Evaluations 100 tokens apart; one step between each two, of 4 trees with 8 leaves."""
    curve = [
        Point(i, s, 0.0, 1.0, 100.0 * i, 10.0 * i, float(i), 20.0 * i, 40.0 * i, 1.0 * i).json()
        for i, s in enumerate(successes)
    ]
    step = {
        "effective_ratio": ratio,
        "trees": 4.0,
        "leaves": 8.0,
        "mixed_prefixes": 1.0,
        "shared_prefixes": 4.0,
        "seconds_collect": 6.0,
        "seconds_train": 3.0,
        "seconds_rest": 1.0,
        "schedule/seconds": 0.5,
        "predictor/brier_prefix": 0.2,
        "tokens_sampled": 500.0,
        "train/gradient_noise": 2.0,
        "train/gradient_square": 8.0,
    }
    return {"method": method, "seed": seed, "curve": curve, "steps": [step] * (len(successes) - 1)}


@pytest.fixture
def found() -> Comparison:
    return compare(
        [
            cell("uniform", 0, 0.1, 0.2, 0.4),
            cell("uniform", 1, 0.1, 0.3, 0.6),
            cell("trace", 0, 0.1, 0.5, 0.7, ratio=0.75),
            cell("trace", 1, 0.1, 0.3, 0.4, ratio=0.85),
        ]
    )


def test_the_table_by_hand(found: Comparison) -> None:
    """The target is (.4 + .6) / 2. TRACE's mean curve is .1, .4, .55 and there after 100 + 2/3 of 100 of 200
    tokens; differences to the same seed are .3 and -.2. Uniform is there where it ends."""
    assert found.target == pytest.approx(0.5)
    assert [row.method for row in found.rows] == ["trace", "uniform"]
    trace, uniform = found.rows
    assert trace.success.mean == pytest.approx(0.55)
    assert trace.gain.mean == pytest.approx(0.45)
    assert trace.paired.mean == pytest.approx(0.05)
    assert trace.paired.interval[0] < -1
    assert trace.reach["tokens"].share == pytest.approx((100 + 2 / 3 * 100) / 200)
    assert trace.reach["tokens"].seeds == 2
    assert uniform.reach["latency_s"].share == pytest.approx(1.0)
    assert uniform.paired.mean == 0.0


def test_figures_of_the_training_by_hand(found: Comparison) -> None:
    figures = found.rows[0].figures
    assert figures["effective_ratio"].mean == pytest.approx(0.8)
    assert figures["leaves_per_tree"].mean == 2.0
    assert figures["mixed_prefixes"].mean == 0.25
    assert figures["share_collect"].mean == pytest.approx(0.6)
    assert figures["share_schedule"].mean == pytest.approx(0.05)
    assert figures["seconds"].mean == 20.0
    assert figures["brier_prefix"].mean == pytest.approx(0.2)
    assert "brier_prefix_counts" not in figures
    assert figures["noise_share"].mean == pytest.approx(0.25)
    assert figures["signal_ktoken"].mean == pytest.approx(3.0 / 0.5)


def test_nothing_is_reached_by_those_who_began_above_it() -> None:
    found = compare([cell("uniform", 0, 0.5, 0.4), cell("trace", 0, 0.5, 0.6)])
    assert found.target == 0.4
    assert all(figure is None for row in found.rows for figure in row.reach.values())


def test_without_the_baseline_nothing_is_paired() -> None:
    found = compare([cell("trace", 0, 0.1, 0.5)])
    assert found.target is None
    assert found.rows[0].paired is None
    assert found.rows[0].reach["tokens"] is None
    assert found.rows[0].success.interval is None
    assert found.json()["rows"][0]["success"] == {"mean": 0.5, "interval": None, "seeds": 1}


@pytest.mark.parametrize("base", ["uniform", "uniform?train.lr=1e-4&n=4"])
def test_the_only_uniform_is_the_baseline_however_it_is_spelled(base: str) -> None:
    found = compare([cell(base, 0, 0.1, 0.5), cell("trace?n=4", 0, 0.1, 0.6)])
    assert (found.baseline, found.unpaired, found.target) == (base, None, 0.5)
    trace, uniform = found.rows
    assert (trace.paired.mean, uniform.paired.mean) == (pytest.approx(0.1), 0.0)
    assert uniform.reach["tokens"].share == 1.0
    assert found.json()["baseline"] == base


def test_uniform_as_it_is_comes_before_uniform_with_options() -> None:
    assert compare([cell("uniform?n=4", 0, 0.1, 0.5), cell("uniform", 0, 0.1, 0.6)]).baseline == "uniform"


@pytest.mark.parametrize(
    ("methods", "wanted", "why"),
    [
        (("trace",), None, "nothing is paired: no method is 'uniform'"),
        (("uniform?n=4", "uniform?n=8"), None, "nothing is paired: several methods are 'uniform'"),
        (("uniform", "trace"), "pcl", "nothing is paired: no method is 'pcl'"),
    ],
)
def test_why_nothing_is_paired_is_said(methods: tuple[str, ...], wanted: str | None, why: str) -> None:
    found = compare([cell(method, 0, 0.1, 0.5) for method in methods], baseline=wanted)
    assert found.baseline is None
    assert found.json()["unpaired"].startswith(why)
    assert all(row.paired is None for row in found.rows)


def test_any_method_may_be_the_baseline() -> None:
    cells = [cell("uniform?n=4", 0, 0.1, 0.5), cell("uniform?n=8", 0, 0.1, 0.6)]
    found = compare(cells, baseline="uniform?n=8")
    assert found.baseline == "uniform?n=8"
    assert {row.method: row.paired.mean for row in found.rows} == {
        "uniform?n=8": 0.0,
        "uniform?n=4": pytest.approx(-0.1),
    }


def test_curves_of_seeds_are_averaged_at_equal_cost(found: Comparison) -> None:
    cost, mean, low, high = averaged(found.curves["uniform"], "tokens")
    assert (cost[0], cost[-1]) == (0.0, 200.0)
    assert mean[-1] == pytest.approx(0.5)
    assert high[-1] - low[-1] == pytest.approx(2 * 0.1)
    assert (low[0], high[0]) == (pytest.approx(0.1), pytest.approx(0.1))


def test_pictures_are_written(found: Comparison, tmp_path: Path) -> None:
    written = draw(found, tmp_path / "plots", title="two methods")
    assert [path.name for path in written] == ["success.png", "ratio.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written)
    assert len({path.stat().st_size for path in written}) == 2
