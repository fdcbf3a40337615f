"""Real MCP servers, written with the official package, as environments: over streams and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trace_gym.core.action import Action
from trace_gym.core.budget import Budget
from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import FailureCause, StopReason
from trace_gym.core.errors import BadConfig, EnvironmentFailed, ForkDiverged
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EvalConfig, evaluate
from trace_gym.interop.mcp.config import Check, read_config
from trace_gym.interop.mcp.connection import Said
from trace_gym.interop.mcp.judge import judged
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.catalogue import make
from trace_gym.testing import ScriptedAgent

ODD = Path(__file__).parent / "servers" / "odd.py"
TASK = """
[[task]]
id = "three"
split = "train"
prompt = "Add a, b and c."
solution = [{ tool = "add", arguments = { item = "a" } }, { tool = "add", arguments = { item = "b" } }, \
{ tool = "add", arguments = { item = "c" } }, { answer = "done" }]
[[task.check]]
tool = "listed"
equals = ["a", "b", "c"]
"""


def written(folder: Path, server: str, tasks: str = TASK, name: str = "odd") -> str:
    """A configuration as the text that names the suite."""
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n[server]\n{server}\n{tasks}')
    return f"mcp?config={path}"


def streams(*words: str, **more: Any) -> str:
    """The test's server as a command."""
    lines = {"command": ["{python}", str(ODD), *words], "hidden": ["clear"], **more}
    return "\n".join(f"{key} = {_toml(value)}" for key, value in lines.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


RESET = [{"tool": "clear"}]


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    """The test's server over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, str(ODD), str(port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}/mcp"
        try:
            for _ in range(600):
                if _answers(url):
                    break
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
            yield url
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_the_example_is_solved_by_its_solutions_and_not_by_doing_nothing() -> None:
    for name, expected in (("oracle", 1.0), ("noop", 0.0)):
        report = asyncio.run(evaluate([suite("mcp")], make_agent(name), config=EvalConfig(workers=1)))
        assert (report.success.mean, report.invalid) == (expected, 0)


@pytest.mark.parametrize("kind", ["streams", "http"])
def test_an_episode_and_its_forks_on_a_real_server(kind: str, http: str, tmp_path: Path) -> None:
    hidden = f'url = "{http}"\nhidden = ["clear"]\nreset = [{{ tool = "clear" }}]'
    found = suite(written(tmp_path, streams(reset=RESET) if kind == "streams" else hidden))
    (task,) = found.tasks(Split.TRAIN)
    env, other = found.make(), found.make()
    try:
        observation, info = env.reset(seed=0, options={"task": task})
        assert observation == "Add a, b and c."
        assert set(info["tools"]) == {"add", "listed", "ticket", "refuse", "hang", "die"}
        assert env.action_space.contains(Action.call("add", item="x"))
        assert env.step(Action.call("add", item="a"))[0] == "1 items"
        assert env.step(Action.call("refuse"))[0].startswith("Error executing tool refuse")
        assert "must be a string, got 3" in env.step(Action.call("add", item=3))[0]
        snapshot = env.snapshot()
        assert snapshot.strategy == "replay"
        straight = [env.step(Action.call("add", item=item)) for item in "bc"]
        assert [verdict.status for verdict in straight[-1][4]["verdicts"]] == [Status.PASS]
        other.restore(snapshot)
        assert [other.step(Action.call("add", item=item)) for item in "bc"] == straight
        ended = other.step(Action(message="done"))
        assert (ended[1], ended[2], ended[4]["success"]) == (1.0, True, True)
        assert ended[4]["verdicts"][0].evidence == 'listed says ["a", "b", "c"]'
    finally:
        env.close()
        other.close()


def test_a_server_that_does_not_repeat_itself_is_found_out(tmp_path: Path) -> None:
    found = suite(written(tmp_path, streams(reset=RESET)))
    (task,) = found.tasks(Split.TRAIN)
    env = found.make()
    env.reset(seed=0, options={"task": task})
    env.step(Action.call("ticket"))
    with pytest.raises(ForkDiverged, match=r"turn 1.*not forkable: declare it deterministic = false"):
        env.restore(env.snapshot())
    env.close()


def test_a_declared_one_is_evaluated_but_a_scheduler_that_forks_is_refused(tmp_path: Path) -> None:
    found = suite(written(tmp_path, streams(deterministic=False, reset=RESET)))

    async def collected(method: str, trajectories: int) -> Any:
        actions = [Action.call("add", item=item) for item in "abc"]
        agent = ScriptedAgent.playing([*actions, Action(message="done")])
        scheduler = make(method, {}, seed=0)
        config = CollectorConfig(workers=1)
        async with Collector({"mcp": found.make}, agent, scheduler, config=config) as collector:
            budget = Budget(trajectories=trajectories)
            return await collector.collect(0, found.tasks(Split.TRAIN), budget)

    with pytest.raises(BadConfig, match=r"not forkable: its server is declared deterministic = false"):
        asyncio.run(collected("treepo", 8))
    assert {episode.success for episode in asyncio.run(collected("uniform", 8)).episodes()} == {True}


@pytest.mark.parametrize(("tool", "told"), [("hang", "timed out"), ("die", "it said: so long")])
def test_a_server_that_hangs_or_dies_is_the_environments_failure(
    tool: str, told: str, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    found = suite(written(tmp_path, streams(timeout_s=5, env={"PIDS": str(pids)})))

    async def collected() -> Any:
        agent = ScriptedAgent.playing([Action.call(tool)])
        config = CollectorConfig(workers=1, retries=0)
        uniform = make("uniform", {"n": 1}, seed=0)
        async with Collector({"mcp": found.make}, agent, uniform, config=config) as collector:
            return await collector.collect(0, found.tasks(Split.TRAIN), Budget(trajectories=1))

    (episode,) = asyncio.run(collected()).episodes()
    assert (episode.stop, episode.failure) == (StopReason.INVALID, FailureCause.ENVIRONMENT)
    assert episode.success is None
    assert told in episode.detail
    for pid in pids.read_text().split() if pids.exists() else []:
        assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize(
    ("word", "start_s", "told"),
    [("broken", 60, "it said: cannot open the database"), ("sleepy", 1, "timed out")],
)
def test_a_server_that_does_not_start_is_told_of(
    word: str, start_s: float, told: str, tmp_path: Path
) -> None:
    found = suite(written(tmp_path, streams(word, start_s=start_s)))
    with pytest.raises(EnvironmentFailed, match="did not start") as failed:
        found.make()
    assert told in str(failed.value)


def test_an_address_where_nobody_serves_is_told_of(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/mcp"
    found = suite(written(tmp_path, f'url = "{address}"'))
    with pytest.raises(EnvironmentFailed, match=f"MCP server {address} did not start: ConnectError"):
        found.make()


@pytest.mark.parametrize(
    ("server", "tasks", "told"),
    [
        ('url = "u"\ncommand = ["x"]', TASK, "either a command or a url"),
        ('url = "u"\nhiden = ["x"]', TASK, "did you mean 'hidden'"),
        ('url = "u"', TASK.replace("equals", 'contains = "x"\nequals'), "got equals, contains"),
        ('url = "u"', TASK + TASK, "'three' twice"),
        ('command = ["no-such-thing"]', TASK, "no program 'no-such-thing'"),
        (streams(hidden=["cleer"]), TASK, "did you mean 'clear'"),
    ],
)
def test_what_cannot_work_is_said_where_it_stands(server: str, tasks: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=told):
        suite(written(tmp_path, server, tasks)).make()


@pytest.mark.parametrize(
    ("rule", "value", "passed"),
    [
        ({"equals": {"a": [1, 2]}}, {"a": [1, 2]}, True),
        ({"equals": {"a": [1, 2]}}, {"a": [1, 2], "b": 0}, False),
        ({"equals": 1}, True, False),
        ({"equals": " Yes "}, "yes", True),
        ({"includes": {"a": [{"b": 1}]}}, {"a": [{"b": 2}, {"b": 1, "c": 3}], "d": 4}, True),
        ({"includes": {"a": [{"b": 3}]}}, {"a": [{"b": 2}]}, False),
        ({"contains": "DUNE"}, "I lent Dune.", True),
        ({"matches": r"\b14\b"}, "day 140", False),
    ],
)
def test_rules_of_checks(rule: dict[str, Any], value: Any, passed: bool) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    verdict = judged(Check(tool="t", **rule), 1, Said(text, value, failed=False))
    assert isinstance(verdict, Verdict)
    assert (verdict.status is Status.PASS) is passed
    assert judged(Check(**rule), 1, None).status is Status.SKIPPED
    assert judged(Check(tool="t", **rule), 1, Said(text, value, failed=True)).status is Status.FAIL


def test_environment_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = written(tmp_path, streams(env={"PIDS": "$NOT_SET_ANYWHERE"}))
    with pytest.raises(BadConfig, match="NOT_SET_ANYWHERE, which is not set"):
        suite(name).make()
    assert read_config(tmp_path / "odd.toml").server.folder == tmp_path
