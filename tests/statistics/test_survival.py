"""Turn-by-turn survival against scipy and statsmodels on recorded episodes, and by hand."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.duration.survfunc import CumIncidenceRight

from tests.statistics.recorded import recorded
from trace_gym.statistics import survival


def ends(name: str, lost: float) -> list[tuple[int, bool | None]]:
    """Recorded episodes, a share `lost` of which was cut at a random turn."""
    rng = np.random.default_rng(3)
    found = []
    for row in recorded(name):
        for turns, outcome in zip(row.turns, row.outcomes, strict=True):
            cut = rng.random() < lost
            found.append((int(rng.integers(1, turns + 1)), None) if cut else (turns, outcome))
    return found


@pytest.mark.filterwarnings("ignore:The confidence interval is undefined:RuntimeWarning")
@pytest.mark.parametrize("name", ["wikihop_compact_plain", "guess"])
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_still_playing_is_the_kaplan_meier_estimate_of_scipy(name, lost):
    episodes = ends(name, lost)
    data = stats.CensoredData.right_censored(
        [turns for turns, _ in episodes], [outcome is None for _, outcome in episodes]
    )
    theirs = stats.ecdf(data).sf
    inside = [row for row in survival(episodes) if row.low is not None]
    assert len(inside) > 3
    turns = np.array([row.turn for row in inside])
    assert [row.playing for row in inside] == pytest.approx(list(theirs.evaluate(turns)))
    bounds = theirs.confidence_interval(method="log-log")
    assert [row.low for row in inside] == pytest.approx(list(bounds.low.evaluate(turns)))
    assert [row.high for row in inside] == pytest.approx(list(bounds.high.evaluate(turns)))


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_solved_and_failed_are_the_cumulative_incidences_of_statsmodels(lost):
    episodes = ends("wikihop_compact_plain", lost)
    times = np.array([turns for turns, _ in episodes], dtype=float)
    kinds = np.array([{True: 1, False: 2, None: 0}[outcome] for _, outcome in episodes])
    theirs = CumIncidenceRight(times, kinds)
    rows = {row.turn: row for row in survival(episodes)}
    ours = [rows[int(turn)] for turn in theirs.times]
    assert [row.solved_by for row in ours] == pytest.approx(list(theirs.cinc[0]))
    assert [row.failed_by for row in ours] == pytest.approx(list(theirs.cinc[1]))
    assert all(row.playing + row.solved_by + row.failed_by == pytest.approx(1) for row in ours)


def test_by_hand():
    rows = survival([(1, True), (2, False), (2, None), (3, True), (0, None)])
    assert [(row.turn, row.at_risk, row.solved, row.failed, row.lost) for row in rows] == [
        (1, 4, 1, 0, 0),
        (2, 3, 0, 1, 1),
        (3, 1, 1, 0, 0),
    ]
    assert [row.playing for row in rows] == pytest.approx([3 / 4, 3 / 4 * 2 / 3, 0])
    assert rows[-1].solved_by == pytest.approx(1 / 4 + 1 / 2)
    assert (rows[-1].low, rows[-1].high) == (None, None)
    assert survival([]) == ()
