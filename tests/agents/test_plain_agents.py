"""Agents without tokens: oracle, random, noop."""

from __future__ import annotations

import asyncio

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Agent, Move, View
from trace_gym.core.episode import Actor, Turn
from trace_gym.environment.spaces import ActionSpace
from trace_gym_agents.noop import NoopAgent
from trace_gym_agents.oracle import OracleAgent
from trace_gym_agents.random import RandomAgent

NUMBER = {"type": "integer", "minimum": 1, "maximum": 9}
GUESS = ToolSpec("guess", "Guess.", {"type": "object", "properties": {"n": NUMBER}, "required": ["n"]})
SPACE = ActionSpace([GUESS])


def view(*, seed: int = 0, tools: tuple[ToolSpec, ...] = (GUESS,), advice: Action | None = None) -> View:
    root = Turn(-1, -1, Actor.TASK, "Guess.")
    return View("guess", (root,), tools, (), seed=seed, max_tokens=8, oracle=lambda: advice)


def acted(agent: Agent, seen: View) -> Move:
    return asyncio.run(agent.act(seen))


@pytest.mark.parametrize("make", [OracleAgent, RandomAgent, NoopAgent])
def test_none_has_tokens(make: type[Agent]) -> None:
    agent = make()
    assert not agent.trainable
    assert agent.wants_oracle is (make is OracleAgent)
    assert not len(acted(agent, view(advice=Action.call("guess", n=3))).action_ids)


def test_the_oracle_is_obeyed() -> None:
    move = acted(OracleAgent(), view(advice=Action.call("guess", n=3)))
    assert (move.action, move.actor) == (Action.call("guess", n=3), Actor.ORACLE)


def test_an_oracle_without_advice_sends_an_empty_message() -> None:
    assert acted(OracleAgent(), view(advice=None)).action == Action(message="")


def test_a_view_without_an_oracle_is_refused() -> None:
    bare = View("guess", view().turns, (GUESS,), (), seed=0, max_tokens=8)
    with pytest.raises(ValueError, match="without an oracle"):
        acted(OracleAgent(), bare)


def test_the_seed_alone_decides_a_random_action() -> None:
    seeds = [0, 1, 2**63 - 1, 5, 1]
    one, other = RandomAgent(), RandomAgent()
    forth = [acted(one, view(seed=seed)).action for seed in seeds]
    back = [acted(other, view(seed=seed)).action for seed in reversed(seeds)]
    assert forth == back[::-1]
    assert len({str(action) for action in forth}) > 1


def test_random_actions_fit_the_tools_usable_now() -> None:
    agent = RandomAgent()
    actions = [acted(agent, view(seed=seed)).action for seed in range(300)]
    assert all(action in SPACE for action in actions)
    assert {call.arguments["n"] for action in actions for call in action.calls} == set(range(1, 10))
    assert 10 <= sum(action.message is not None for action in actions) <= 60
    assert acted(agent, view(tools=())).action.message is not None


def test_shares_of_random_actions_are_given() -> None:
    only_calls = RandomAgent(messages=0.0, several=1.0)
    assert all(len(acted(only_calls, view(seed=seed)).action.calls) == 2 for seed in range(20))
    with pytest.raises(ValueError, match=r"0\.7 and 0\.5"):
        RandomAgent(messages=0.7, several=0.5)


def test_noop_says_the_same_every_turn() -> None:
    first, second = (acted(NoopAgent(), view(seed=seed)).action for seed in (1, 2))
    assert first == second
    assert first.message
    assert not first.calls
