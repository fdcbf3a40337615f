"""The chat agent against a real HTTP server here: what it sends, what it takes, when it gives up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import View
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.errors import BadConfig, ContextExceeded, ModelFailed, UnknownName
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EvalConfig, evaluate
from trace_gym.parts import make_agent
from trace_gym.testing.endpoint import Answer, Endpoint, said, serving

GUESS = ToolSpec("guess", "Guess.", {"type": "object", "properties": {"number": {"type": "integer"}}})


def agent(endpoint: Endpoint, options: str = "") -> Any:
    return make_agent(f"chat_api?model=m&base_url={endpoint.url}{options}")


def view(*turns: Turn) -> View:
    opening = Turn(-1, -1, Actor.TASK, "Find it.")
    return View("guess", (opening, *turns), (GUESS,), ((GUESS,),) * len(turns), seed=2**31 + 5, max_tokens=64)


def act(asked: Any, seen: View | None = None) -> Any:
    return asyncio.run(asked.act(seen or view()))


def test_a_request_holds_the_task_the_tools_and_the_limit() -> None:
    with serving(lambda _: said("Hm.")) as endpoint:
        move = act(agent(endpoint, "&temperature=0.5&system=Be brief."))
    assert move.action == Action(message="Hm.")
    (asked,) = endpoint.asked
    assert asked == {
        "path": "/v1/chat/completions",
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Find it."},
        ],
        "tools": [GUESS.openai()],
        "max_tokens": 64,
        "seed": 5,
        "temperature": 0.5,
    }


def test_calls_are_taken_and_told_again_with_their_answers() -> None:
    with serving(lambda _: said("Two.", ("guess", '{"number": 1}'), ("guess", '{"number": 2}'))) as endpoint:
        move = act(agent(endpoint))
        assert [dict(call.arguments) for call in move.action.calls] == [{"number": 1}, {"number": 2}]
        turn = Turn(0, 0, Actor.AGENT, "Higher.\nHigher.", action=move.action, text=move.text)
        act(agent(endpoint), view(turn))
    messages = endpoint.asked[1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert messages[1]["content"] == "Two."
    assert [call["function"]["arguments"] for call in messages[1]["tool_calls"]] == [
        '{"number": 1}',
        '{"number": 2}',
    ]
    assert [message["tool_call_id"] for message in messages[2:]] == ["call_1_0", "call_1_1"]
    assert messages[3]["content"] == "Higher.\nHigher."


def test_arguments_that_are_not_json_are_the_agents_mistake() -> None:
    with serving(lambda _: said(None, ("guess", "{number: 1"))) as endpoint:
        move = act(agent(endpoint))
        assert "not valid JSON" in str(move.action.error)
        turn = Turn(0, 0, Actor.AGENT, "Not understood.", action=move.action, text=move.text)
        act(agent(endpoint), view(turn))
    assert [message["role"] for message in endpoint.asked[1]["messages"]] == ["user", "assistant", "user"]


def test_usage_is_the_cost_and_the_table_its_price(tmp_path: Any) -> None:
    table = tmp_path / "prices.toml"
    table.write_text("[m]\ninput = 2.0\ncached = 0.5\noutput = 10.0\n")
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    with serving(lambda _: said("x", **usage)) as endpoint:
        cost = act(agent(endpoint, f"&prices={table}")).cost
    assert (cost.fresh, cost.cached, cost.decoded) == (600, 400, 100)
    assert cost.usd == pytest.approx((600 * 2.0 + 400 * 0.5 + 100 * 10.0) / 1e6)
    with pytest.raises(BadConfig, match="has no model 'n'; it has m"):
        make_agent(f"chat_api?model=n&prices={table}")


def test_an_endpoint_that_counts_no_tokens_is_charged_by_its_texts_and_told_of_once(caplog: Any) -> None:
    with serving(lambda _: said("x" * 400)) as endpoint:
        asking = agent(endpoint)
        cost, again = act(asking).cost, act(asking).cost
    asked = len(json.dumps(endpoint.asked[0]["messages"], ensure_ascii=False).encode())
    assert (cost.fresh, cost.cached) == (-(-asked // 4), 0)
    assert 100 < cost.decoded < 130
    assert again.decoded == cost.decoded
    assert [record.message for record in caplog.records if "estimated" in record.message] == [
        f"{endpoint.url} reports no usage: costs are estimated, 4 bytes a token"
    ]


def test_what_fails_in_passing_is_asked_again() -> None:
    answers = iter(
        [(429, {"retry-after": "0"}, "slow down"), (503, {"retry-after": "0"}, "later"), said("At last.")]
    )
    with serving(lambda _: next(answers)) as endpoint:
        assert act(agent(endpoint)).action.message == "At last."
    assert len(endpoint.asked) == 3
    assert endpoint.asked[0] == endpoint.asked[2]


def test_the_last_reason_is_told_when_it_gives_up() -> None:
    with (
        serving(lambda _: (500, {"retry-after": "0"}, "out of order")) as endpoint,
        pytest.raises(ModelFailed, match=r"no answer in 3 attempts; last: status 500: out of order"),
    ):
        act(agent(endpoint, "&retries=2"))
    assert len(endpoint.asked) == 3


def test_a_server_that_is_not_there_is_a_failed_model() -> None:
    with serving(lambda _: said()) as endpoint:
        pass
    with pytest.raises(ModelFailed, match="ConnectError"):
        act(agent(endpoint, "&retries=0"))


@pytest.mark.parametrize(
    ("status", "text", "error", "told"),
    [
        (401, "bad key", BadConfig, "check the key in "),
        (404, "no such model", BadConfig, "the model's name 'm'"),
        (400, "unsupported parameter: max_tokens", BadConfig, "does not take the request"),
        (400, '{"code": "context_length_exceeded"}', ContextExceeded, "context_length_exceeded"),
    ],
)
def test_what_cannot_be_mended_is_not_asked_again(status: int, text: str, error: Any, told: str) -> None:
    with serving(lambda _: (status, {}, text)) as endpoint, pytest.raises(error, match=told):
        act(agent(endpoint))
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "answer", ["not json", [], {"choices": []}, {"choices": [{"message": {"content": 3}}]}]
)
def test_an_odd_answer_is_a_failed_model(answer: Any) -> None:
    with serving(lambda _: (200, {}, answer)) as endpoint, pytest.raises(ModelFailed):
        act(agent(endpoint))


def test_the_key_is_sent_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OTHER_KEY", "secret")
    with serving(lambda _: said("x")) as endpoint:
        act(agent(endpoint))
        act(agent(endpoint, "&key=OTHER_KEY"))
    assert endpoint.keys == [None, "Bearer secret"]


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'retries'"):
        make_agent("chat_api?model=m&retrys=3")


def binary_search(body: dict[str, Any]) -> Answer:
    """Plays the tutorial well, from nothing but the conversation."""
    low, high = 1, int(body["messages"][0]["content"].split(" and ")[1].strip("."))
    guessed = 0
    for message in body["messages"][1:]:
        if message["role"] == "assistant":
            guessed = json.loads(message["tool_calls"][0]["function"]["arguments"])["number"]
        elif message["content"].startswith("Higher"):
            low = guessed + 1
        else:
            high = guessed - 1
    return said(
        None, ("guess", json.dumps({"number": (low + high) // 2})), prompt_tokens=7, completion_tokens=3
    )


def test_a_served_model_is_evaluated_from_end_to_end() -> None:
    with serving(binary_search) as endpoint:
        config = EvalConfig(tasks=12, workers=4)
        report = asyncio.run(evaluate([suite("guess")], agent(endpoint), config=config))
    told = report.json()
    assert (told["success"]["mean"], told["episodes"], told["invalid"]) == (1.0, 12, 0)
    assert told["cost"]["decoded"] == 3 * len(endpoint.asked)
