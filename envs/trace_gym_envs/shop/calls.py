"""The scripted shopper's wishes as calls of the compact tools.

Leaves out the wishes themselves (`shopper.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from trace_gym.core.action import Action
from trace_gym_envs.shop.kinds.afterwards import TEXTS, TITLES
from trace_gym_envs.shop.symbols import CARDS, PLACES, TEXT_WORDS, TITLE_WORDS, Symbols


def towards(path: str, symbols: Symbols, *, here: str) -> Action:
    """The call that opens a page, or the one before it. Raises ValueError where no call does."""
    match path.split("/")[1:]:
        case ["orders", number, "return", sku] if here == f"/orders/{number}":
            return Action.call("back", article=symbols.article(sku))
        case ["p", _, "review"] if here == path.removesuffix("/review"):
            return Action.call("review")
        case ["p", sku, *_]:
            return Action.call("open", page=symbols.article(sku))
        case ["orders", number, *_]:
            return Action.call("open", page=symbols.order(number))
        case [name, *_]:
            return Action.call("open", page=name)
        case _:
            raise ValueError(f"there is no way to {path}")


def sending(action: str, fields: Mapping[str, str], symbols: Symbols) -> Action:
    """The call that sends a form of the page that is open with these values."""
    match action.split("/")[1:]:
        case ["cart", "set", sku]:
            return Action.call("set", article=symbols.article(sku), pieces=int(fields["quantity"]))
        case ["cart", "remove", sku]:
            return Action.call("drop", article=symbols.article(sku))
        case ["cart", "add", _]:
            return Action.call("add", pieces=int(fields["quantity"]))
        case ["checkout"]:
            return Action.call("buy", **_payment(fields, symbols))
        case ["orders", _, "cancel"]:
            return Action.call("cancel")
        case ["orders", _, "return", _]:
            sent = {"reason": fields["reason"], "refund": fields["refund"]}
            return Action.call("send", pieces=int(fields["quantity"]), **sent)
        case _:
            title, text = (TITLES.index(fields["title"]), TEXTS.index(fields["text"]))
            said = {"title": TITLE_WORDS[title], "text": TEXT_WORDS[text]}
            return Action.call("rate", stars=int(fields["stars"]), **said)


def _payment(fields: Mapping[str, str], symbols: Symbols) -> Mapping[str, str]:
    """The checkout's choices in words; where none are made, the customer's usual ones."""
    if not fields:
        return {"place": PLACES[0], "method": "standard", "card": CARDS[0]}
    places = {symbols.address_id(word): word for word in PLACES}
    cards = {symbols.card_id(word): word for word in CARDS}
    return {
        "place": places[fields["address"]],
        "method": fields["method"],
        "card": cards[fields["card"]],
    }
