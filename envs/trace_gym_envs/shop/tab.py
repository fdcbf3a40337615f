"""The text browser's one tab: where it is, what has been filled in, what it keeps between pages.

Leaves out what the agent may ask for in words; the suite's tools say that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from trace_gym.environment.tools import ToolError
from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.line import ORIGIN, Answer, Line
from trace_gym_envs.shop.sight import Item, Sight, read, shown

MAX_REDIRECTS: Final = 5
MAX_BACK: Final = 50
_PATH: Final = re.compile(r"/(?!/)[\w\-./?=&%+,:~]{0,300}", re.ASCII)
_NOTHING: Final = Sight("", "", (), ())


@dataclass(slots=True)
class Tab:
    """A tab on a shop. `trail` are the pages seen, each once, in order; `drafts` what was filled into the
    page by number, not yet sent. A deep copy is a tab of its own on a copy of the shop."""

    database: Database
    cookies: dict[str, str]
    url: str = ""
    sight: Sight = _NOTHING
    back: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()
    drafts: dict[int, str] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, object]) -> Tab:
        database, cookies = self.database.fork(), dict(self.cookies)
        return Tab(database, cookies, self.url, self.sight, self.back, self.trail, dict(self.drafts))

    def go(self, line: Line, path: str) -> str:
        """Open an address of the shop. Raises ToolError where it is none."""
        inside = path.removeprefix(ORIGIN) or "/"
        if not _PATH.fullmatch(inside):
            raise ToolError(f"goto takes addresses of this shop, such as /cart; got {path[:80]!r}.")
        self._load(line, "GET", inside)
        return self.page()

    def click(self, line: Line, number: int) -> str:
        """Follow a link or press a button."""
        item = self._item(number)
        if item.kind == "link":
            self._load(line, "GET", item.target)
        elif item.kind == "button" and item.form is not None:
            self._send(line, item.form)
        else:
            raise ToolError(
                f"[{number}] is no link or button: {shown(number, item, self.drafts.get(number))}"
            )
        return self.page()

    def fill(self, number: int, text: str) -> str:
        """Write into an input."""
        item = self._item(number)
        if item.kind != "input":
            hint = "use select" if item.kind == "select" else "it takes no text"
            raise ToolError(f"[{number} {item.label}] is a {item.kind}; {hint}.")
        self.drafts[number] = text
        return shown(number, item, text)

    def select(self, number: int, option: str) -> str:
        """Choose from a list, by what people read or by value."""
        item = self._item(number)
        if item.kind != "select":
            raise ToolError(f"[{number} {item.label}] is no list but a {item.kind}.")
        wanted = option.strip().lower()
        found = [value for value, text in item.options if wanted in (text.lower(), value.lower())]
        found = found or [value for value, text in item.options if wanted and text.lower().startswith(wanted)]
        if len(found) != 1:
            offered = "; ".join(text for _, text in item.options)
            raise ToolError(f"[{number} {item.label}] has no such option {option[:80]!r}; it has: {offered}.")
        self.drafts[number] = found[0]
        return shown(number, item, found[0])

    def submit(self, line: Line, number: int) -> str:
        """Send the form that an input, list or button belongs to."""
        item = self._item(number)
        if item.form is None:
            raise ToolError(f"[{number} {item.label}] belongs to no form.")
        self._send(line, item.form)
        return self.page()

    def search(self, line: Line, words: str) -> str:
        """Open what the shop's search finds."""
        self._load(line, "GET", f"/search?{urlencode({'q': words})}")
        return self.page()

    def turn_back(self, line: Line) -> str:
        """Open the page before this one."""
        if not self.back:
            raise ToolError("There is no page to go back to.")
        last, self.back = self.back[-1], self.back[:-1]
        kept = self.back
        self._load(line, "GET", last)
        self.back = kept
        return self.page()

    def page(self) -> str:
        """What the page shows."""
        return f"{self.url}\n{self.sight.text}"

    def value(self, number: int) -> str:
        """What an input or a list holds now."""
        return self.drafts.get(number, self.sight.items[number - 1].value)

    def _item(self, number: int) -> Item:
        if not 1 <= number <= len(self.sight.items):
            raise ToolError(f"There is no [{number}] on this page; it has 1 to {len(self.sight.items)}.")
        return self.sight.items[number - 1]

    def _send(self, line: Line, number: int) -> None:
        form = self.sight.forms[number]
        fields = [*form.hidden, *((name, self.value(at)) for name, at in self.sight.fields(number).items())]
        data = urlencode(fields)
        if form.method == "post":
            self._load(line, "POST", form.action, data)
        else:
            self._load(line, "GET", f"{form.action}?{data}")

    def _load(self, line: Line, method: str, path: str, form: str | None = None) -> None:
        before = self.url
        answer = self._asked(line, method, path, form)
        for _ in range(MAX_REDIRECTS):
            sent_to = answer.header("location")
            if sent_to is None:
                break
            path = sent_to
            answer = self._asked(line, "GET", path)
        self.url, self.drafts = path, {}
        self.sight = read(answer.body.decode())
        if before and before != path:
            self.back = (*self.back, before)[-MAX_BACK:]
        seen = path.partition("?")[0]
        if answer.status == 200 and seen not in self.trail:
            self.trail = (*self.trail, seen)

    def _asked(self, line: Line, method: str, path: str, form: str | None = None) -> Answer:
        body = None if form is None else form.encode()
        answer = line.request(self.database, method, path, cookies=self.cookies, form=body)
        self.cookies.update(answer.cookies())
        return answer
