"""The compact rendering: five kinds of the shop's errands in a closed vocabulary, pages in a few words.

An errand is one line, the page that is open follows: `cart set a3 5 drop a17 add a41 1`, `buy a3 2 a17 1
holiday express c2`, `buy a3 3 or a5 3 home standard c1` (the second where the shop has not enough of the
first), `back o4 a17 1 unlike credit`, `rate o4 k4 2 t3 x5` (the one article of sort k4 in order o4). One word
a symbol (`symbols.py`), so that a model of a million parameters can learn it. Application, database and
checks are the shop's own: every move is made on its pages, through their links and forms. Leaves out the
kinds that need prose, sums or dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.tools import tool
from trace_gym_envs.shop.calls import sending, towards
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.facts import facts
from trace_gym_envs.shop.kinds.afterwards import TEXTS, TITLES
from trace_gym_envs.shop.likeness import likeness
from trace_gym_envs.shop.listing import listed
from trace_gym_envs.shop.shopper import Reach, Say, Send, move
from trace_gym_envs.shop.symbols import TEXT_WORDS, TITLE_WORDS, WORDS, Symbols
from trace_gym_envs.shop.visit import TextShop
from trace_gym_envs.shop.wording import (
    ADD,
    BACK,
    BUY,
    CART,
    CHECKOUT,
    DROP,
    FRONT,
    ITEM,
    OR,
    ORDERS,
    RATE,
    REVIEW,
    SET,
    SHORT,
    STOP,
    asked,
    told,
)

KINDS: Final = ("cart", "checkout", "return", "review", "stock")
MAX_TURNS: Final = 20
NONE, DONE = "none", "done"

COMPACT_VOCABULARY: Final[tuple[str, ...]] = (
    *WORDS,
    *(FRONT, CART, ITEM, ORDERS, CHECKOUT, BACK, REVIEW),
    *("open", SET, DROP, ADD, "send", RATE, BUY, "cancel", OR),
    *(SHORT, NONE, DONE, STOP),
)

Article = Annotated[str, Field(pattern=".*", examples=["a1"])]
Place = Annotated[str, Field(pattern=".*", examples=[CART])]
Pieces = Annotated[int, Field(ge=1, le=5)]


class ShopCompact(TextShop):
    """Run an errand in a web shop, a few words at a time; the checks are those of `shop`."""

    suite: ClassVar[str] = "shop_compact"
    vocabulary: ClassVar[tuple[str, ...]] = COMPACT_VOCABULARY
    _symbols: tuple[Errand, Symbols] | None = None

    @classmethod
    def tasks(cls, split: Split, *, subset: str = "", worlds: int | None = None) -> Sequence[Task]:
        """Errands of five kinds, which are the subsets; `worlds`: over that many. None of training is, in
        these words, like one of testing in its usual twelve worlds. Raises UnknownName."""
        return listed(
            cls.suite,
            split,
            subset=subset,
            worlds=worlds,
            kinds=KINDS,
            max_turns=MAX_TURNS,
            likeness=likeness,
        )

    def begin(self, task: Task) -> str:
        """The errand, and the front page."""
        self.enter().go(self.line, "/")
        return f"{' '.join(asked(self.errand, self.symbols))} {STOP} {self._page()}"

    @tool
    def open(self, page: Place) -> str:
        """Open a page.

        Args:
            page: cart, checkout, orders, an article or an order.
        """
        path = self._path(page.strip())
        if path is None:
            return f"{NONE} {self._page()}"
        self.state.tab.go(self.line, path)
        return self._page()

    @tool
    def set(self, article: Article, pieces: Pieces) -> str:
        """On the cart: change how many pieces of an article are in it.

        Args:
            article: The article.
            pieces: How many.
        """
        sku = self.symbols.sku(article)
        return self._sent(f"/cart/set/{sku}", {"quantity": str(pieces)})

    @tool
    def drop(self, article: Article) -> str:
        """On the cart: take an article out.

        Args:
            article: The article.
        """
        return self._sent(f"/cart/remove/{self.symbols.sku(article)}", {})

    @tool
    def add(self, pieces: Pieces) -> str:
        """On an article: put pieces of it into the cart.

        Args:
            pieces: How many.
        """
        return self._sent(f"/cart/add/{self._last()}", {"quantity": str(pieces)})

    @tool
    def buy(
        self,
        place: Literal["home", "work", "holiday"],
        method: Literal["standard", "express", "collect"],
        card: Literal["c1", "c2"],
    ) -> str:
        """On the checkout: order what is in the cart.

        Args:
            place: Where to.
            method: How it is delivered.
            card: What it is paid with.
        """
        where, paid = self.symbols.address_id(place), self.symbols.card_id(card)
        return self._sent("/checkout", {"address": where, "method": method, "card": paid})

    @tool
    def cancel(self) -> str:
        """On an order that is not there yet: cancel it."""
        return self._sent(f"/orders/{self._last()}/cancel", {})

    @tool
    def back(self, article: Article) -> str:
        """On an order that was delivered: open the form that sends an article of it back.

        Args:
            article: The article.
        """
        return self._followed(f"{self._here()}/return/{self.symbols.sku(article)}")

    @tool
    def send(
        self,
        pieces: Pieces,
        reason: Literal["damaged", "wrong", "unlike", "mind"],
        refund: Literal["card", "credit"],
    ) -> str:
        """On the form that sends an article back: send it.

        Args:
            pieces: How many.
            reason: Why.
            refund: How the money comes back.
        """
        return self._sent(self._here(), {"quantity": str(pieces), "reason": reason, "refund": refund})

    @tool
    def review(self) -> str:
        """On an article: open the form for a review."""
        return self._followed(f"{self._here()}/review")

    @tool
    def rate(
        self,
        stars: Pieces,
        title: Literal["t1", "t2", "t3", "t4", "t5"],
        text: Literal["x1", "x2", "x3", "x4", "x5"],
    ) -> str:
        """On the form for a review: publish it.

        Args:
            stars: How many.
            title: Which title.
            text: Which text.
        """
        said = {"title": TITLES[TITLE_WORDS.index(title)], "text": TEXTS[TEXT_WORDS.index(text)]}
        return self._sent(self._here(), {"stars": str(stars), **said})

    @tool
    def done(self) -> str:
        """Tell the customer that it is done; this ends the errand."""
        self.state.said = "Done."
        self.finish()
        return DONE

    def available(self) -> Sequence[ToolSpec]:
        """What is asked about and what is shown are the examples of articles and pages."""
        words = [*asked(self.errand, self.symbols), *self._page().split()]
        articles = list(dict.fromkeys(word for word in words if self.symbols.sku(word))) or ["a1"]
        orders = [word for word in words if self.symbols.number(word, self.state.tab.database)]
        pages = [CART, CHECKOUT, ORDERS, *dict.fromkeys(orders), *articles]
        return [_shown(spec, {"article": articles, "page": pages}) for spec in self.toolbox()]

    def oracle(self) -> Action | None:
        """The scripted shopper's wish as a call, or as the way to the page where it can be made."""
        if self.state.said is not None:
            return None
        match self.wished():
            case Reach(path):
                return towards(path, self.symbols, here=self._here())
            case Send(at, action, fields):
                if any(form.action == action for form in self.state.tab.sight.forms):
                    return sending(action, fields, self.symbols)
                return towards(at, self.symbols, here=self._here())
            case Say():
                return Action.call("done")

    @property
    def symbols(self) -> Symbols:
        """The words for this errand's shop."""
        if self._symbols is None or self._symbols[0] is not self.errand:
            self._symbols = self.errand, Symbols(self.errand)
        return self._symbols[1]

    def _page(self) -> str:
        """What is open, in words."""
        database, customer = self.state.tab.database, self.errand.customer
        return told(self._here(), database, self.symbols, customer=customer)

    def _path(self, word: str) -> str | None:
        """Where a page is; None if there is none."""
        if word in (CART, CHECKOUT, ORDERS):
            return f"/{word}"
        sku, number = self.symbols.sku(word), self.symbols.number(word, self.state.tab.database)
        return f"/p/{sku}" if sku else f"/orders/{number}" if number else None

    def _here(self) -> str:
        return self.state.tab.url.partition("?")[0]

    def _last(self) -> str:
        """The last part of the address: an item's or an order's number."""
        return self._here().rpartition("/")[2]

    def _followed(self, path: str) -> str:
        """What a link of this page leads to; `none` where it has no such link, or the shop sends one back."""
        tab = self.state.tab
        for number, item in enumerate(tab.sight.items, start=1):
            if item.kind == "link" and item.target == path:
                tab.click(self.line, number)
                break
        return self._page() if self._here() == path else f"{NONE} {self._page()}"

    def _sent(self, action: str, fields: Mapping[str, str]) -> str:
        """Fill in a form of this page and send it; `none` where it has no such form or nothing came of it."""
        tab, customer = self.state.tab, self.errand.customer
        if all(form.action != action for form in tab.sight.forms):
            return f"{NONE} {self._page()}"
        before, wanted = facts(tab.database, customer), Send(tab.url, action, fields)
        while True:
            made = move(wanted, tab.sight, url=tab.url, value=tab.value, database=tab.database)
            if made.do == "click":
                tab.click(self.line, made.item)
                break
            (tab.select if made.do == "select" else tab.fill)(made.item, made.text)
        came = facts(tab.database, customer) != before
        return self._page() if came else f"{NONE} {self._page()}"


def _shown(spec: ToolSpec, examples: Mapping[str, Sequence[str]]) -> ToolSpec:
    """A tool with the examples that this page gives for its arguments."""
    properties = {
        name: {**schema, "examples": list(examples[name])} if name in examples else schema
        for name, schema in spec.parameters["properties"].items()
    }
    return replace(spec, parameters={**spec.parameters, "properties": properties})
