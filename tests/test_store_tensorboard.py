"""Metrics for TensorBoard, read back by TensorBoard itself."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.loop_files.runs import SMALL, Listening
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.errors import MissingExtra
from trace_gym.store.tensorboard import TensorBoard


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would draw: the points of every curve."""
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_tensorboard_reads_what_was_written_and_leaves_out_what_is_no_number(tmp_path: Path) -> None:
    with TensorBoard(tmp_path) as board:
        board.scalars(0, {"success": 0.25, "loss": float("nan")})
        assert read(tmp_path) == {"success": [(0, 0.25)]}, "on the disk at once"
        board.scalars(1, {"success": 0.5})
    assert read(tmp_path) == {"success": [(0, 0.25), (1, 0.5)]}


def test_a_resumed_run_takes_back_what_it_will_write_again(tmp_path: Path) -> None:
    for first, value in ((0, 0.25), (2, 0.75)):
        with TensorBoard(tmp_path, first=first, clock=lambda first=first: 1e9 + first) as board:
            for step in range(first, first + 3):
                board.scalars(step, {"success": value})
    assert read(tmp_path)["success"] == [(0, 0.25), (1, 0.25), (2, 0.75), (3, 0.75), (4, 0.75)]


def test_one_line_of_the_configuration_is_enough(tmp_path: Path) -> None:
    config = load("guess", (*SMALL, "run.steps=2", "run.tensorboard=true"))
    listening = Listening()
    train(config, tmp_path / "t", narrator=listening, cache=tmp_path / "cache")
    curves = read(tmp_path / "t")
    assert [step for step, _ in curves["success_bare"]] == [0, 1]
    assert curves["success_bare"][1][1] == pytest.approx(listening.metrics[1]["success_bare"])
    assert [step for step, _ in curves["eval/success"]] == [0, 2]


class Stopped(BaseException):
    """Somebody ended the run here."""


class Stopping(Listening):
    """Ends the run once step 1 is `done`, or while step 2 is `played`."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def step_done(self, step: int, metrics: Any) -> None:
        super().step_done(step, metrics)
        if (self._at, step) == ("done", 1):
            raise Stopped

    def event(self, tree: Any, event: Any) -> None:
        super().event(tree, event)
        if (self._at, self.step) == ("played", 2):
            raise Stopped


@pytest.mark.parametrize("at", ["done", "played", "the end"])
def test_a_resumed_run_keeps_every_point_of_every_curve_once(at: str, tmp_path: Path) -> None:
    more = ("run.steps=3", "run.tensorboard=true", "eval.every=1")
    config, run, cache = load("guess", (*SMALL, *more)), tmp_path / "run", tmp_path / "cache"
    first, second = Stopping(at), Listening()
    with suppress(Stopped):
        train(config, run, narrator=first, cache=cache)
    train(config, run, resume=True, narrator=second, cache=cache)
    curves = read(run)
    told = {**first.metrics, **second.metrics}
    assert [step for step, _ in curves["eval/success"]] == [0, 1, 2, 3]
    assert [value for _, value in curves["eval/success"]] == pytest.approx(
        [second.reports[step].success.mean for step in range(4)]
    )
    assert curves["success_bare"] == [(step, pytest.approx(told[step]["success_bare"])) for step in range(3)]


def test_without_the_package_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'trace-gym\[tensorboard\]'"):
        TensorBoard(tmp_path)
    assert not any(tmp_path.iterdir())
