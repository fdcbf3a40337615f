"""An environment in a real Chromium: tools, refusals, replayed forks, pixels, and a browser that breaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from trace_gym.core.check import Verdict
from trace_gym.core.errors import EnvironmentFailed, ForkDiverged
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_env import BrowserEnv
from trace_gym.environment.browser_wire import Request, Response, TabOptions

pytestmark = pytest.mark.needs("chromium")

PAGE = """<title>Counter</title><p id=p>0</p><input aria-label=Step value=1>
<button onclick="p.textContent = +p.textContent + +document.querySelector('input').value">Add</button>
<div style="display:none" id=hidden></div>
<script>hidden.textContent = SECRET</script>"""


class Counter(BrowserEnv):
    """Count to three."""

    suite = "counter"
    offered: ClassVar[tuple[str, ...]] = ("click", "type", "wait")
    secret = 0

    def tab_options(self, task: Task) -> TabOptions:
        return TabOptions(("http://counter.test",), width=320, height=200, probe="Number(p.textContent)")

    def serve(self, request: Request) -> Response:
        body = PAGE.replace("SECRET", str(type(self).secret)).encode()
        return Response(200, [("Content-Type", "text/html")], body)

    def begin(self, task: Task) -> str:
        return f"Count to 3.\n{self.visit('http://counter.test/')}"

    def checks(self) -> Iterable[Verdict]:
        yield Verdict.of("three", self.page.probe == 3, evidence=f"the page says {self.page.probe}")

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        return [Task(f"{split}-0", "counter", split, f"{split}")]


@pytest.fixture
def env() -> Iterator[Counter]:
    made = Counter(render_mode="rgb_array")
    yield made
    made.close()


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def test_tools_act_and_refusals_are_answers(env: Counter) -> None:
    observation, info = env.reset(seed=0)
    assert observation.splitlines()[1:] == [
        'page "Counter" http://counter.test/',
        '[1] text "0"',
        '[2] textbox "Step" value "1"',
        '[3] button "Add"',
    ]
    assert info["tools"] == ("click", "type", "wait")
    assert "There is no tool 'goto'" in env.step(call("goto", url="/"))[0]
    assert env.step(call("click", ref=77))[0] == "click: [77] is not on the page."
    env.step(call("type", ref=2, text="3"))
    info = env.step(call("click", ref=3))[4]
    assert info["success"] is True


def test_a_fork_replays_and_refuses_a_document_that_differs(env: Counter) -> None:
    env.reset(seed=0)
    env.step(call("click", ref=3))
    snapshot = env.snapshot()
    straight = env.step(call("click", ref=3))
    env.restore(snapshot)
    assert env.step(call("click", ref=3)) == straight
    Counter.secret = 1
    with pytest.raises(ForkDiverged, match="turn 0"):
        env.restore(snapshot)
    Counter.secret = 0


def test_render_gives_the_window(env: Counter) -> None:
    env.reset(seed=0)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((200, 320, 3), np.uint8)
    assert 0 < (picture != 255).mean() < 0.5


def test_a_broken_tab_is_the_environments_failure_and_the_next_episode_works(env: Counter) -> None:
    env.reset(seed=0)
    env.tab.close()
    with pytest.raises(EnvironmentFailed):
        env.step(call("click", ref=3))
    assert "Count to 3" in env.reset(seed=0)[0]
