"""A training run that is killed by the operating system again and again."""

import os
import random
import signal
import subprocess
import sys

import pytest

from tests.loop_files.runs import SMALL, Listening, assert_same
from trace_gym.assemble import train
from trace_gym.config import dump, load
from trace_gym.store import FILE, Store


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    cache = tmp_path / "cache"
    config = load("guess", (*SMALL, "run.steps=8"))
    train(config, tmp_path / "whole", narrator=Listening(), cache=cache)
    (tmp_path / "run.toml").write_text(dump(config))
    folder, rng, kills, code = tmp_path / "run", random.Random(0), 0, None
    while code is None:
        started = (folder / FILE).exists()
        how = ("--resume",) if started else (str(tmp_path / "run.toml"),)
        with subprocess.Popen(
            [sys.executable, "-m", "trace_gym.cli", "train", *how, "--out", str(folder)],
            env={**os.environ, "TRACE_GYM_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            heading = process.stderr.readline()
            assert b"run folder" in heading, heading + process.stderr.read()
            try:
                _, said = process.communicate(timeout=rng.uniform(0.0, 1.2) if kills < 20 else 60.0)
                code = process.returncode
                assert code == 0, said
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
    assert kills > 3
    with Store.open(folder, read_only=True) as store, Store.open(tmp_path / "whole", read_only=True) as other:
        assert_same(store, other)
