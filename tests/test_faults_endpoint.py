"""Faults of a chat endpoint, as a real HTTP server here has them, in the middle of an evaluation.

| fault | observed |
|---|---|
| status 500 now and then | asked again; nothing else changes |
| status 500 for good | invalid (model) after the retries, never the agent's failure |
| it closes the connection, or was never there | the same |
| no answer within `timeout_s` | the same |
| an answer that is no JSON, or no completion | invalid (model), at once |
| arguments that are no JSON, or of another type | the agent's mistake: it is told, and the episode goes on |
| it refuses the key | BadConfig: the run stops and says what to check; resumed, nothing is lost |
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trace_gym.core.errors import BadConfig
from trace_gym.core.journal import Journal
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EpisodeLimits, EvalConfig, Report, evaluate
from trace_gym.parts import make_agent
from trace_gym.store import Store
from trace_gym.testing import MemoryJournal

CONFIG = EvalConfig(tasks=4, attempts=2, workers=4, limits=EpisodeLimits(turns=3))
Answering = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def endpoint(answering: Answering) -> Iterator[str]:
    """A server that lets `answering` treat every request, which it numbers from 0; gives its address."""
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answering(self, next(numbers))

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, content: str, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {**headers, "content-length": str(len(content.encode()))}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content.encode())


def guessing(handler: BaseHTTPRequestHandler, _: int = 0, arguments: str = '{"number": 5}') -> None:
    call = {"id": "1", "type": "function", "function": {"name": "guess", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {"prompt_tokens": 10, "completion_tokens": 3}
    send(handler, 200, json.dumps({"choices": [{"message": message}], "usage": usage}))


def play(address: str, journal: Journal | None = None, options: str = "retries=1") -> Report:
    agent = make_agent(f"chat_api?model=m&base_url={address}&{options}")
    return asyncio.run(evaluate([suite("guess")], agent, config=CONFIG, journal=journal or MemoryJournal()))


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    with endpoint(guessing) as address:
        return told(play(address))


def told(report: Report) -> dict[str, Any]:
    found = report.json()
    return {name: found[name] for name in ("success", "by", "episodes", "stops", "failures", "survival")}


def test_an_endpoint_that_fails_now_and_then_changes_nothing(plain: dict[str, Any]) -> None:
    def sometimes(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number % 3:
            guessing(handler)
        else:
            send(handler, 500, "overloaded", retry_after="0")

    with endpoint(sometimes) as address:
        assert told(play(address, options="retries=30")) == plain


def failing(handler: BaseHTTPRequestHandler, _: int) -> None:
    send(handler, 500, "broken", retry_after="0")


def closing(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def scribbling(handler: BaseHTTPRequestHandler, _: int) -> None:
    send(handler, 200, "<html>\x00 not JSON")


def wandering(handler: BaseHTTPRequestHandler, number: int) -> None:
    message = {"role": "assistant", "content": "5"}
    usages = (7, {"prompt_tokens": 1e400}, {"completion_tokens": -5}, {"prompt_tokens": None})
    odd = [[], {}, None, {"choices": []}, {"choices": "none"}, {"choices": {"a": 1}}]
    odd += [{"choices": [{"message": wrong}]} for wrong in (7, None, {"tool_calls": [7]}, {"content": [1]})]
    odd += [{"choices": [{"message": message}], "usage": usage} for usage in usages]
    send(handler, 200, json.dumps(odd[number % len(odd)]))


@pytest.mark.parametrize("answering", [failing, closing, scribbling, wandering])
def test_an_endpoint_that_fails_for_good_is_never_the_agents_failure(answering: Answering) -> None:
    with endpoint(answering) as address:
        report = play(address, options="retries=0")
    assert report.failures == {"model": 24}
    assert (report.success.mean, report.missing, report.possible) == (None, 8, (0.0, 1.0))


def test_an_endpoint_that_was_never_there_is_a_failed_model() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        report = play(f"http://127.0.0.1:{closed.getsockname()[1]}/v1", options="retries=0")
    assert report.failures == {"model": 24}


def test_an_endpoint_that_does_not_answer_in_time_is_a_failed_model() -> None:
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler, _: int) -> None:
        over.wait(20)

    with endpoint(silent) as address:
        report = play(address, options="retries=0&timeout_s=0.1")
        over.set()
    assert report.failures == {"model": 24}


@pytest.mark.parametrize("arguments", ["not JSON", '{"number": "five"}', "[1]", '{"number": 1e400}'])
def test_arguments_that_are_garbage_are_the_agents_mistake(arguments: str) -> None:
    with endpoint(lambda handler, _: guessing(handler, arguments=arguments)) as address:
        report = play(address)
    assert (report.failures, report.success.mean, report.stops) == ({}, 0.0, {"max_turns": 8})


def test_an_endpoint_that_refuses_us_stops_the_run_which_is_then_resumed(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    def refusing(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number < 9:
            guessing(handler)
        else:
            send(handler, 401, "the key has expired")

    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        with endpoint(refusing) as address, pytest.raises(BadConfig, match="check the key in"):
            play(address, store)
        turns = store.cost().steps
    assert 0 < turns <= 9
    with endpoint(guessing) as address, Store.open(tmp_path / "run") as store:
        assert told(play(address, store)) == plain
        assert store.cost().steps == sum(len(e.episode.turns) - 1 for e in store.episodes())
