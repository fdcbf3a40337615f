"""Every sandbox of this machine against the laws that all sandboxes share."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from trace_gym.core.sandbox import SandboxProvider, SandboxSpec
from trace_gym.testing import FILE_LAWS, SANDBOX_LAWS


@pytest.mark.parametrize("law", [*SANDBOX_LAWS, *FILE_LAWS])
def test_a_sandbox_keeps_the_law(law: str, provider: SandboxProvider) -> None:
    {**SANDBOX_LAWS, **FILE_LAWS}[law](provider)


def test_where_memory_runs_out_a_command_ends_before_the_agent(provider: SandboxProvider) -> None:
    """The agent is what a command is for as long as one starts, so this one waits until it has."""
    wait = "until read score < /proc/1/oom_score_adj && [ $score != 1000 ]; do :; done"
    with closing(provider.open(SandboxSpec())) as box:
        found = box.run(["sh", "-c", f"{wait}; cat /proc/self/oom_score_adj"])
    assert (found.exit_code, found.stdout) == (0, b"1000\n")


def test_a_command_may_not_enter_or_run_what_its_user_may_not(provider: SandboxProvider) -> None:
    """Whoever starts it."""
    with closing(provider.open(SandboxSpec())) as box:
        assert box.run(["mkdir", "-m", "0", "shut"]).ok
        box.write("/workspace/plain", b"#!/bin/sh\n")
        entered = box.run(["true"], cwd="/workspace/shut")
        assert (entered.exit_code, entered.stderr) == (
            126,
            b"cannot enter /workspace/shut: Permission denied\n",
        )
        ran = box.run(["./plain"])
        assert (ran.exit_code, ran.stderr) == (126, b"./plain: Permission denied\n")


TOGETHER = """
import threading
from concurrent.futures import ThreadPoolExecutor
from trace_gym.environment.sandbox import provider
barrier = threading.Barrier(8)
def ask(_):
    barrier.wait(60)
    return provider("bwrap")
with ThreadPoolExecutor(8) as pool:
    print(len({id(found) for found in list(pool.map(ask, range(8)))}))
"""


@pytest.mark.needs("bwrap")
def test_threads_that_ask_at_once_get_one_provider() -> None:
    """Else a snapshot of one worker's sandbox could not be restored in another's."""
    words = [sys.executable, "-c", TOGETHER]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.strip() == "1"
