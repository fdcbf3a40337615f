"""The `shop_browser` suite: the errands of `shop`, run in a real Chromium.

The page's requests are answered by the application in process. A fork copies the database, the cookies, the
storage, the document as it was served and what has been done to it since. Leaves out keys, hovering and
dragging: no page needs them, and what they leave behind could not be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_env import BrowserEnv, Ref
from trace_gym.environment.browser_wire import Memory, Refused, Request, Response, TabOptions
from trace_gym.environment.env import RewardRule
from trace_gym.environment.fork import Snapshot, Strategy
from trace_gym.environment.tools import tool
from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.errand import Errand, judged
from trace_gym_envs.shop.facts import Facts, facts
from trace_gym_envs.shop.hands import STATE, as_call, restoring, roles, typed, values
from trace_gym_envs.shop.line import ORIGIN, Line
from trace_gym_envs.shop.listing import SECRET, listed
from trace_gym_envs.shop.shopper import move, wish
from trace_gym_envs.shop.sight import read
from trace_gym_envs.shop.stocking import token

BRIEF: Final = (
    "You run an errand in a web shop for a customer who is signed in. When you are done call answer, which "
    "ends the errand."
)
DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
MAX_BACK: Final = 50

Words = Annotated[str, Field(max_length=300)]


@dataclass(slots=True)
class Sitting:
    """An errand under way: the shop, the facts `before` the errand, pages seen, addresses to go back to, the
    document `shown` as it was served, what was answered, and where the browser stood at the last snapshot."""

    database: Database
    before: Facts
    trail: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    shown: Response = field(default_factory=Response)
    said: str | None = None
    memory: Memory | None = None
    done_since: Any = None


class ShopBrowser(BrowserEnv):
    """Run an errand in a web shop, in Chromium; the tasks and checks of `shop`."""

    suite: ClassVar[str] = "shop_browser"
    fork: ClassVar[Strategy] = "copy"
    offered: ClassVar[tuple[str, ...]] = ("click", "type", "select", "scroll", "goto", "back")
    state: Sitting

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        phone: bool = False,
    ) -> None:
        """`phone`: a narrow window."""
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self._size = PHONE if phone else DESKTOP
        self._line = Line()
        self._opened: Database | None = None
        self._again: Response | None = None
        self._errand: tuple[Task, Errand] | None = None

    @classmethod
    def tasks(cls, split: Split, *, subset: str = "", worlds: int | None = None) -> Sequence[Task]:
        """Errands of twelve kinds, which are the subsets; `worlds`: over that many. Raises UnknownName."""
        return listed(cls.suite, split, subset=subset, worlds=worlds)

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """The answer, where there is one."""
        errand = Errand.of(task.payload)
        return (errand.gold,) if errand.gold and errand.sort in SECRET else ()

    def tab_options(self, task: Task) -> TabOptions:
        """One window size for all tasks."""
        width, height = self._size
        return TabOptions((ORIGIN,), width=width, height=height, probe=STATE)

    def begin(self, task: Task) -> str:
        """The request, and the front page."""
        errand = self._given()
        database = errand.opened()
        self._hold(database)
        self.state = Sitting(database, facts(database, errand.customer))
        return f"{BRIEF}\n\nErrand: {errand.text}\n\n{self.visit(f'{ORIGIN}/')}"

    def serve(self, request: Request) -> Response:
        """Have the application answer; a browser without a session gets the customer's."""
        parts = urlsplit(request.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        cookies = dict(
            pair.strip().split("=", 1) for pair in request.headers.get("cookie", "").split(";") if "=" in pair
        )
        document = not path.startswith(("/picture/", "/style.css"))
        if document and self._again is not None:
            again, self._again = self._again, None
            return again
        known = "session" in cookies
        cookies.setdefault("session", token(self._given().customer))
        form = request.body if request.method == "POST" else None
        answer = self._line.request(self.state.database, request.method, path, cookies=cookies, form=form)
        kept = [(name, value) for name, value in answer.headers if name != "content-length"]
        if not known:
            kept.append(("set-cookie", f"session={cookies['session']}; Path=/; HttpOnly"))
        response = Response(answer.status, kept, answer.body)
        if document and answer.header("location") is None:
            self.state.shown = response
            if answer.status == 200 and parts.path not in self.state.trail:
                self.state.trail = (*self.state.trail, parts.path)
        return response

    def snapshot(self, strategy: Strategy | None = None) -> Snapshot:
        """As `AgenticEnv.snapshot`; a copy also holds where the browser stands."""
        if (strategy or self.fork) == "copy" and not self.progress.done:
            self.state.memory, self.state.done_since = self.tab.memory(), self.page.probe
        return super().snapshot(strategy)

    def restore(self, snapshot: Snapshot) -> None:
        """As `AgenticEnv.restore`; of a copy the page is loaded as it was served, then changed as it was."""
        super().restore(snapshot)
        if snapshot.memory is None:
            return
        self._hold(self.state.database)
        if self.state.memory is None:
            return
        self.reopen(self.state.memory)
        self._again = replace(self.state.shown, headers=_without_cookies(self.state.shown))
        self.tab.goto(self.state.memory.url)
        self.tab.look()
        self.tab.evaluate(restoring(self.state.done_since))
        self.observe()

    def close(self) -> None:
        """Close the tab, the shop, and the line to it."""
        self._hold(None)
        self._line.close()
        super().close()

    @tool
    def click(self, ref: Ref) -> str:  # type: ignore[override]
        """Click an element.

        Args:
            ref: The number in brackets before the element.
        """
        if roles(self.page).get(ref) == "combobox":
            raise Refused(f"[{ref}] is a list: use select")
        return self._going(lambda: self.tab.click(ref))

    @tool
    def type(self, ref: Ref, text: Words) -> str:  # type: ignore[override]
        """Type into a field, in place of what it holds.

        Args:
            ref: The number in brackets before the field.
            text: What to type; a line break at the end presses Enter.
        """
        return self._going(lambda: self.tab.type(ref, typed(text)))

    @tool
    def goto(self, url: Annotated[str, Field(max_length=2000)]) -> str:
        """Go to an address of this shop.

        Args:
            url: Such as /cart or /orders.
        """
        return self._going(lambda: self.tab.goto(url))

    @tool
    def back(self) -> str:
        """Go back to the page before."""
        if not self.state.back:
            raise Refused("there is no page to go back to")
        last, kept = self.state.back[-1], self.state.back[:-1]
        seen = self._going(lambda: self.tab.goto(last))
        self.state.back = kept
        return seen

    @tool
    def answer(self, text: Words) -> str:
        """Answer the customer; this ends the errand.

        Args:
            text: What was asked for, or that it is done, or the number of the rule that forbids it.
        """
        self.state.said = text
        self.finish()
        return "The customer has been told."

    def reply(self, message: str) -> str:
        """A message is an answer."""
        return self.answer(message)

    def checks(self) -> Iterable[Verdict]:
        """Pages read, facts in the database, nothing else changed, the answer."""
        at = self.state
        return judged(self._given(), at.database, before=at.before, trail=at.trail, said=at.said)

    def oracle(self) -> Action | None:
        """The scripted shopper's next move; None when the errand is over."""
        at, errand = self.state, self._given()
        if at.said is not None:
            return None
        sight = read(at.shown.body.decode("utf-8", "replace"))
        parts = urlsplit(self.page.url)
        url = f"{parts.path}?{parts.query}" if parts.query else parts.path
        wanted = wish(errand, at.database, before=at.before, trail=at.trail)
        held = values(sight, self.page.probe)
        made = move(wanted, sight, url=url, value=lambda n: held.get(n, ""), database=at.database)
        return as_call(made, sight, self.page)

    def _going(self, act: Any) -> str:
        """Act, look, and note the page that was left, if one was."""
        before = self.page.url
        act()
        seen = self.observe()
        if self.page.url != before:
            self.state.back = (*self.state.back, before)[-MAX_BACK:]
        return seen

    def _given(self) -> Errand:
        """The errand of the current task; read once as long as the task is the same."""
        if self._errand is None or self._errand[0] is not self.task:
            self._errand = (self.task, Errand.of(self.task.payload))
        return self._errand[1]

    def _hold(self, database: Database | None) -> None:
        """Close the shop that was open; this one is."""
        if self._opened is not None and self._opened is not database:
            self._opened.close()
        self._opened = database


def _without_cookies(response: Response) -> list[tuple[str, str]]:
    """The headers without those that set cookies, which the browser has already."""
    return [(name, value) for name, value in response.headers if name != "set-cookie"]
