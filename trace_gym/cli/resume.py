"""Going on with a run that was cut off: the advice how, and an evaluation as it was asked for.

Leaves out what is played anew and what is not, which the journal decides.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.store import FILE, Store

UNRECORDED = ("out", "resume", "as_json", "workers")
"""Options that do not change what is played."""
LATER = ("screenshots",)
"""Options that older runs do not know of; recorded where they are set."""


@contextmanager
def resumable(command: str, folder: Path | None) -> Iterator[None]:
    """Say how to go on where what happens inside is interrupted and `folder` holds a run by then."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None and (folder / FILE).is_file():
            words = shlex.join(["trace-gym", command, "--resume", "--out", str(folder)])
            click.echo(f"continue with: {words}", err=True)
        raise


def as_recorded(given: dict[str, Any], typed: Collection[str]) -> dict[str, Any]:
    """What the evaluation to be resumed was asked for, where nothing but its folder is named; `typed` are the
    options that were given. Raises RunFolderError where one of them differs from what is recorded."""
    if not given["out"]:
        raise BadConfig("--resume continues the evaluation in a run folder: say which with --out")
    if given["suites"]:
        return given
    with Store.open(given["out"], read_only=True) as store:
        _demand_evaluation(store)
        recorded = _recorded(store)
    asked = _asked(given)
    _demand_same(given["out"], {key: asked[key] for key in typed if key in asked}, recorded)
    return {**given, **recorded}


def evaluation_store(given: dict[str, Any]) -> Store:
    """The evaluation's own run folder: new, or with `resume` the one that holds it. Raises RunFolderError."""
    asked = _asked(given)
    if not given["resume"]:
        return Store.create(given["out"], kind="eval", config=asked, exist_ok=True)
    with ExitStack() as undo:
        store = undo.enter_context(Store.open(given["out"]))
        _demand_evaluation(store)
        recorded = _recorded(store)
        _demand_same(given["out"], {key: asked.get(key) for key in {*asked, *recorded}}, recorded)
        undo.pop_all()
        return store


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """The options that are recorded, as the run file keeps them."""
    kept = {
        key: value for key, value in given.items() if key not in UNRECORDED and (value or key not in LATER)
    }
    asked: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return asked


def _recorded(store: Store) -> dict[str, Any]:
    """What an evaluation was asked for. In older ones the seed also decided the sample."""
    return {"sample": store.config.get("seed"), **store.config}


def _demand_evaluation(store: Store) -> None:
    if store.kind != "eval":
        raise RunFolderError(f"{store.folder} holds a run of kind {store.kind!r}, not an evaluation")


def _demand_same(folder: Path, asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
    changed = sorted(key for key in asked if recorded.get(key) != asked[key])
    if changed:
        raise RunFolderError(f"{folder} holds another evaluation; what differs: {', '.join(changed)}")
