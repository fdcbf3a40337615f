"""What the vLLM policy is made of, without vLLM: requests, answers, routes, retries, refusals."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trace_gym.core.errors import BadConfig, MissingExtra, ModelFailed, UnknownName
from trace_gym.core.tokens import ids
from trace_gym.model.tiny import make_tiny
from trace_gym.policies import served
from trace_gym.rollout.policy_vllm import VllmPolicy
from trace_gym.rollout.routes import Routes
from trace_gym.rollout.shares import Shares
from trace_gym.rollout.vllm_client import ServerLost, VllmClient
from trace_gym.rollout.vllm_dialect import answer, least_entropy, why_unsupported
from trace_gym.rollout.vllm_fleet import VllmConfig
from trace_gym.rollout.vllm_server import vllm_python


class Told(ThreadingHTTPServer):
    """Answers what it was told to, in turn, and then the last again."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers, self.asked = list(answers), 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    server: Told

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body = self.server.answers[min(self.server.asked, len(self.server.answers)) - 1]
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    with Told(*request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(url: str, *, retries: int = 3, gone: str | None = None) -> dict[str, Any]:
    async def asking() -> dict[str, Any]:
        client = VllmClient(url, timeout_s=10, retries=retries)
        try:
            return await client.ask("GET", "/x", why_gone=lambda: gone)
        finally:
            await client.close()

    return asyncio.run(asking())


@pytest.mark.parametrize("told", [[(503, {}), (429, {}), (200, {"a": 1})]], indirect=True)
def test_what_fails_in_passing_is_asked_again(told: Told) -> None:
    assert ask(told.url) == {"a": 1}
    assert told.asked == 3


@pytest.mark.parametrize("told", [[(400, {"message": "too long"})]], indirect=True)
def test_a_refusal_is_told_at_once(told: Told) -> None:
    with pytest.raises(ModelFailed, match=r"refused /x: HTTP 400.*too long"):
        ask(told.url)
    assert told.asked == 1


@pytest.mark.parametrize("told", [[(500, {})]], indirect=True)
def test_a_server_that_never_answers_is_lost(told: Told) -> None:
    with pytest.raises(ServerLost, match="was asked 2 times in vain, at last: HTTP 500"):
        ask(told.url, retries=1)
    assert told.asked == 2
    with pytest.raises(ServerLost, match="it was killed"):
        ask(told.url, gone="it was killed")
    assert told.asked == 2


@pytest.mark.parametrize("told", [[(200, {"version": "0.9.1"})]], indirect=True)
def test_a_server_of_another_version_is_refused(told: Told, tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match=r"vLLM 0\.9\.1 is not supported: it must be 0\.32 or newer"):
        VllmPolicy(tmp_path, VllmConfig(base_url=(told.url,)), folder=tmp_path)


def test_versions() -> None:
    assert why_unsupported("0.32.0") is None
    assert why_unsupported("0.32.1+cpu") is None
    for odd in ("0.31.9", "0.33.0", "1.0", "dev"):
        assert str(why_unsupported(odd)).startswith(f"vLLM {odd} is not supported")


def test_a_python_without_vllm_is_refused_in_a_sentence(tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model", vocabulary=["a"], seed=0, layers=2)
    log = tmp_path / "log"
    with pytest.raises(ModelFailed, match="exit code 3: vLLM is not installed for") as failed:
        VllmPolicy(model, VllmConfig(python=sys.executable), folder=log)
    assert str(log / "server.log") in str(failed.value)
    with pytest.raises(MissingExtra, match="there is no Python /no/python"):
        vllm_python("/no/python")


def test_answers_are_read_with_the_entropy_of_what_is_known() -> None:
    likely = {"token_id:7": math.log(0.5), "token_id:8": math.log(0.25), "token_id:9": -9999.0}
    body = {
        "choices": [
            {
                "finish_reason": "length",
                "token_ids": [7],
                "logprobs": {"token_logprobs": [math.log(0.5)], "top_logprobs": [likely]},
            }
        ],
        "usage": {"prompt_tokens_details": {"cached_tokens": 32}},
    }
    read = answer(body)
    assert (read.token_ids, read.cached) == ([7], 32)
    assert read.entropy == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(4)])
    assert least_entropy([0.0]) == 0.0
    body["choices"][0]["finish_reason"] = "abort"
    with pytest.raises(ValueError, match="ended with 'abort'"):
        answer(body)


def test_turns_and_forks_go_where_their_beginning_was_seen() -> None:
    routes = Routes(2)
    root, other = ids([1, 2, 3]), ids([4, 5])
    first = routes.take(root, 0, now=0.0)
    twin = routes.take(root, 0, now=0.0)
    assert routes.take(other, 0, now=0.0) != first == twin
    path = ids([1, 2, 3, 9])
    routes.give(first, path)
    for fork in (ids([*path, 7]), ids([*path, 8, 8])):
        assert routes.take(fork, len(path), now=0.0) == first
    routes.lose(first, until=10.0)
    assert routes.take(ids([*path, 7]), len(path), now=5.0) == 1 - first
    routes.lose(1 - first, until=10.0)
    assert routes.take(root, 0, now=5.0) in (0, 1)
    assert sum(routes.busy) == 6
    with pytest.raises(ValueError, match="at least one server"):
        Routes(0)


def test_wall_time_is_shared_among_those_who_wait() -> None:
    now = [0.0]
    shares = Shares(lambda: now[0])
    first = shares.enter()
    now[0] = 4.0
    second = shares.enter()
    now[0] = 10.0
    assert shares.total() - first == pytest.approx(4 + 3)
    assert shares.total() - second == pytest.approx(3)
    shares.leave()
    shares.leave()
    now[0] = 50.0
    assert shares.mean == pytest.approx((4 * 1 + 6 * 2) / 10)
    assert shares.seconds == 10.0


def test_names_say_how_a_policy_is_served() -> None:
    assert served("smollm2") == ("smollm2", None)
    model, config = served("vllm:smollm2?base_url=http://a/v1&base_url=http://b&retries=2")
    assert model == "smollm2"
    assert config == VllmConfig(base_url=("http://a/v1", "http://b"), retries=2)
    with pytest.raises(UnknownName, match="did you mean 'retries'"):
        served("vllm:tiny?retry=2")
    with pytest.raises(BadConfig, match="must be positive"):
        served("vllm:tiny?timeout_s=0")
