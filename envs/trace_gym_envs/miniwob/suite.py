"""The `miniwob` suite: follow the instruction of a small web page in a real browser; the page judges.

Leaves out the pages (`pages.py`) and the reference solutions (`oracle.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_env import BrowserEnv
from trace_gym.environment.browser_wire import Request, Response, TabOptions
from trace_gym_envs.miniwob import pages
from trace_gym_envs.miniwob.oracle import SOLVED, next_action
from trace_gym_envs.miniwob.pages import ORIGIN, SUITE

# An episode ends by its turns: the page's own time limit lies beyond them.
START: Final = """(() => {
  Math.seedrandom(SEED);
  core.EPISODE_MAX_TIME = 3600000;
  core.startEpisodeReal();
})()"""
PROBE: Final = "[WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON]"
UNSEEN: Final = "#query, #reward-display, #sync-task-cover, #click-canvas"
WHOLE: Final = 1.0 - 1e-6
GRADED: Final[Mapping[str, float]] = {
    **dict.fromkeys(("bisect-angle", "circle-center", "find-midpoint", "right-angle"), 0.8),
    **dict.fromkeys(("draw-circle", "draw-line", "chase-circle", "moving-items"), 0.8),
}
"""Pages whose reward measures how near one came: from where on that is success. Elsewhere it is whole."""


class MiniWob(BrowserEnv):
    """The small web pages of MiniWoB++, one family a page; no two splits share a page or a variant of it.

    Checks: `ended` (required): the page says that the episode is over; `reward` (required): the page's raw
    reward (without its discount for time) is whole, or, where it measures how near one came, high enough.

    The page's clock stands still while the agent thinks and goes on half a second with every call; its random
    numbers come from the task's seed. Tasks of subset `oracle` have a reference solution.
    """

    suite: ClassVar[str] = SUITE
    chance: ClassVar[float] = 0.1
    offered: ClassVar[tuple[str, ...]] = (
        *("click", "type", "select", "press", "scroll", "hover"),
        *("drag", "wait"),
    )

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """The tasks of a split, page by page. Raises DatasetUnavailable."""
        return pages.tasks(split, SOLVED)

    def tab_options(self, task: Task) -> TabOptions:
        """The window that the benchmark uses; the instruction is told once, and the rewards never."""
        return TabOptions((ORIGIN,), width=500, height=320, probe=PROBE, shapes=True, skip=UNSEEN)

    def serve(self, request: Request) -> Response:
        """A file of the package."""
        return pages.serve(request)

    def begin(self, task: Task) -> str:
        """The page's instruction, and what it shows."""
        self.state: dict[str, Any] = {}
        self.tab.goto(f"{ORIGIN}/miniwob/{task.payload['page']}.html")
        self.tab.evaluate(START.replace("SEED", json.dumps(str(task.payload["seed"]))))
        seen = self.observe()
        told = self.tab.evaluate("core.getUtterance()")
        self.state["instruction"] = told["utterance"] if isinstance(told, dict) else told
        return f"{self.state['instruction']}\n{seen}"

    def observe(self) -> str:
        """What the page shows; the episode ends when the page says so."""
        seen = super().observe()
        if self.page.probe[0]:
            self.finish()
        return seen

    def checks(self) -> Iterable[Verdict]:
        """What the page says."""
        ended, reward, reason = self.page.probe
        worth = float(reward) if ended else 0.0
        least = GRADED.get(str(self.task.payload["page"]), WHOLE)
        told = f"raw reward {worth:.4g}{f', {reason}' if reason else ''}" if ended else "no reward yet"
        yield Verdict.of("ended", bool(ended), evidence=f"the page is {'done' if ended else 'not done'}")
        score = min(1.0, max(0.0, worth))
        yield Verdict.of("reward", bool(ended) and worth >= least, evidence=told, score=score)

    def oracle(self) -> Action | None:
        """The next step of the page's reference solution; None: it has none."""
        return next_action(str(self.task.payload["page"]), self.tab, self.state["instruction"])

    def render(self) -> Any:
        """As ever; of the window only the page itself, without the benchmark's own display."""
        picture = super().render()
        return picture if self.render_mode != "rgb_array" else picture[:210, :160]
