"""Unmodified programs as agents: real processes, real HTTP on both sides of the proxy."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from tests.loop_files.processes import alive
from trace_gym.cli.main import cli
from trace_gym.core.action import Action
from trace_gym.core.agent import View
from trace_gym.core.budget import Budget
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, Episode, FailureCause, StopReason, Turn
from trace_gym.core.errors import BadConfig, ModelFailed
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.catalogue import make
from trace_gym.testing.endpoint import Answer, Endpoint, said, serving

PROGRAMS = Path(__file__).parent / "programs"
HOME = Task("home", "safe", Split.TEST, "f", limits=Limits(max_turns=6))


class Safe(AgenticEnv):
    """Open the safe with 42, or say the password; anything else is answered."""

    suite = "safe"

    def begin(self, task: Task) -> str:
        self.state: list[str] = []
        return "Open the safe."

    @tool
    def turn(self, number: int) -> str:
        """Turn the wheel.

        Args:
            number: Where to.
        """
        self.state.append(str(number))
        if number == 42:
            self.finish()
        return f"click {number}"

    def reply(self, message: str) -> str:
        """Take a message for the password."""
        self.state.append(message)
        if message == "sesame":
            self.finish()
        return f"It is not {message!r}."

    def checks(self) -> list[Verdict]:
        """Is it open?"""
        opened = bool({"42", "sesame"} & set(self.state))
        return [Verdict.of("open", opened, evidence=str(self.state))]

    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        """The one task."""
        return [HOME]


def command(program: str, *words: str) -> str:
    return quote(" ".join([sys.executable, str(PROGRAMS / program), *words]))


def play(
    endpoint: Endpoint, asked: str, options: str = "", *, tokens: int = 256
) -> tuple[Episode, list[Episode]]:
    """The last episode that was played, and all of them."""
    agent = make_agent(f"external?command={asked}&base_url={endpoint.url}{options}")
    episodes = asyncio.run(collected(agent, tokens=tokens))
    return episodes[-1], episodes


async def collected(agent: Any, *, tokens: int = 256) -> list[Episode]:
    config = CollectorConfig(training=False, turn_tokens=tokens, retries=1)
    uniform = make("uniform", {"n": 1, "prompts": 1}, seed=0)
    async with Collector({"safe": Safe}, agent, uniform, config=config) as collector:
        forest = await collector.collect(0, [HOME], Budget(trajectories=1))
    return forest.episodes()


def scripted(*answers: Answer) -> Callable[[Any], Answer]:
    left = iter(answers)
    return lambda _: next(left)


def binary_search(body: dict[str, Any]) -> Answer:
    """Plays the tutorial from the conversation."""
    low, high, guessed = 1, 0, 0
    for message in body["messages"]:
        if message["role"] == "user":
            high = int(message["content"].split(" and ")[1].strip("."))
        elif message["role"] == "assistant":
            guessed = json.loads(message["tool_calls"][0]["function"]["arguments"])["number"]
        elif message["role"] == "tool":
            low, high = (guessed + 1, high) if "Higher" in message["content"] else (low, guessed - 1)
    answer = json.dumps({"number": (low + high) // 2})
    return said(None, ("guess", answer), prompt_tokens=7, completion_tokens=3)


def test_a_program_on_the_openai_sdk_is_evaluated_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "real-secret")
    with serving(binary_search) as endpoint:
        agent = f"external?command={command('plain.py', '{task}')}&base_url={endpoint.url}&model=m"
        words = ["eval", "guess", "--agent", agent, "--tasks", "4", "--json"]
        ended = CliRunner().invoke(cli, words)
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert (told["success"]["mean"], told["episodes"], told["invalid"]) == (1.0, 4, 0)
    assert told["cost"]["decoded"] == 3 * len(endpoint.asked)
    assert told["cost"]["fresh"] == 7 * len(endpoint.asked)
    assert told["cost"]["model_seconds"] > 0
    assert set(endpoint.keys) == {"Bearer real-secret"}
    first = endpoint.asked[0]
    assert [tool["function"]["name"] for tool in first["tools"]] == ["guess"]
    assert (first["model"], first["max_tokens"], first["messages"][0]["content"]) == ("m", 256, "Be quick.")


def test_own_tools_are_the_programs_and_what_it_never_saw_is_put_back() -> None:
    answers = scripted(
        said(None, ("turn", '{"number": 1}')),
        said("Both.", ("turn", '{"number": 2}'), ("half", '{"of": 84}')),
        said("So it is 42."),
        said(None, ("turn", '{"number": 42}')),
    )
    with serving(answers) as endpoint:
        episode, _ = play(endpoint, command("planner.py"))
    assert (episode.success, episode.stop) == (True, StopReason.TERMINATED)
    assert [turn.observation for turn in episode.turns[1:]] == ["click 1", "click 2", "click 42"]
    assert all(turn.actor is Actor.AGENT for turn in episode.turns[1:])
    assert [sorted(tool["function"]["name"] for tool in a["tools"]) for a in endpoint.asked] == [
        ["half", "turn"]
    ] * 4
    last = endpoint.asked[3]["messages"]
    told = [(each["role"], each.get("content"), len(each.get("tool_calls", []))) for each in last]
    assert told == [
        ("user", "Open the safe.", 0),
        ("assistant", None, 1),
        ("tool", "click 1", 0),
        ("assistant", "Both.", 2),
        ("tool", "click 2", 0),
        ("tool", "42", 0),
        ("assistant", "So it is 42.", 0),
        ("user", "Go on.", 0),
    ]
    recorded = [call for turn in episode.turns[1:] for call in json.loads(turn.text)["calls"]]
    assert [call["kept"] for call in recorded] == [0, 1, 3, 6]
    asked: list[Any] = []
    for call, request in zip(recorded, endpoint.asked, strict=True):
        asked = asked[: call["kept"]] + call["asked"]
        assert asked == request["messages"]
    assert recorded[2]["said"]["content"] == "So it is 42."


def test_a_final_answer_is_a_message_and_an_answered_one_starts_the_program_again() -> None:
    with serving(scripted(said("mellon"), said("sesame"))) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask"))
    assert episode.success is True
    assert [turn.action.message for turn in episode.turns[1:] if turn.action] == ["mellon", "sesame"]
    again = endpoint.asked[1]["messages"][0]["content"]
    assert again == "Open the safe.\n\nYou answered: mellon\n\nTo that came: It is not 'mellon'."


def test_the_answer_may_be_what_is_printed_and_the_key_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "real-secret")
    with serving(scripted(said("unused"))) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "keys"), "&answer=stdout&key=MY_KEY&runs=1")
    assert episode.turns[1].action is not None
    assert episode.turns[1].action.message == "[]"
    assert (episode.stop, episode.success, len(episode.turns)) == (StopReason.MAX_TURNS, False, 7)


def test_an_endpoint_that_fails_makes_the_episode_invalid_and_never_a_zero() -> None:
    with serving(lambda _: (500, {"retry-after": "0"}, "out of order")) as endpoint:
        episode, episodes = play(endpoint, command("bare.py", "ask"), "&retries=1")
    assert [e.success for e in episodes] == [None, None]
    assert (episode.stop, episode.failure) == (StopReason.INVALID, FailureCause.MODEL)
    assert "out of order" in episode.detail


def test_a_program_that_breaks_before_any_answer_is_not_judged_and_later_is() -> None:
    with serving(lambda _: said("Hm.", completion_tokens=5)) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "fail"))
        assert (episode.success, episode.failure) == (None, FailureCause.MODEL)
        assert "status 1: something went wrong" in episode.detail
        episode, _ = play(endpoint, command("bare.py", "ask", "fail"))
    assert (episode.stop, episode.success) == (StopReason.MAX_TURNS, False)
    assert [turn.cost.decoded for turn in episode.turns[1:]] == [5, 0, 0, 0, 0, 0]
    assert "status 1: something went wrong" in str(episode.turns[1].action)


def test_a_silent_program_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with serving(lambda _: said("Hm.")) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask", f"pid={note}", "sleep"), "&idle_s=4")
    assert episode.success is False
    assert "asked nothing for 4 s" in str(episode.turns[1].action)
    assert not any(alive(int(pid)) for pid in note.read_text().split())


def test_an_episode_that_ends_takes_the_waiting_program_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with serving(lambda _: said(None, ("turn", '{"number": 42}'))) as endpoint:
        episode, _ = play(endpoint, command("bare.py", f"pid={note}", "ask", "sleep"))
    assert episode.success is True
    assert not any(alive(int(pid)) for pid in note.read_text().split())


def test_an_evaluation_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    note = tmp_path / "pids"

    async def cancelled(url: str) -> None:
        words = command("bare.py", f"pid={note}", "sleep")
        playing = asyncio.ensure_future(collected(make_agent(f"external?command={words}&base_url={url}")))
        while not note.exists() or len(note.read_text().split()) < 2:
            assert not playing.done()
            await asyncio.sleep(0.02)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    with serving(lambda _: said("Hm.")) as endpoint:
        asyncio.run(cancelled(endpoint.url))
    assert not any(alive(int(pid)) for pid in note.read_text().split())


def test_a_client_that_hangs_up_is_forgotten_and_served_again() -> None:
    late = threading.Event()

    def rule(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] == "slow":
            late.wait(10)
        else:
            late.set()
        return said("sesame")

    with serving(rule) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "hurry=slow", "ask=quick"))
    assert (episode.success, len(episode.turns)) == (True, 2)


def test_the_calls_of_a_turn_share_its_tokens() -> None:
    answers = scripted(
        said("plan", completion_tokens=70),
        said("plan", completion_tokens=10),
        said("sesame", completion_tokens=0),
    )
    with serving(answers) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask=1", "ask=2", "ask=3"), tokens=100)
    assert [asked["max_tokens"] for asked in endpoint.asked] == [100, 30, 100]
    assert [turn.cost.decoded for turn in episode.turns[1:]] == [80, 0]
    assert "used up its 100 tokens" in str(episode.turns[1].action)
    assert episode.success is True


def test_calls_that_are_no_json_are_answered_and_told_again_in_a_sound_form() -> None:
    with serving(scripted(said(None, ("turn", "{oops")), said("sesame"))) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask"))
    assert "not valid JSON" in episode.turns[1].observation
    call, answer = endpoint.asked[1]["messages"][1:]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"not_understood": "{oops"}
    assert "not valid JSON" in answer["content"]


def test_refused_requests_are_the_programs_to_handle_and_too_many_calls_its_failure() -> None:
    with serving(lambda _: (400, {}, {"error": {"message": "context_length_exceeded"}})) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask"), "&answer=stdout&runs=1")
        assert "refused: 400 context_length_exceeded" in str(episode.turns[1].action)
    with serving(lambda _: said("Hm.")) as endpoint:
        episode, _ = play(endpoint, command("bare.py", "ask", "ask", "ask"), "&max_calls=2")
    assert len(endpoint.asked) == 2
    assert "more than 2 model calls" in str(episode.turns[1].action)


def test_an_endpoint_that_refuses_us_ends_the_evaluation() -> None:
    with (
        serving(lambda _: (401, {}, "bad key")) as endpoint,
        pytest.raises(BadConfig, match=r"check the key in \$OPENAI_API_KEY"),
    ):
        play(endpoint, command("bare.py", "ask"))


def test_what_cannot_work_is_said_at_once() -> None:
    with pytest.raises(BadConfig, match="there is no program 'no-such-thing'"):
        make_agent("external?command=no-such-thing -x")
    with pytest.raises(BadConfig, match="needs to know the model"):
        make_agent(f"external?command=true&prices={os.devnull}")


def test_an_episode_that_it_does_not_know_is_played_again_from_its_start() -> None:
    agent = make_agent("external?command=true")
    opening = Turn(-1, -1, Actor.TASK, "Open the safe.")
    later = Turn(0, 0, Actor.AGENT, "click", action=Action.call("turn", number=1))
    view = View("safe", (opening, later), (), ((),), seed=0, max_tokens=8)
    with pytest.raises(ModelFailed, match="in the middle of an episode"):
        asyncio.run(agent.act(view))
