"""When two errands of the compact rendering are one task: the same words, whatever world they were made from.

What the reference solution is shown besides the request belongs to it: the cart as it was, the order that it
looks up, whether goods run short. Orders of lines are left out, so that errands which differ in no more than
that are alike too. Leaves out what becomes of errands that are alike (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.symbols import Symbols
from trace_gym_envs.shop.wording import SHORT, asked
from trace_gym_envs.shop.world import world


def likeness(errand: Errand) -> tuple[str, ...]:
    """Equal for errands that are alike. Raises ValueError for kinds that the compact rendering has not."""
    symbols = Symbols(errand)
    return (*asked(errand, symbols), *sorted(_shown(errand, symbols)))


def _shown(errand: Errand, symbols: Symbols) -> Iterator[str]:
    match errand.kind:
        case "cart":
            yield from _lines(errand.cart, symbols)
        case "return" | "review":
            yield from _lines(_order(errand), symbols)
        case "stock":
            yield from [SHORT] * (errand.rival is not None)
        case "checkout":
            pass
        case other:
            raise ValueError(f"the compact rendering has no errands of kind {other!r}")


def _lines(lines: Iterable[tuple[str, int]], symbols: Symbols) -> Iterator[str]:
    yield from (f"{symbols.article(sku)} {count}" for sku, count in lines)


def _order(errand: Errand) -> tuple[tuple[str, int], ...]:
    """The lines of the order that has to be looked up."""
    orders = world(errand.world).customers[errand.customer - 1].orders
    return next(order.lines for order in orders if errand.watch[0] == f"/orders/{order.number}")
