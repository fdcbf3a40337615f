"""What the commands say of sandboxes, where they are and where they are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from trace_gym.core.errors import BadConfig, SandboxUnavailable
from trace_gym.environment import sandbox
from trace_gym.environment.registry import suite

Run: TypeAlias = Callable[..., Any]
BOXED = '''
"""A suite that runs programs."""
from trace_gym.core.check import Verdict
from trace_gym.core.task import Task
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tools import tool


class Boxed(SandboxEnv):
    """Make the file that is asked for."""
    suite = "boxed"

    def begin(self, task):
        self.state = {}
        return "Make done."

    @tool
    def make(self) -> str:
        """Make the file."""
        return str(self.box.run(["touch", "done"]).exit_code)

    def checks(self):
        yield Verdict.of("done", "done" in self.box.files("/workspace"), evidence="")

    @classmethod
    def tasks(cls, split):
        return [Task(suite="boxed", id=f"{split}", split=split, family=f"{split}")]
'''


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Docker and without bubblewrap."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox._provider.cache_clear()


@pytest.fixture
def boxed(tmp_path: Path) -> str:
    (tmp_path / "boxed.py").write_text(BOXED)
    return f"{tmp_path}/boxed.py:Boxed"


@pytest.mark.usefixtures("nowhere")
def test_without_a_sandbox_both_ways_to_one_are_named(run: Run, boxed: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable) as refused:
        suite(boxed).make()
    for word in (f"unix://{tmp_path}/docker.sock", "docker.io", "bubblewrap", "`trace-gym doctor`"):
        assert word in str(refused.value)
    told = run("play", boxed).sentence(1)
    assert told == str(refused.value)


@pytest.mark.usefixtures("nowhere")
def test_doctor_tells_which_suites_work_without(run: Run) -> None:
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json()["findings"]}
    assert not findings["sandbox docker"]["usable"]
    assert "(No such file or directory)" in findings["sandbox docker"]["advice"]
    assert "apt-get install bubblewrap" in findings["sandbox bwrap"]["advice"]
    assert findings["suite guess"]["usable"]
    assert findings["suite repair"] == {
        "name": "suite repair",
        "usable": False,
        "found": "installed, but runs programs",
        "advice": "get one of the sandboxes above",
    }


@pytest.mark.usefixtures("nowhere")
def test_clean_says_where_it_could_not_look(run: Run) -> None:
    told = run("clean", "--dry-run", "--json").json()
    assert told["dry_run"] is True
    assert "No Docker daemon answers" in told["without_docker"]
    assert "No containers were looked for: No Docker daemon answers" in run("clean", "--dry-run").out


@pytest.mark.needs("docker", "bwrap")
def test_doctor_and_list_know_the_sandboxes(run: Run) -> None:
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json()["findings"]}
    for name in ("sandbox docker", "sandbox bwrap", "suite repair"):
        assert findings[name]["usable"]
        assert not findings[name]["advice"]
    rows = run("list", "--json").json()
    assert rows["repair"]["sandbox"] is True
    assert rows["guess"]["sandbox"] is False


@pytest.mark.parametrize("kind", sandbox.KINDS)
def test_a_suites_sandbox_is_chosen_with_an_option(
    kind: str, boxed: str, require: Callable[..., None]
) -> None:
    require(kind)
    env = suite(f"{boxed}?sandbox={kind}").make()
    try:
        assert env.sandbox == kind
        env.reset(seed=0)
        _, reward, *_, info = env.step({"name": "make", "arguments": {}})
        assert json.loads(json.dumps(info["success"])) is True
        assert env.box.__class__.__name__.lower().startswith(kind)
        assert reward == 0.0
    finally:
        env.close()


def test_an_unknown_kind_of_sandbox_is_refused(boxed: str) -> None:
    with pytest.raises(BadConfig, match="sandbox"):
        suite(f"{boxed}?sandbox=jail").make()
