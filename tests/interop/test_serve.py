"""A suite served over MCP by the command and played by our client: both directions of the protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trace_gym.core.errors import EnvironmentFailed
from trace_gym.interop.mcp.config import Server
from trace_gym.interop.mcp.connection import Connection


def served(*words: str) -> Connection:
    return Connection(Server(command=("{python}", "-m", "trace_gym.cli", "serve", *words), start_s=120))


def test_a_task_is_played_over_mcp_and_judged(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    server = served("guess", "--task", "10-3", "--result", str(result))
    try:
        assert [tool.name for tool in server.tools] == ["guess", "task", "answer"]
        assert server.call("task", {}).text == "Find the number between 1 and 10."
        assert server.call("guess", {"number": 5}).text == "Lower."
        assert "must be an integer" in server.call("guess", {"number": "x"}).text
        assert "A message ends nothing here" in server.call("answer", {"text": "three?"}).text
        assert json.loads(result.read_text())["success"] is False
        assert server.call("guess", {"number": 3}).text == "Correct."
        told = json.loads(result.read_text())
        assert (told["task"], told["turns"], told["over"], told["success"]) == ("guess/10-3", 4, True, True)
        assert told["verdicts"][0]["evidence"] == "guesses: [5, 3]"
        late = server.call("guess", {"number": 3})
        assert (late.text, late.failed) == ("The episode is over.", True)
    finally:
        server.close()


def test_a_task_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentFailed, match="unknown test task of guess '10-33'; did you mean"):
        served("guess", "--task", "10-33")


HANGS = '''
"""A tool that never returns."""

from threading import Event

from trace_gym.core.check import Verdict
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool


class Hangs(AgenticEnv):
    """It hangs."""

    suite = "hangs"

    def begin(self, task):
        self.state = 0
        return "Wait."

    @tool
    def wait(self) -> str:
        """Wait for ever."""
        Event().wait()
        return "never"

    def checks(self):
        return [Verdict.of("waited", False, evidence="nothing yet")]

    @classmethod
    def tasks(cls, split):
        return [Task("one", "hangs", split, "one", limits=Limits(step_timeout_s=0.5))]
'''


def test_a_tool_that_hangs_is_told_and_keeps_nobody(tmp_path: Path) -> None:
    file, result = tmp_path / "hangs.py", tmp_path / "result.json"
    file.write_text(HANGS)
    server = served(f"{file}:Hangs", "--result", str(result))
    try:
        answer = server.call("wait", {})
        assert answer.failed
        assert answer.text == "The environment broke: no answer from the environment in 0.5 s"
        assert json.loads(result.read_text())["failure"] == "no answer from the environment in 0.5 s"
        assert server.call("task", {}).text == answer.text
    finally:
        server.close()
