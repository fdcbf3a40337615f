"""Exports, each read back by somebody else's reader: DuckDB, Harbor's own models of ATIF, OpenAI's types."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.errors import MissingExtra, RunFolderError
from trace_gym.core.package import cache_folder, fetch_package
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import suite
from trace_gym.store import Store, StoredEpisode
from trace_gym.store.atif import atif_record
from trace_gym.store.messages import messages_record
from trace_gym.store.parquet import write_parquet
from trace_gym.testing import grow_forest, record_forest, toy_task

HARBOR = ("harbor", "0.26.0", "b7c752c5b51ae2ee1fc2ea30621493c7dc0b5a3d0157295bed4552115027baee")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two trees with forks, every kind of end, several calls in a turn, broken text."""
    with Store.create(tmp_path / "run", kind="eval", config={"suites": ["guess"]}) as store:
        forest = grow_forest(["0 3 2 +", "0 1 -", "1 4 ?"], ["0 2 >", "0 1 1 !"])
        record_forest(store, Forest(0, [*forest.trees, spoken()]))
        yield store


def spoken() -> RolloutTree:
    """A tree with a turn of two calls, a message, and an action that could not be understood."""
    tree = RolloutTree.planted(2, toy_task(2))
    number = tree.start(grant=9, anchor=0)
    actions = (
        Action(calls=(ToolCall("look", {"where": ["a", {"b": 1}]}), ToolCall("take", {}))),
        Action(message="Where is it?"),
        Action(error="no tool of that name"),
        Action.call("take", what="the \ud800 key"),
    )
    for place, action in enumerate(actions):
        tree.append(
            Turn(
                parent=place,
                rollout=number,
                actor=Actor.AGENT,
                observation=f"seen {place} \udfff",
                verdicts=(Verdict.of("done", place == 3, evidence="e"),),
                action=action,
                text=f"said {place}",
                terminated=place == 3,
                digest="d",
            )
        )
    tree.stop(number, StopReason.TERMINATED)
    return tree


# Parquet.


def test_duckdb_reads_the_parquet_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "episodes.parquet"
    assert write_parquet(store.episodes(), path) == 6
    ask = duckdb.connect().execute
    rows = ask(f"SELECT task_key, stop, success, len(turns) FROM '{path}' ORDER BY tree, rollout").fetchall()
    assert rows == [
        *[
            ("toy/t0", "terminated", True, 3),
            ("toy/t0", "terminated", False, 2),
            ("toy/t0", "censored", None, 3),
        ],
        *[("toy/t1", "max_turns", False, 2), ("toy/t1", "invalid", None, 3)],
        ("toy/t2", "terminated", True, 5),
    ]
    stored = list(store.episodes())
    (tokens,) = ask(f"SELECT sum(len(t.action_ids)) FROM '{path}', unnest(turns) AS u(t)").fetchone() or (
        None,
    )
    assert tokens == sum(len(turn.action_ids) for each in stored for turn in each.episode.turns)
    (action,) = ask(f"SELECT turns[2].action FROM '{path}' WHERE task_key = 'toy/t2'").fetchone() or (None,)
    assert json.loads(action)["calls"][0] == {"name": "look", "arguments": {"where": ["a", {"b": 1}]}}
    (verdict,) = ask(
        f"SELECT turns[5].verdicts[1].status FROM '{path}' WHERE task_key = 'toy/t2'"
    ).fetchone() or ("",)
    assert verdict == "pass"


def test_parquet_says_what_is_missing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunFolderError, match="cannot write"):
        write_parquet(store.episodes(), tmp_path / "no" / "folder.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'trace-gym\[parquet\]'"):
        write_parquet(store.episodes(), tmp_path / "x.parquet")


# ATIF.


