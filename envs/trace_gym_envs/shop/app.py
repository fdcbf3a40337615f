"""The shop as an ASGI application: routes, cookies, forms and headers around the pages. The sole importer of
starlette among the environments.

Nothing in it waits, so that a request runs through without an event loop turning. Leaves out any server: the
text browser calls it in process, the browser's requests are answered by it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.desk import Desk, Reply, tidied
from trace_gym_envs.shop.pages import account, cart, catalogue, checkout, orders, talk
from trace_gym_envs.shop.pages.frame import missing

Page = Callable[..., Reply]

SESSION: Final = "session"
RECENT: Final = "recent"
MAX_BODY: Final = 20_000
POLICY: Final = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; form-action 'self'"

PAGES: Final[tuple[tuple[str, Page, Page | None], ...]] = (
    ("/", catalogue.front, None),
    ("/search", catalogue.search, None),
    ("/p/{sku}", catalogue.product, None),
    ("/picture/{sku}.svg", catalogue.picture, None),
    ("/p/{sku}/review", talk.ask_review, talk.put_review),
    ("/offers", cart.offers, None),
    ("/help", talk.topics, None),
    ("/help/{name}", talk.topic, None),
    ("/cart", cart.show, None),
    ("/checkout", checkout.show, checkout.place),
    ("/orders", orders.listed, None),
    ("/orders/{number}", orders.show, None),
    ("/orders/{number}/address", orders.ask_address, orders.put_address),
    ("/orders/{number}/return/{sku}", orders.ask_return, orders.put_return),
    ("/account", account.show, account.put),
    ("/account/addresses", account.book, None),
    ("/account/addresses/new", account.new, account.add),
    ("/account/addresses/{key:int}", account.edit, account.change),
)
"""Paths with the pages that show them and that take what is sent to them."""

POSTS: Final[tuple[tuple[str, Page], ...]] = (
    ("/cart/add/{sku}", cart.add),
    ("/cart/set/{sku}", cart.put),
    ("/cart/remove/{sku}", cart.remove),
    ("/cart/coupon", cart.use_coupon),
    ("/cart/coupon/drop", cart.drop_coupon),
    ("/orders/{number}/cancel", orders.cancel),
    ("/account/addresses/{key:int}/remove", account.remove),
)


@dataclass(slots=True)
class Till:
    """Which database the application works on; whoever owns the application may exchange it."""

    database: Database


def make_app(till: Till) -> Starlette:
    """The shop, over whatever database the till holds."""
    routes = [Route("/style.css", _style)]
    for path, show, take in PAGES:
        routes.append(Route(path, _endpoint(till, show), methods=["GET"]))
        if take is not None:
            routes.append(Route(path, _endpoint(till, take), methods=["POST"]))
    routes += [Route(path, _endpoint(till, take), methods=["POST"]) for path, take in POSTS]
    lost = _endpoint(till, missing)

    async def handle(request: Request, _: Exception) -> Response:
        return await lost(request)

    return Starlette(routes=routes, exception_handlers={HTTPException: handle})


def _endpoint(till: Till, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        form: dict[str, str] = {}
        if request.method == "POST":
            body = await request.body()
            if len(body) > MAX_BODY:
                return Response("too much was sent", 413)
            form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        token = request.cookies.get(SESSION, "")
        customer = till.database.value("select customer from sessions where token = ?", token)
        if customer is None:
            return Response("Your session has ended.", 401, media_type="text/plain")
        recent = tuple(filter(None, request.cookies.get(RECENT, "").split(".")[:3]))
        query = {name: tidied(value) for name, value in request.query_params.items()}
        desk = Desk(till.database, token, customer, request.url.path, query, form, recent)
        given = {} if page is missing else request.path_params
        return _answer(page(desk, **{name: str(value) for name, value in given.items()}))

    return endpoint


def _answer(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, media_type=reply.kind)
    if reply.location is not None:
        response.headers["location"] = reply.location
    response.headers["content-security-policy"] = POLICY
    for name, value in reply.cookies.items():
        response.set_cookie(name, value, httponly=True, samesite="lax")
    return response


@cache
def _sheet() -> str:
    return files(__package__).joinpath("style.css").read_text("utf-8")


async def _style(_: Request) -> Response:
    return Response(_sheet(), media_type="text/css")
