"""Errands about an order and an account: check out, cope with an article that is gone, move house, change
what the shop knows of one."""

from __future__ import annotations

from random import Random

from trace_gym_envs.shop import names
from trace_gym_envs.shop.errand import Errand, Goal
from trace_gym_envs.shop.facts import goods_of
from trace_gym_envs.shop.past import Address
from trace_gym_envs.shop.rules import METHODS
from trace_gym_envs.shop.stocking import FIRST_ADDRESS
from trace_gym_envs.shop.world import World


def checkout(rng: Random, world: World) -> Errand:
    """Order some pieces to one of the addresses, in a way, with a card."""
    number = rng.randint(1, len(world.customers))
    customer = world.customers[number - 1]
    products = rng.sample(world.products, rng.randint(1, 2))
    counts = [rng.randint(1, 3) for _ in products]
    address, card = rng.choice(customer.addresses[1:]), customer.cards[1]
    method = rng.choice(list(METHODS))
    what = " and ".join(f"{count} x {p.name}" for count, p in zip(counts, products, strict=True))
    asks = (
        f"Order {what}. Send it to my address {address.label!r}, delivery {method}, and pay with "
        f"the card ending {card.last4}.",
        f"Buy {what} for me: {method} delivery to {address.label!r}, on the card that ends in {card.last4}.",
    )
    goods = goods_of([(p.sku, count) for count, p in zip(counts, products, strict=True)])
    return Errand(
        "checkout",
        world.name,
        number,
        rng.choice(asks),
        goals=_order(goods, address, method, card.last4),
        watch=tuple(f"/p/{p.sku}" for p in products),
    )


def stock(rng: Random, world: World) -> Errand:
    """Order an article, or another one if the shop cannot deliver so many; in half of the errands it turns
    out that it cannot only when the order is placed."""
    number = rng.randint(1, len(world.customers))
    customer = world.customers[number - 1]
    noun = rng.choice(world.products).noun
    first, second = rng.sample([p for p in world.products if p.noun == noun], 2)
    count, gone = rng.randint(2, 4), rng.random() < 0.5
    asks = (
        f"Order {count} x {first.name}. If they cannot all be had, order {count} x {second.name} instead, "
        "nothing mixed. Usual address and card, standard delivery.",
        f"I need {count} of one {noun}: {first.name} if there are enough, else {second.name}. Order them, "
        "standard delivery, to my usual address, on my usual card.",
    )
    bought = second if gone else first
    goals = _order(
        goods_of([(bought.sku, count)]), customer.addresses[0], "standard", customer.cards[0].last4
    )
    conflict = (Goal("conflict_met", f"sold/{first.sku}", "yes"),) if gone else ()
    return Errand(
        "stock",
        world.name,
        number,
        rng.choice(asks),
        goals=(*conflict, *goals),
        watch=(f"/p/{first.sku}",),
        rival=(first.sku, rng.randint(0, count - 1), count) if gone else None,
    )


def address(rng: Random, world: World) -> Errand:
    """Change an address of the book, or add one."""
    number = rng.randint(1, len(world.customers))
    customer = world.customers[number - 1]
    street, (town, postcode) = names.street(rng), names.towns(rng, 1)[0]
    if rng.random() < 0.5:
        label = rng.choice(customer.addresses).label
        ask = rng.choice(
            (
                f"I have moved. My address {label!r} is now {street}, {postcode} {town}.",
                f"Change my address {label!r} to {street}, postcode {postcode}, {town}; the name stays.",
            )
        )
    else:
        label = rng.choice(("Parents", "Studio", "Neighbour", "Boat"))
        ask = rng.choice(
            (
                f"Add an address to my book: label {label}, my name, {street}, {postcode} {town}.",
                f"Put {street}, {postcode} {town} into my address book as {label}, under my name. "
                "Keep the others.",
            )
        )
    want = " | ".join((customer.name, street, postcode, town))
    goals = (Goal("address", f"address/{label}", want),)
    return Errand("address", world.name, number, ask, goals=goals, watch=("/account/addresses",))


def account(rng: Random, world: World) -> Errand:
    """Change two or three things that the shop knows of a customer."""
    number = rng.randint(1, len(world.customers))
    customer = world.customers[number - 1]
    phone, first = names.phone(rng), customer.name.partition(" ")[0].lower()
    mail = f"{first}.{rng.randint(10, 99)}@post.example"
    language = rng.choice(
        [each for each in ("English", "German", "French", "Spanish") if each != customer.language]
    )
    place = FIRST_ADDRESS * number + 1
    changes = [
        ("phone", phone, f"my phone number is now {phone}"),
        ("email", mail, f"my e-mail address is now {mail}"),
        ("language", language, f"write to me in {language}"),
        (
            "newsletter",
            str(int(not customer.newsletter)),
            f"{'stop' if customer.newsletter else 'send me'} the newsletter",
        ),
        ("card", str(place + 1), f"my usual card is the one ending {customer.cards[1].last4}"),
        ("address", str(place + 1), f"my usual address is {customer.addresses[1].label!r}"),
    ]
    chosen = rng.sample(changes, rng.randint(2, 3))
    opening = rng.choice(("Please change my account: ", "Some things in my account are out of date: "))
    goals = tuple(Goal(name, f"account/{name}", value) for name, value, _ in chosen)
    text = f"{opening}{'; '.join(said for _, _, said in chosen)}."
    return Errand("account", world.name, number, text, goals=goals, watch=("/account",))


def _order(goods: str, address: Address, method: str, last4: str) -> tuple[Goal, ...]:
    return (
        Goal("order_goods", "new/1/goods", goods),
        Goal("order_address", "new/1/destination", address.line),
        Goal("order_delivery", "new/1/method", method),
        Goal("order_card", "new/1/card", last4),
        Goal("order_coupon", "new/1/coupon", ""),
    )
