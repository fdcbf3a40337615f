"""Two processes over gloo, started by torchrun, against one: the same metrics, weights and checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.loop_files.runs import SMALL
from tests.train.world_program import CASES, run
from trace_gym.store import Store
from trace_gym.train.credit import credit
from trace_gym.train.pack import Layout, pack
from trace_gym.train.trainer import Trainer
from trace_gym.train.world import World, idle

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(ROOT / "agents")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}


def test_one_process_is_a_world_of_its_own(gardener: Any) -> None:
    gardener.wild()
    batches, _ = pack(credit(gardener.trees), Layout(token_budget=30))
    world = World.current()
    assert world == World(0, 1)
    assert [a is b for a, b in zip(world.deal(batches), batches, strict=True)] == [True] * len(batches)


def test_batches_are_dealt_evenly_and_nothing_twice(gardener: Any) -> None:
    for _ in range(3):
        gardener.wild()
    batches, _ = pack(credit(gardener.trees), Layout(token_budget=25))
    batches = batches[: len(batches) - 1 + len(batches) % 2]
    parts = [World(rank, 2).deal(batches) for rank in (0, 1)]
    assert len(parts[0]) == len(parts[1])
    spared = parts[1][-1]
    assert len(spared.behaviour) == len(spared.owner) == 0
    assert spared.token_ids.numel() == min(b.computed for b in batches)
    found = sorted(id(batch) for part in parts for batch in part if len(batch.behaviour))
    assert found == sorted(id(batch) for batch in batches)
    assert len(idle(batches[0]).predictor) == 0


@pytest.mark.parametrize("case", CASES)
def test_two_processes_do_what_one_does(tmp_path: Path, case: str) -> None:
    alone = run(case, tmp_path / "alone")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = [str(ROOT / "tests" / "train" / "world_program.py"), case, str(tmp_path / "two")]
    ended = subprocess.run(
        [*command, *program],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(),
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    together = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert len(together) == len(alone)
    for left, right in zip(together, alone, strict=True):
        assert left.keys() == right.keys()
        for name in left.keys() - {"seconds"}:
            assert left[name] == pytest.approx(right[name], rel=1e-4, abs=1e-6), name
    for step in ("first", "last"):
        mine, other = (load_file(tmp_path / where / step / "model.safetensors") for where in ("two", "alone"))
        assert mine.keys() == other.keys()
        for name, weight in mine.items():
            torch.testing.assert_close(weight, other[name], rtol=1e-4, atol=1e-6)
    resumed = Trainer.resume(tmp_path / "two" / "first")
    single = Trainer.resume(tmp_path / "alone" / "first")
    for ours, theirs in zip(
        resumed._optimizer.state_dict()["state"].values(),
        single._optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        torch.testing.assert_close(ours["exp_avg"], theirs["exp_avg"], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_run_by_two_processes_plays_and_learns_as_one_does(tmp_path: Path) -> None:
    """`torchrun trace-gym train`: the first process keeps the run, the other one helps."""
    config = ["guess", *(part for key in (*SMALL, "eval.tasks=2") for part in ("--set", key))]
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher in (("alone", []), ("two", together)):
        command = [sys.executable, *launcher, "-m", "trace_gym.cli", "train", *config]
        ended = subprocess.run(
            [*command, "--out", str(tmp_path / name), "--json"],
            capture_output=True,
            text=True,
            timeout=280,
            env={**environment(), "TRACE_GYM_CACHE": str(tmp_path / "cache")},
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert json.loads(ended.stdout)["steps"] == 2
    metrics = []
    for name in ("alone", "two"):
        with Store.open(tmp_path / name, read_only=True) as store:
            metrics.append([store.metrics(step) for step in (0, 1)])
    for left, right in zip(*metrics, strict=True):
        assert left["turns"] == right["turns"]
        assert left["train/trained_tokens"] == right["train/trained_tokens"]
        assert left["train/grad_norm"] == pytest.approx(right["train/grad_norm"], rel=1e-3)
        assert right["watch/parity_gap"] < 1e-4
