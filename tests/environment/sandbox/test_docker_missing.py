"""Where no Docker daemon answers: one sentence, and no socket left open (which would be a warning)."""

from __future__ import annotations

import gc
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("docker", reason="the Docker client is not installed: pip install 'trace-gym[docker]'")

from trace_gym.environment.sandbox.docker import missing


@pytest.fixture
def rude() -> Iterator[Path]:
    """A socket whose owner hangs up on whoever comes."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{name}/socket")
        door.listen()
        door.settimeout(0.05)
        over = threading.Event()

        def hang_up() -> None:
            while not over.is_set():
                try:
                    caller, _ = door.accept()
                except TimeoutError:
                    continue
                caller.close()

        owner = threading.Thread(target=hang_up)
        owner.start()
        yield Path(name, "socket")
        over.set()
        owner.join()


def test_a_daemon_that_hangs_up_is_none_and_leaves_nothing_open(
    rude: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{rude}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    reason = missing()
    assert reason is not None
    assert "No Docker daemon answers at" in reason
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_socket_that_is_not_there_is_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/socket")
    assert "No such file" in (missing() or "")
