"""The training benchmark: shapes as promised, the same gradient in all ways, and its command."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from trace_gym.bench.train import Measured, Report, run
from trace_gym.bench.train_trees import SHAPES, Shape, grown
from trace_gym.cli.bench_train import command
from trace_gym.core.errors import UnknownName

TINY = Shape(trees=2, roots=2, forks=3, turns=3, prompt=20, context=5, action=4)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_grow_as_described(name: str) -> None:
    shape = SHAPES[name]
    forest = grown(shape, vocab=100)
    assert len(forest.trees) == shape.trees
    for tree in forest.trees:
        assert len(tree.outcomes()) == shape.roots + shape.forks
        assert tree.mixed
        whole = shape.prompt + (shape.turns - 1) * shape.context + shape.turns * shape.action
        assert {len(tree.tokens(leaf)) for leaf in tree.outcomes()} == {whole}


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="two roots"):
        Shape(trees=1, roots=1, forks=0, turns=1, prompt=1, context=0, action=1)
    with pytest.raises(ValueError, match="negative"):
        Shape(trees=1, roots=2, forks=-1, turns=1, prompt=1, context=0, action=1)


def test_all_ways_compute_the_same_gradient() -> None:
    told: list[Measured] = []
    report = run([("tiny", TINY)], ways=("dense", "packed"), repeats=1, device="cpu", on_row=told.append)
    assert [row.way for row in report.rows] == ["leaves", "dense", "packed"]
    assert list(report.rows) == told
    leaves, dense, packed = report.rows
    assert leaves.apart == 0.0
    assert max(dense.apart or 1.0, packed.apart or 1.0) < 1e-5
    assert packed.computed == dense.computed < leaves.computed
    assert packed.terms < leaves.terms
    assert packed.computed * packed.ratio == pytest.approx(leaves.computed)
    assert packed.note == ""


def test_pairs_by_hand() -> None:
    """Two leaves of 5 tokens that share the first 3: twice 15 pairs, against 6 and twice (4 + 5)."""
    shape = Shape(trees=1, roots=2, forks=0, turns=1, prompt=3, context=0, action=2)
    (leaves,) = run([("two", shape)], ways=("leaves",), repeats=1, device="cpu").rows
    assert leaves.pairs == pytest.approx(30 / 24)
    assert leaves.ratio == pytest.approx(10 / 7)


@pytest.mark.needs("trl")
@pytest.mark.filterwarnings("ignore")
def test_trl_computes_the_same_gradient() -> None:
    report = run([("tiny", TINY)], ways=("trl",), repeats=1, device="cpu")
    row = report.rows[-1]
    assert row.way == "trl"
    assert row.apart is not None
    assert row.apart < 1e-5


def test_nothing_is_begun_when_time_is_up() -> None:
    clock = iter(range(1000))
    report = run([("tiny", TINY)], repeats=1, device="cpu", seconds=0.5, clock=lambda: float(next(clock)))
    assert report.rows == ()
    assert not report.reached


def test_the_goal_is_of_tokens_saved_and_never_slower() -> None:
    def report(speedup: float, ratio: float) -> Report:
        row = Measured("s", "packed", 1.0, 1.0, 1, 1, speedup, ratio, 1.0, None, None)
        return Report("cpu", "mini", 1, "float32", "2", (row,))

    assert report(2.7, 3.0).reached
    assert not report(2.6, 3.0).reached
    assert not report(0.99, 1.0).reached


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mini'"):
        run(model="minny")
    with pytest.raises(UnknownName, match="did you mean 'bushy'"):
        run(["bush"], device="cpu", seconds=0.0)


def test_the_command_prints_one_json_object() -> None:
    arguments = ["--shape", "small", "--way", "packed", "--repeats", "1", "--device", "cpu", "--json"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["way"] for row in told["rows"]] == ["leaves", "packed"]
