"""State folders: found without an owner by others only when their owner is dead."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trace_gym.environment.sandbox import lease

OWNER = """
import sys
from trace_gym.environment.sandbox.lease import StateFolder
folder = StateFolder("test")
print(folder.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_held_folder_is_nobodys_to_remove() -> None:
    folder = lease.StateFolder("test")
    (folder.path / "content").mkdir()
    assert lease.dead() == []
    assert lease.reap() == []
    assert (folder.path / "content").is_dir()
    folder.close()
    folder.close()
    assert not folder.path.exists()
    assert list(lease.state_root().iterdir()) == []


def test_a_folder_whose_owner_died_is_removed() -> None:
    left = lease.state_root() / "test-1-dead"
    (left / "deep" / "folder").mkdir(parents=True)
    (left / "lease").touch()
    assert lease.dead() == ["test-1-dead"]
    assert left.exists()
    assert lease.reap() == ["test-1-dead"]
    assert not left.exists()


def test_a_folder_in_the_making_is_left_alone_for_a_minute() -> None:
    made = lease.state_root() / ".test-1-new"
    made.mkdir(parents=True)
    assert lease.reap() == []
    os.utime(made, (1, 1))
    assert lease.reap() == [".test-1-new"]
    assert not made.exists()


def test_folders_may_be_made_while_others_look_for_dead_ones() -> None:
    stop = threading.Event()

    def make() -> None:
        while not stop.is_set():
            lease.StateFolder("test").close()

    with ThreadPoolExecutor(2) as makers:
        made = [makers.submit(make) for _ in range(2)]
        try:
            assert [name for _ in range(3000) for name in lease.dead()] == []
        finally:
            stop.set()
        assert [each.exception(timeout=30) for each in made] == [None, None]


def test_a_root_that_others_could_write_to_is_refused() -> None:
    lease.state_root().mkdir()
    lease.state_root().chmod(0o777)
    with pytest.raises(lease.SandboxFailed, match="open to others"):
        lease.StateFolder("test")


def test_a_killed_owner_holds_nothing() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=-1, stdout=-1, text=True)
    with owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert lease.dead() == []
        owner.kill()
        owner.wait(10)
    assert lease.dead() == [name]
    assert lease.reap() == [name]


def test_a_tree_goes_whatever_its_permissions(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "f").write_text("x")
    (top / "link").symlink_to("/etc")
    (top / "a" / "b").chmod(0)
    (top / "a").chmod(0)
    subprocess.run(
        ["sh", "-c", "for i in $(seq 1000); do mkdir deep && cd -P deep; done"], cwd=top, check=True
    )
    lease.remove_tree(top)
    lease.remove_tree(top)
    assert not top.exists()
    assert Path("/etc").is_dir()


def test_a_bubblewrap_that_outlived_its_parent_is_ended() -> None:
    folder = lease.state_root() / "bwrap-1-dead"
    folder.mkdir(parents=True)
    words = ["bwrap", "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    left, other = (
        subprocess.Popen([*words, root], executable=sys.executable, stdin=-1, stdout=-1, text=True)
        for root in (f"{folder}/root", f"{folder}-other/root")
    )
    with left, other:
        for each in (left, other):
            assert each.stdout is not None
            assert each.stdout.readline() == "up\n", "its words can be read from now on"
        lease.end_orphans(folder)
        assert left.wait(10) == -9
        assert other.poll() is None
        other.kill()
