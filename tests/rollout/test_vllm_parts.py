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

import numpy as np
import pytest
from safetensors.numpy import save_file

from trace_gym.assemble import check
from trace_gym.config import load
from trace_gym.core.errors import BadConfig, MissingExtra, ModelFailed, RunFolderError, UnknownName
from trace_gym.core.tokens import ids
from trace_gym.model.tiny import make_tiny
from trace_gym.policies import served, taken_up
from trace_gym.rollout.policy_vllm import VllmPolicy
from trace_gym.rollout.routes import Routes
from trace_gym.rollout.shares import Shares
from trace_gym.rollout.vllm_client import ServerLost, VllmClient
from trace_gym.rollout.vllm_dialect import Launch, answer, least_entropy, why_no_adapters, why_unsupported
from trace_gym.rollout.vllm_fleet import VllmConfig
from trace_gym.rollout.vllm_server import vllm_python
from trace_gym.rollout.vllm_weights import adapter_misfit


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


def test_adapters_are_taken_where_adapters_are_trained() -> None:
    given = ["suites=guess", "run.pool=4", "policy.model=vllm:tiny?lora=true"]
    check(load(None, [*given, "train.lora_rank=8"]))
    with pytest.raises(BadConfig, match=r"lora=true' takes adapters; set train\.lora_rank, or leave"):
        check(load(None, given))
    with pytest.raises(BadConfig, match="lora_rank is 600, and vLLM takes adapters of at most 512"):
        check(load(None, [*given, "train.lora_rank=600"]))


def test_a_server_is_started_for_adapters_of_the_rank_above() -> None:
    plain, fit = (Launch("model", "socket", "float32", 1, rank=rank) for rank in (0, 9))
    assert "--enable-lora" not in plain.arguments()
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in plain.environment()
    words = fit.arguments()
    assert words[words.index("--max-lora-rank") + 1] == "16"
    assert fit.environment()["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_a_refusal_tells_whether_a_server_takes_adapters() -> None:
    assert why_no_adapters("HTTP 404: Loading lora none failed: No adapter found for /none") is None
    assert why_no_adapters("HTTP 500: LoRA is not enabled.") == "start it with --enable-lora"
    assert "RUNTIME_LORA_UPDATING=1 and --enable-lora" in str(why_no_adapters("HTTP 404: Not Found"))


def with_adapter(folder: Path, base: Path | None, *, rank: int = 2, size: int = 128) -> Path:
    """A folder with an adapter of one layer, which takes vectors of that size."""
    (folder / "adapter").mkdir(parents=True)
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {"A": (rank, size), "B": (128, rank)}
    found = {f"{layer}.lora_{side}.weight": np.zeros(shape) for side, shape in shapes.items()}
    save_file(found, folder / "adapter" / "adapter_model.safetensors")
    config = {"r": rank, "base_model_name_or_path": base and str(base)}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_adapters_fit_one_model_and_one_rank(tmp_path: Path) -> None:
    base, other = (make_tiny(tmp_path / name, vocabulary=["a"], seed=0, layers=2) for name in ("one", "two"))
    fit = with_adapter(tmp_path / "fit", base) / "adapter"
    assert adapter_misfit(base, fit, rank=2) is None
    assert "its rank is 2, and the server was started for at most 1" in str(adapter_misfit(base, fit, rank=1))
    assert f"it belongs to the model in {base}" in str(adapter_misfit(other, fit, rank=2))
    assert "train.lora_rank" in str(adapter_misfit(base, base / "adapter", rank=2))
    wide = with_adapter(tmp_path / "wide", None, size=64) / "adapter"
    assert "q_proj.lora_A.weight fits no weight" in str(adapter_misfit(base, wide, rank=2))


def test_a_run_is_taken_up_with_the_model_that_its_adapters_belong_to(tmp_path: Path) -> None:
    base = make_tiny(tmp_path / "base", vocabulary=["a"], seed=0, layers=2)
    step = with_adapter(tmp_path / "step", base)
    assert taken_up("vllm:tiny?lora=true", step) == base
    assert taken_up("vllm:tiny", step) == taken_up("tiny", step) == step
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match=r"an adapter of the model in .*base, which is not there"):
        taken_up("vllm:tiny?lora=true", step)
