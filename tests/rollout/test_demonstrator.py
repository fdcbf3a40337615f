"""Demonstrations: who acted is drawn from the seeds, and the tokens are what a model would have said."""

from __future__ import annotations

import asyncio

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Move, View
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import floats
from trace_gym.environment.spaces import ActionSpace
from trace_gym.rollout.demonstrator import Demonstrator, Writer
from trace_gym.testing import ToyTokenizer
from trace_gym_agents.compact import CompactRenderer
from trace_gym_agents.hermes import HermesRenderer

TOY = ToyTokenizer(control=("<|im_end|>", "<|im_start|>", "<tool_call>", "</tool_call>"))
NUMBER = {"type": "integer", "minimum": 1, "maximum": 3}
OPEN = ToolSpec("open", "Open.", {"type": "object", "properties": {"page": NUMBER}, "required": ["page"]})
BEST = Action.call("open", page=99)
ROOT = Turn(-1, -1, Actor.TASK, "Find it.")


def view(seed: int = 0, *turns: Turn, advice: Action | None = BEST) -> View:
    tools = ((OPEN,),) * len(turns)
    return View("wiki", (ROOT, *turns), (OPEN,), tools, seed=seed, max_tokens=9, oracle=lambda: advice)


def demonstrator(*, noise: float = 0.0, seed: int = 0) -> Demonstrator:
    return Demonstrator(CompactRenderer(TOY), TOY, noise=noise, seed=seed)


def acted(agent: Demonstrator, seen: View) -> Move:
    return asyncio.run(agent.act(seen))


def test_the_oracle_is_spelled_in_tokens() -> None:
    move = acted(demonstrator(), view())
    assert (move.action, move.actor, move.text) == (BEST, Actor.ORACLE, "open 99")
    assert TOY.decode(move.context_ids.tolist()) == "Find it."
    assert TOY.decode(move.action_ids.tolist()) == "open 99<|im_end|>"
    assert move.logprobs.tolist() == move.entropy.tolist() == [0.0] * 8
    assert move.policy_version is None
    assert move.cost.decoded == 0


def test_later_turns_go_on_from_the_last() -> None:
    agent = demonstrator()
    first = acted(agent, view())
    turn = Turn(
        0,
        0,
        first.actor,
        "Page 99.",
        action=first.action,
        context_ids=first.context_ids,
        action_ids=first.action_ids,
        logprobs=floats([0.0] * len(first.action_ids)),
    )
    assert TOY.decode(acted(agent, view(1, turn)).context_ids.tolist()) == "Page 99."


def test_noise_is_valid_and_marked_as_the_agents() -> None:
    moves = [acted(demonstrator(noise=0.3), view(seed)) for seed in range(400)]
    noisy = [move for move in moves if move.actor is Actor.AGENT]
    assert {move.actor for move in moves} == {Actor.AGENT, Actor.ORACLE}
    assert 90 <= len(noisy) <= 150  # 120 expected, standard deviation 9.2
    space = ActionSpace([OPEN])
    assert all(move.action in space and len(move.action.calls) == 1 for move in noisy)
    assert {call.arguments["page"] for move in noisy for call in move.action.calls} == {1, 2, 3}
    renderer = CompactRenderer(TOY)
    assert all(renderer.parse(move.text, [OPEN]) == move.action for move in moves)


def test_the_seeds_alone_decide() -> None:
    seeds = list(range(40))
    one, other = demonstrator(noise=0.5), demonstrator(noise=0.5)
    forth = [acted(one, view(seed)).action for seed in seeds]
    back = [acted(other, view(seed)).action for seed in reversed(seeds)]
    assert forth == back[::-1]
    assert forth != [acted(demonstrator(noise=0.5, seed=1), view(seed)).action for seed in seeds]


def test_without_advice_the_turn_is_random_and_not_the_oracles() -> None:
    move = acted(demonstrator(), view(advice=None))
    assert move.actor is Actor.AGENT
    assert move.action in ActionSpace([OPEN])


def test_tags_of_a_demonstration_are_the_tags_own_tokens() -> None:
    hermes = HermesRenderer(TOY)
    assert isinstance(hermes, Writer)
    said = acted(Demonstrator(hermes, TOY, noise=0.0), view()).action_ids.tolist()
    assert [said[0], *said[-2:]] == [TOY.control("<tool_call>"), TOY.control("</tool_call>"), TOY.eos_id]


class PlainRenderer:
    """A renderer with nothing beyond the protocol."""

    stop_ids = (TOY.eos_id,)

    def __init__(self) -> None:
        self.open, self.follow = CompactRenderer(TOY).open, CompactRenderer(TOY).follow
        self.parse, self.spell = CompactRenderer(TOY).parse, CompactRenderer(TOY).spell


def test_a_renderer_that_cannot_write_is_spelled_and_encoded() -> None:
    move = acted(Demonstrator(PlainRenderer(), TOY, noise=0.0), view())
    assert TOY.decode(move.action_ids.tolist()) == "open page=99<|im_end|>"
    assert move.text == "open page=99"


def test_a_demonstrator_is_not_trained_and_needs_an_oracle() -> None:
    agent = demonstrator()
    assert agent.wants_oracle
    assert not agent.trainable
    bare = View("wiki", (ROOT,), (OPEN,), (), seed=0, max_tokens=9)
    with pytest.raises(ValueError, match="without an oracle"):
        acted(agent, bare)
    with pytest.raises(ValueError, match="noise must lie in"):
        demonstrator(noise=1.5)
    with pytest.raises(ValueError, match="seed must not be negative"):
        demonstrator(seed=-1)
