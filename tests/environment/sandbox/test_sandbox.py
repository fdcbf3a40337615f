"""Every sandbox of this machine against the laws that all sandboxes share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trace_gym.core.sandbox import SandboxProvider
from trace_gym.testing import FILE_LAWS, SANDBOX_LAWS


@pytest.mark.parametrize("law", [*SANDBOX_LAWS, *FILE_LAWS])
def test_a_sandbox_keeps_the_law(law: str, provider: SandboxProvider) -> None:
    {**SANDBOX_LAWS, **FILE_LAWS}[law](provider)


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