@pytest.fixture(scope="module")
def harbor() -> Iterator[ModuleType]:
    """Harbor's own models of the format, from its wheel; the rest of the package is not loaded."""
    name, version, sha256 = HARBOR
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    anyhow = ["--only-binary=:all:", "--python-version", "3.13", "--dest", str(wheels)]
    if not list(wheels.glob(f"{name}-{version}-*.whl")):
        subprocess.run([*pip, *anyhow, f"{name}=={version}"], check=True, capture_output=True, timeout=300)
    root = fetch_package(name, version, sha256=sha256)
    packages = {}
    for package in ("harbor", "harbor.models"):
        packages[package] = ModuleType(package)
        packages[package].__path__ = [str(root / package.replace(".", "/"))]
    with pytest.MonkeyPatch.context() as patch:
        for package, module in packages.items():
            patch.setitem(sys.modules, package, module)
        yield importlib.import_module("harbor.models.trajectories")
        for loaded in [loaded for loaded in sys.modules if loaded.startswith("harbor.")]:
            patch.delitem(sys.modules, loaded)


def test_harbors_models_accept_every_trajectory(store: Store, harbor: ModuleType) -> None:
    for stored in store.episodes():
        record = atif_record(stored, run="r", agent="tiny", version="1")
        found = harbor.Trajectory.model_validate(json.loads(json.dumps(record)))
        assert len(found.steps) == len(stored.episode.turns)
        assert found.final_metrics.total_completion_tokens == stored.episode.cost.decoded
        for step, turn in zip(found.steps[1:], stored.episode.turns[1:], strict=True):
            calls = [(call.function_name, call.arguments) for call in step.tool_calls or ()]
            assert calls == [(c.name, dict(c.arguments)) for c in (turn.action.calls if turn.action else ())]
            assert step.observation.results[0].content == turn.observation
            if turn.actor is Actor.POLICY:
                assert step.metrics.completion_token_ids == turn.action_ids.tolist()
                assert step.metrics.logprobs == pytest.approx(turn.logprobs.tolist())


def test_the_prompt_of_a_step_is_all_that_came_before_it(store: Store) -> None:
    (stored,) = [s for s in store.episodes() if (s.tree, s.rollout) == (0, 2)]
    steps = atif_record(stored, run="r", agent="a", version="1")["steps"]
    tree = store.tree(0, 0)
    for step, node in zip(steps[1:], stored.nodes[1:], strict=True):
        metrics = step["metrics"]
        whole = [*metrics["prompt_token_ids"], *metrics["completion_token_ids"]]
        assert whole == tree.tokens(node).tolist()


# Messages.


def test_openais_types_accept_every_conversation(store: Store) -> None:
    messages, tools = (
        TypeAdapter(list[ChatCompletionMessageParam]),
        TypeAdapter(list[ChatCompletionToolParam]),
    )
    offered = {"toy": suite("bfcl").env_class.toolbox()}
    for stored in store.episodes():
        record = messages_record(stored, offered)
        messages.validate_python(record["messages"])
        tools.validate_python(record["tools"])


def test_a_conversation_by_hand(store: Store) -> None:
    (stored,) = [s for s in store.episodes() if s.tree == 2]
    record: dict[str, Any] = messages_record(stored)
    assert "tools" not in record
    told = record["messages"]
    assert [message["role"] for message in told] == [
        *["user", "assistant", "tool", "tool"],
        *["assistant", "user", "assistant", "user", "assistant", "tool"],
    ]
    assert json.loads(told[1]["tool_calls"][0]["function"]["arguments"]) == {"where": ["a", {"b": 1}]}
    assert [call["id"] for call in told[1]["tool_calls"]] == [
        told[2]["tool_call_id"],
        told[3]["tool_call_id"],
    ]
    assert (told[2]["content"], told[3]["content"]) == ("", "seen 0 \udfff")
    assert (told[4]["content"], told[6]["content"]) == ("Where is it?", "said 2")


def test_a_conversation_never_ends_with_the_user(store: Store) -> None:
    ends: list[str] = [messages_record(s)["messages"][-1]["role"] for s in _messages_only(store)]
    assert ends == ["assistant"]


def _messages_only(store: Store) -> list[StoredEpisode]:
    """The spoken episode cut off after its message."""
    (stored,) = [s for s in store.episodes() if s.tree == 2]
    return [
        replace(
            stored, nodes=stored.nodes[:3], episode=replace(stored.episode, turns=stored.episode.turns[:3])
        )
    ]
