"""A command that the operating system kills again and again, and resumes until it is done."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trace_gym.store import FILE


def kill_until_done(
    start: Sequence[str],
    resume: Sequence[str],
    folder: Path,
    *,
    cache: Path,
    most: int,
    longest_s: float,
    seed: int = 0,
) -> int:
    """Start `trace-gym START`, kill it with its children at a random moment at most `longest_s` after it
    began to work, then go on with `trace-gym RESUME`; up to `most` times, then to the end.

    Returns how often it was killed. The first line on standard error tells that work began.
    """
    rng, kills = random.Random(seed), 0
    environment = {**os.environ, "TRACE_GYM_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    while True:
        words = resume if (folder / FILE).exists() else start
        with subprocess.Popen(
            [sys.executable, "-m", "trace_gym.cli", *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            try:
                _, said = process.communicate(timeout=rng.uniform(0.0, longest_s) if kills < most else 200.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
                continue
        assert process.returncode == 0, first + said
        return kills
