"""Recorded episodes as a Parquet file, one row an episode, its turns nested. Sole importer of pyarrow.

Leaves out nothing that the JSON lines hold; actions, whose arguments may be of any shape, are JSON text, and
lone surrogates, which no UTF-8 can spell, are question marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trace_gym.core.budget import Cost
from trace_gym.core.errors import MissingExtra, RunFolderError, boundary
from trace_gym.core.files import new_file
from trace_gym.store.export import StoredEpisode, episode_record

ROWS = 256
"""Episodes a row group."""


def write_parquet(episodes: Iterable[StoredEpisode], path: Path) -> int:
    """Write one row an episode to a new file; returns how many. Raises MissingExtra, RunFolderError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra(f"Parquet needs {error.name}: pip install 'trace-gym[parquet]'") from error
    schema, count = _schema(pa), 0
    with (
        boundary(RunFolderError, OSError, what=f"cannot write {path}"),
        new_file(path) as file,
        pq.ParquetWriter(file.buffer, schema, compression="zstd") as writer,
    ):
        rows: list[dict[str, Any]] = []
        for stored in episodes:
            rows.append(_row(stored))
            count += 1
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows.clear()
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return count


def _row(stored: StoredEpisode) -> dict[str, Any]:
    """An episode's record with the task's fields beside the others, and actions as JSON text."""
    record = episode_record(stored)
    task = {f"task_{name}": str(value) for name, value in record.pop("task").items()}
    turns = [{**turn, "action": json.dumps(turn["action"])} for turn in record.pop("turns")]
    row: dict[str, Any] = _spellable({**record, **task, "turns": turns})
    return row


def _spellable(value: Any) -> Any:
    """The value with every text as UTF-8 can hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {name: _spellable(inner) for name, inner in value.items()}
    return [_spellable(inner) for inner in value] if isinstance(value, list) else value


def _schema(pa: Any) -> Any:
    counts = dict.fromkeys(("trajectories", "fresh", "cached", "decoded", "steps"), pa.int64())
    cost = pa.struct([(name, counts.get(name, pa.float64())) for name in Cost().json()])
    text, number, yes = pa.string(), pa.float64(), pa.bool_()
    verdict = pa.struct(
        [
            ("name", text),
            ("status", text),
            ("score", number),
            ("weight", number),
            ("required", yes),
            ("evidence", text),
        ]
    )
    turn = pa.struct(
        [
            ("node", pa.int32()),
            ("actor", text),
            ("action", text),
            ("text", text),
            ("observation", text),
            ("verdicts", pa.list_(verdict)),
            ("reward", number),
            ("terminated", yes),
            ("truncated", yes),
            ("policy_version", pa.int64()),
            *((name, pa.list_(pa.int32())) for name in ("context_ids", "action_ids")),
            ("logprobs", pa.list_(pa.float32())),
            ("cost", cost),
        ]
    )
    return pa.schema(
        [
            *((name, pa.int32()) for name in ("step", "tree", "rollout", "grant", "anchor")),
            *((f"task_{name}", text) for name in ("key", "suite", "split", "family", "subset")),
            ("task_seed", text),
            ("stop", text),
            ("failure", text),
            ("detail", text),
            ("success", yes),
            ("cost", cost),
            ("turns", pa.list_(turn)),
        ]
    )
