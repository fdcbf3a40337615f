"""An errand under way in a text browser: what both suites that play the shop through a `Tab` share.

Leaves out how a page is told and what can be done on it, which is each suite's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.fork import Snapshot
from trace_gym_envs.shop.errand import Errand, judged
from trace_gym_envs.shop.facts import Facts, facts
from trace_gym_envs.shop.line import Line
from trace_gym_envs.shop.shopper import Wish, wish
from trace_gym_envs.shop.stocking import token
from trace_gym_envs.shop.tab import Tab


@dataclass(slots=True)
class Visit:
    """An errand under way: its tab, the facts `before` it, and what was answered."""

    tab: Tab
    before: Facts
    said: str | None = None


class TextShop(AgenticEnv):
    """Errands in a shop that is reached over a line of the environment's own. Lifecycle: a visit is opened by
    `enter`; the shop before it is closed."""

    state: Visit

    def __init__(
        self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN, render_mode: str | None = None
    ) -> None:
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self.line = Line()
        self._visit: Visit | None = None
        self._errand: tuple[Task, Errand] | None = None

    def enter(self) -> Tab:
        """Open the shop of the current errand; its tab shows nothing yet."""
        errand = self.errand
        self._leave()
        database = errand.opened()
        tab = Tab(database, {"session": token(errand.customer)})
        self.state = self._visit = Visit(tab, facts(database, errand.customer))
        return tab

    def restore(self, snapshot: Snapshot) -> None:
        """As `AgenticEnv.restore`; closes the shop that was open."""
        super().restore(snapshot)
        if self._visit is not self.state:
            self._leave()
            self._visit = self.state

    def close(self) -> None:
        """Close the shop and the line to it."""
        self._leave()
        self.line.close()
        super().close()

    def checks(self) -> Iterable[Verdict]:
        """Pages read, facts in the database, nothing else changed, the answer."""
        visit = self.state
        return judged(
            self.errand, visit.tab.database, before=visit.before, trail=visit.tab.trail, said=visit.said
        )

    @property
    def errand(self) -> Errand:
        """The errand of the current task; read once as long as the task is the same."""
        if self._errand is None or self._errand[0] is not self.task:
            self._errand = (self.task, Errand.of(self.task.payload))
        return self._errand[1]

    def wished(self) -> Wish:
        """What the scripted shopper would do next."""
        visit = self.state
        return wish(self.errand, visit.tab.database, before=visit.before, trail=visit.tab.trail)

    def _leave(self) -> None:
        """Close the shop that was open."""
        if self._visit is not None:
            self._visit.tab.database.close()
            self._visit = None
