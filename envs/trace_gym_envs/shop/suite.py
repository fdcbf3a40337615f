"""The `shop` suite: errands in a web shop, run through a text browser.

Leaves out the front end in a real browser (see `chromium`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from trace_gym.core.action import Action
from trace_gym.core.task import Split, Task
from trace_gym.environment.tools import tool
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.listing import MAX_TURNS, SECRET, listed
from trace_gym_envs.shop.shopper import move
from trace_gym_envs.shop.visit import TextShop

Number = Annotated[int, Field(ge=1, le=200)]
Words = Annotated[str, Field(max_length=300)]

BRIEF = (
    "You run an errand in a web shop for a customer who is signed in. Pages are text; [4 Help] is link 4, "
    '[3 (Search)] a button, [2 Search: ""] a field with what it holds, with | between options if '
    "it is a list. "
    "When you are done call answer, which ends the errand."
)


class Shop(TextShop):
    """Run an errand in a web shop, page by page.

    Checks: `page_1` ... (not required) pass when a page that has to be read was open; a check for every fact
    that must hold in the shop's database; `nothing_else` fails while anything else is changed; `answer`.
    """

    suite: ClassVar[str] = "shop"

    @classmethod
    def tasks(
        cls, split: Split, *, subset: str = "", worlds: int | None = None, turns: int = MAX_TURNS
    ) -> Sequence[Task]:
        """Errands of twelve kinds, which are the subsets; `worlds`: over that many; `turns`: how many each
        may take. Raises UnknownName."""
        return listed(cls.suite, split, subset=subset, worlds=worlds, max_turns=turns)

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """The answer, where there is one."""
        errand = Errand.of(task.payload)
        return (errand.gold,) if errand.gold and errand.sort in SECRET else ()

    def begin(self, task: Task) -> str:
        """The request, and the front page."""
        page = self.enter().go(self.line, "/")
        return f"{BRIEF}\n\nErrand: {self.errand.text}\n\n{page}"

    @tool
    def click(self, number: Number) -> str:
        """Follow a link or press a button.

        Args:
            number: The number in its brackets.
        """
        return self.state.tab.click(self.line, number)

    @tool
    def fill(self, number: Number, text: Words) -> str:
        """Write into a field, in place of what it holds; send it by pressing the form's button.

        Args:
            number: The number in its brackets.
            text: What to write.
        """
        return self.state.tab.fill(number, text)

    @tool
    def select(self, number: Number, option: Words) -> str:
        """Choose an option of a list.

        Args:
            number: The list's number.
            option: The option, as it is written.
        """
        return self.state.tab.select(number, option)

    @tool
    def submit(self, number: Number) -> str:
        """Send the form that a field belongs to, as the enter key does.

        Args:
            number: The number of any field of the form.
        """
        return self.state.tab.submit(self.line, number)

    @tool
    def search(self, words: Words) -> str:
        """Search the shop, from any page.

        Args:
            words: Words of an article's name, department or features; all must occur.
        """
        return self.state.tab.search(self.line, words)

    @tool
    def goto(self, address: Words) -> str:
        """Open a page of the shop by its address.

        Args:
            address: Such as /cart or /orders.
        """
        return self.state.tab.go(self.line, address)

    @tool
    def back(self) -> str:
        """Go back to the page before this one."""
        return self.state.tab.turn_back(self.line)

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

    def oracle(self) -> Action | None:
        """The scripted shopper's next move; None when the errand is over."""
        if self.state.said is not None:
            return None
        tab = self.state.tab
        made = move(self.wished(), tab.sight, url=tab.url, value=tab.value, database=tab.database)
        match made.do:
            case "click":
                return Action.call("click", number=made.item)
            case "fill":
                return Action.call("fill", number=made.item, text=made.text)
            case "select":
                texts = dict(tab.sight.items[made.item - 1].options)
                return Action.call("select", number=made.item, option=texts.get(made.text, made.text))
            case "search":
                return Action.call("search", words=made.text)
            case "goto":
                return Action.call("goto", address=made.text)
            case _:
                return Action.call("answer", text=made.text)
