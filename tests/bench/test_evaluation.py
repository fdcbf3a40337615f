"""The bench of adaptive evaluation: populations from spreads and from run folders, and its table."""

from pathlib import Path

import numpy as np
import pytest

from trace_gym.bench.evaluation import measure, recorded, spreads, written
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.store import Store
from trace_gym.testing import grow_tree, record_forest, toy_task


def test_a_recorded_run_is_a_population_of_shares_and_prices(tmp_path: Path) -> None:
    trees: list[RolloutTree] = []
    for index, lines in enumerate((("0 3 +", "0 5 -"), ("0 2 +", "0 2 !"), ("0 1 ?",))):
        numbered = grow_tree(*lines, index=index, task=toy_task(index, split=Split.TEST))
        for number, rollout in enumerate(numbered.rollouts):
            object.__setattr__(rollout, "grant", 10 * index + number)
        trees.append(numbered)
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        record_forest(store, Forest(0, trees))
    found = recorded(tmp_path / "run")
    assert found.success.tolist() == [0.5, 1.0], "a task without an outcome is none of them"
    assert found.price.tolist() == [4.0, 2.0]


def test_outcomes_written_down_are_populations_too(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.json"
    file.write_text(
        '{"words": [["a", "f", "0110", [1, 2, 3, 2], [5, 5, 5, 9]], ["b", "f", "1", [3], [7]]],'
        ' "moves": [["c", "f", "00", [4, 6], [0, 0]]]}'
    )
    found = written(file)
    assert found["words"].success.tolist() == [0.5, 1.0]
    assert found["words"].price.tolist() == [6.0, 7.0]
    assert found["moves"].price.tolist() == [5.0], "without tokens, turns are what an attempt costs"
    file.write_text('{"words": 3}')
    with pytest.raises(BadConfig, match="holds no recorded outcomes"):
        written(file)


def test_the_table_has_a_row_for_every_population_budget_and_prior() -> None:
    populations = {"70 % certain": spreads(0)["70 % certain"]}
    rows = list(measure(populations, budgets=(6.0, 12.0), priors=(0, 8), runs=10, seed=0))
    assert [(row.budget, row.prior) for row in rows] == [(6.0, 0), (12.0, 0), (6.0, 8), (12.0, 8)]
    for row in rows:
        told = row.json()
        assert told["coverage"] >= 0.6
        assert told["spent"] <= row.budget + 0.1
        assert told["best_would_spend"] < told["uniform_would_spend"]
    assert rows[3].found.saving > rows[1].found.saving, "what is known beforehand saves more"
    assert np.mean([row.found.half_width for row in rows[1::2]]) < rows[0].found.half_width


def test_an_evaluation_that_aims_at_a_width_ends_there() -> None:
    populations = {"70 % certain": spreads(0)["70 % certain"]}
    (row,) = measure(populations, budgets=(), widths=(0.03,), priors=(8,), runs=10, seed=0)
    assert row.width == 0.03
    assert row.found.half_width < 0.031
    assert row.found.spent < 30 < row.budget
