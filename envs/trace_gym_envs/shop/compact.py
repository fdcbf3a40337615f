"""The compact rendering: five kinds of the shop's errands in a closed vocabulary, pages in a few words.

An errand is one line, the page that is open follows: `cart set a3 5 drop a17 add a41 1`, `buy a3 2 a17 1
holiday express c2`, `buy a3 3 or a5 3 home standard c1` (the second where the shop has not enough of the
first), `back o4 a17 1 unlike credit`, `rate o4 k4 2 t3 x5` (the one article of sort k4 in order o4). One word
a symbol (`symbols.py`), so that a model of a million parameters can learn it. Application, database and
checks are the shop's own: every move is made on its pages, through their links and forms. Leaves out the
kinds that need prose, sums or dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.tools import tool
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.facts import facts
from trace_gym_envs.shop.kinds.afterwards import TEXTS, TITLES
from trace_gym_envs.shop.listing import listed
from trace_gym_envs.shop.shopper import Reach, Say, Send, move
from trace_gym_envs.shop.symbols import NEW, TEXT_WORDS, TITLE_WORDS, WORDS, Symbols
from trace_gym_envs.shop.visit import TextShop

KINDS: Final = ("cart", "checkout", "return", "review", "stock")
MAX_TURNS: Final = 20
FRONT, CART, ITEM, ORDERS, CHECKOUT, BACK, REVIEW = (
    *("front", "cart", "item", "orders", "checkout", "back", "review"),
)
SHORT, NONE, DONE, STOP = "short", "none", "done", ";"

COMPACT_VOCABULARY: Final[tuple[str, ...]] = (
    *WORDS,
    *(FRONT, CART, ITEM, ORDERS, CHECKOUT, BACK, REVIEW),
    *("open", "set", "drop", "add", "send", "rate", "buy", "cancel", "or"),
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
        """Errands of five kinds, which are the subsets; `worlds`: over that many. Raises UnknownName."""
        return listed(cls.suite, split, subset=subset, worlds=worlds, kinds=KINDS, max_turns=MAX_TURNS)

    def begin(self, task: Task) -> str:
        """The errand, and the front page."""
        self.enter().go(self.line, "/")
        return f"{' '.join(self._asked())} {STOP} {self._page()}"

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
        words = [*self._asked(), *self._page().split()]
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
                return self._towards(path)
            case Send(at, action, fields):
                stands = any(form.action == action for form in self.state.tab.sight.forms)
                return self._call(action, fields) if stands else self._towards(at)
            case Say():
                return Action.call("done")

    @property
    def symbols(self) -> Symbols:
        """The words for this errand's shop."""
        if self._symbols is None or self._symbols[0] is not self.errand:
            self._symbols = self.errand, Symbols(self.errand)
        return self._symbols[1]

    def _asked(self) -> list[str]:
        """The errand in words."""
        errand, symbols = self.errand, self.symbols
        wants = {goal.key: goal.want for goal in errand.goals}
        match errand.kind:
            case "cart":
                return [CART, *self._asked_of_cart(wants)]
            case "return":
                ((key, want),) = wants.items()
                _, number, sku = key.split("/")
                return [BACK, symbols.order(number), symbols.article(sku), *str(want).split()]
            case "review":
                return ["rate", *self._asked_of_review(wants)]
            case _:
                place, card = wants["new/1/destination"] or "", wants["new/1/card"] or ""
                how = [symbols.place(place), wants["new/1/method"] or "", symbols.card(card)]
                return ["buy", *self._asked_goods(wants["new/1/goods"] or ""), *how]

    def _asked_of_cart(self, wants: Mapping[str, str | None]) -> Iterator[str]:
        had = {sku for sku, _ in self.errand.cart}
        for key, want in wants.items():
            sku = key.removeprefix("cart/")
            yield from ("drop" if want is None else "set" if sku in had else "add", self.symbols.article(sku))
            if want is not None:
                yield want

    def _asked_of_review(self, wants: Mapping[str, str | None]) -> Iterator[str]:
        ((key, want),) = wants.items()
        sku, order = key.removeprefix("review/"), self.errand.watch[0].removeprefix("/orders/")
        stars, title, text = str(want).split(" | ", 2)
        symbols, by_order = self.symbols, order in self.errand.text
        yield from (symbols.order(order), symbols.sort(sku)) if by_order else (symbols.article(sku),)
        yield from (stars, TITLE_WORDS[TITLES.index(title)], TEXT_WORDS[TEXTS.index(text)])

    def _asked_goods(self, goods: str) -> Iterator[str]:
        """What is to be bought; where it is one of two, both, the one to be preferred first."""
        counts = dict((sku, count) for count, sku in (line.split(" x ") for line in goods.split(", ")))
        named = self.symbols.named(self.errand.text)
        for place, sku in enumerate(named):
            yield from ["or"] * (place > 0 and len(counts) < len(named))
            yield from (self.symbols.article(sku), counts.get(sku) or next(iter(counts.values())))

    def _page(self) -> str:
        """What is open, in words; read from the database."""
        match self._here().split("/")[1:]:
            case ["cart"]:
                return " ".join([CART, *self._lines_of_cart()])
            case ["p", sku]:
                return f"{ITEM} {self.symbols.article(sku)}"
            case ["p", sku, "review"]:
                return f"{REVIEW} {self.symbols.article(sku)}"
            case ["orders"]:
                return ORDERS
            case ["orders", number]:
                return " ".join([self.symbols.order(number), *self._lines_of_order(number)])
            case ["orders", _, "return", sku]:
                return f"{BACK} {self.symbols.article(sku)}"
            case ["checkout"]:
                return CHECKOUT
            case _:
                return FRONT

    def _lines_of_cart(self) -> Iterator[str]:
        sql = (
            "select c.sku, c.quantity, p.stock from cart c join products p on p.sku = c.sku "
            "where c.customer = ? order by p.name"
        )
        for sku, count, stock in self.state.tab.database.rows(sql, self.errand.customer):
            yield from (self.symbols.article(sku), str(count), *[SHORT] * (count > stock), STOP)

    def _lines_of_order(self, number: str) -> Iterator[str]:
        """State and articles, each with its sort; of a new order also where it goes, how, and who pays."""
        database, symbols = self.state.tab.database, self.symbols
        row = database.row("select status, destination, method, card from orders where number = ?", number)
        assert row is not None
        yield row[0]
        sql = (
            "select l.sku, l.quantity, r.quantity from lines l join products p on p.sku = l.sku "
            "left join returns r on r.number = l.number and r.sku = l.sku where l.number = ? order by p.name"
        )
        for sku, count, sent in database.rows(sql, number):
            then = [BACK] * (sent is not None)
            yield from (symbols.sort(sku), symbols.article(sku), str(count), *then, STOP)
        if symbols.order(number) == NEW:
            yield from (symbols.place(row[1]), row[2], symbols.card(row[3]))

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

    def _towards(self, path: str) -> Action:
        """The call that opens a page, or the one before it."""
        match path.split("/")[1:]:
            case ["orders", number, "return", sku] if self._here() == f"/orders/{number}":
                return Action.call("back", article=self.symbols.article(sku))
            case ["p", _, "review"] if self._here() == path.removesuffix("/review"):
                return Action.call("review")
            case ["p", sku, *_]:
                return Action.call("open", page=self.symbols.article(sku))
            case ["orders", number, *_]:
                return Action.call("open", page=self.symbols.order(number))
            case [name, *_]:
                return Action.call("open", page=name)
            case _:
                raise ValueError(f"there is no way to {path}")

    def _call(self, action: str, fields: Mapping[str, str]) -> Action:
        """The call that sends a form of the page that is open."""
        symbols, parts = self.symbols, action.split("/")[1:]
        match parts:
            case ["cart", "set", sku]:
                return Action.call("set", article=symbols.article(sku), pieces=int(fields["quantity"]))
            case ["cart", "remove", sku]:
                return Action.call("drop", article=symbols.article(sku))
            case ["cart", "add", _]:
                return Action.call("add", pieces=int(fields["quantity"]))
            case ["checkout"]:
                return Action.call("buy", **self._payment(fields))
            case ["orders", _, "cancel"]:
                return Action.call("cancel")
            case ["orders", _, "return", _]:
                sent = {"reason": fields["reason"], "refund": fields["refund"]}
                return Action.call("send", pieces=int(fields["quantity"]), **sent)
            case _:
                title, text = (TITLES.index(fields["title"]), TEXTS.index(fields["text"]))
                said = {"title": TITLE_WORDS[title], "text": TEXT_WORDS[text]}
                return Action.call("rate", stars=int(fields["stars"]), **said)

    def _payment(self, fields: Mapping[str, str]) -> Mapping[str, Any]:
        """The checkout's choices in words; those that are not made are the customer's usual ones."""
        from_id = {self.symbols.address_id(word): word for word in ("home", "work", "holiday")}
        by_id = {self.symbols.card_id(word): word for word in ("c1", "c2")}
        return {
            "place": from_id[fields["address"]] if fields else "home",
            "method": fields.get("method", "standard"),
            "card": by_id[fields["card"]] if fields else "c1",
        }


def _shown(spec: ToolSpec, examples: Mapping[str, Sequence[str]]) -> ToolSpec:
    """A tool with the examples that this page gives for its arguments."""
    properties = {
        name: {**schema, "examples": list(examples[name])} if name in examples else schema
        for name, schema in spec.parameters["properties"].items()
    }
    return replace(spec, parameters={**spec.parameters, "properties": properties})
