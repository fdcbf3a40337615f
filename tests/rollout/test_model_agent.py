"""ModelAgent: the prompt is the path's own tokens plus one delta; limits, seeds, costs and cuts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.errors import ContextExceeded
from trace_gym.core.task import Split
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.model_agent import ModelAgent, next_context, seen_tokens
from trace_gym.schedule.uniform import Uniform
from trace_gym.testing import ScriptedPolicy, ToyTokenizer
from trace_gym_agents.compact import CompactRenderer
from trace_gym_envs.guess import GuessNumber

TOY = ToyTokenizer(control=("<|im_end|>",))
OPEN = ToolSpec(
    "open", "Open.", {"type": "object", "properties": {"page": {"type": "integer"}}, "required": ["page"]}
)
SHUT = ToolSpec("shut", "Shut.", {"type": "object", "properties": {}})
ROOT = Turn(-1, -1, Actor.TASK, "Find it.")


def agent(
    policy: ScriptedPolicy, *, max_tokens: int = 256, temperature: float = 1.0, top_p: float = 1.0
) -> ModelAgent:
    renderer = CompactRenderer(TOY)
    return ModelAgent(
        policy, renderer, tokenizer=TOY, max_tokens=max_tokens, temperature=temperature, top_p=top_p
    )


def saying(*texts: str, version: int = 0, hidden_size: int = 0, context_size: int = 4096) -> ScriptedPolicy:
    return ScriptedPolicy(
        lambda prompt: dict.fromkeys(texts, 1.0),
        tokenizer=TOY,
        version=version,
        hidden_size=hidden_size,
        context_size=context_size,
    )


def view(*turns: Turn, tools: tuple[ToolSpec, ...] = (OPEN,), seed: int = 7, max_tokens: int = 99) -> View:
    return View("wiki", (ROOT, *turns), tools, ((OPEN,),) * len(turns), seed=seed, max_tokens=max_tokens)


def done(move: Move, observation: str, parent: int = 0) -> Turn:
    """The turn that a move became."""
    return Turn(
        parent,
        0,
        move.actor,
        observation,
        action=move.action,
        context_ids=move.context_ids,
        action_ids=move.action_ids,
        logprobs=move.logprobs,
        policy_version=move.policy_version,
    )


def sampled(action: list[int], *, context: list[int], observation: str = "", version: int = 0) -> Turn:
    return Turn(
        0,
        0,
        Actor.POLICY,
        observation,
        context_ids=ids(context),
        action_ids=ids(action),
        logprobs=floats([0.0] * len(action)),
        policy_version=version,
    )


def test_a_first_turn() -> None:
    policy = saying("open 3", version=4, hidden_size=2)
    move = asyncio.run(agent(policy).act(view()))
    assert TOY.decode(move.context_ids.tolist()) == "Find it."
    assert TOY.decode(move.action_ids.tolist()) == "open 3<|im_end|>"
    assert (move.action, move.text) == (Action.call("open", page=3), "open 3")
    assert (move.actor, move.policy_version) == (Actor.POLICY, 4)
    assert len(move.logprobs) == len(move.entropy) == len(move.action_ids) == 7
    assert move.hidden is not None
    assert move.cost == Cost(fresh=8, decoded=7)
    (request,) = policy.requests
    assert (request.seed, request.stop_ids, request.cached) == (7, (TOY.eos_id,), 0)
    assert agent(policy).trainable
    assert not agent(policy).wants_oracle


def test_later_prompts_are_the_path_and_one_delta() -> None:
    policy = saying("open 3")
    model = agent(policy)
    first = done(asyncio.run(model.act(view())), "Page 3.")
    move = asyncio.run(model.act(view(first)))
    prompt = policy.requests[-1].prompt_ids.tolist()
    path = [*first.context_ids, *first.action_ids]
    assert prompt == [*path, *move.context_ids]
    assert TOY.decode(prompt) == "Find it.open 3<|im_end|>Page 3."
    assert policy.requests[-1].cached == len(path) == move.cost.cached
    assert move.cost.fresh == len(move.context_ids)


def test_sampled_tokens_are_never_tokenised_again() -> None:
    policy = saying("open 3")
    broken = sampled([0xFF, 0xC3], context=[65], observation="?")
    move = asyncio.run(agent(policy).act(view(broken)))
    assert policy.requests[0].prompt_ids.tolist()[:3] == [65, 0xFF, 0xC3]
    assert TOY.decode(move.context_ids.tolist()) == "<|im_end|>?"


def test_only_what_this_version_sampled_counts_as_seen() -> None:
    old, new = sampled([1, 2], context=[3], version=1), sampled([4], context=[5], version=2)
    assert seen_tokens(view(old, new), 1) == 3
    assert seen_tokens(view(old, new), 2) == 0
    assert seen_tokens(view(new, new), 2) == 4


def test_added_tools_are_told_once_and_changed_ones_are_not() -> None:
    renderer = CompactRenderer(TOY)
    turn = sampled([TOY.eos_id], context=[65], observation="Hm.")
    changed = replace(OPEN, description="Open it.")

    def told(*tools: ToolSpec) -> str:
        return TOY.decode(next_context(renderer, view(turn, tools=tools)).tolist())

    assert told(OPEN) == "Hm."
    assert told(SHUT) == "Hm.\n+ shut"
    assert told(OPEN, SHUT) == "Hm.\n+ shut"
    assert told(changed) == "Hm."


def test_siblings_share_their_context() -> None:
    model = agent(saying("open 1", "open 2", "open 3"))
    moves = [asyncio.run(model.act(view(seed=seed))) for seed in range(20)]
    assert len({tuple(move.context_ids) for move in moves}) == 1
    assert len({tuple(move.action_ids) for move in moves}) == 3
    again = [asyncio.run(model.act(view(seed=seed))) for seed in range(20)]
    assert [move.text for move in again] == [move.text for move in moves]


@pytest.mark.parametrize(
    ("own", "allowed", "context_size", "sampled_tokens"),
    [(4, 99, 4096, 4), (99, 3, 4096, 3), (99, 99, 13, 5), (99, 99, 9, 1), (99, 99, 4096, 7)],
)
def test_the_least_limit_holds(own: int, allowed: int, context_size: int, sampled_tokens: int) -> None:
    policy = saying("open 3", context_size=context_size)
    move = asyncio.run(agent(policy, max_tokens=own).act(view(max_tokens=allowed)))
    assert len(move.action_ids) == move.cost.decoded == sampled_tokens
    assert policy.requests[0].max_tokens == min(own, allowed, context_size - 8)


@pytest.mark.parametrize("context_size", [7, 8])
def test_a_prompt_without_room_is_refused(context_size: int) -> None:
    policy = saying("open 3", context_size=context_size)
    with pytest.raises(ContextExceeded, match=rf"after 0 turns.*8 tokens in a context of {context_size}"):
        asyncio.run(agent(policy).act(view()))
    assert not policy.requests


def test_a_cut_turn_that_means_nothing_says_that_it_was_cut() -> None:
    cut = asyncio.run(agent(saying("opening 3"), max_tokens=4).act(view()))
    assert cut.text == "open"
    assert cut.action == Action.call("open")
    cut = asyncio.run(agent(saying("opening 3"), max_tokens=6).act(view()))
    assert str(cut.action.error).endswith("(the turn was cut after 6 tokens)")
    whole = asyncio.run(agent(saying("opening 3")).act(view()))
    assert "was cut" not in str(whole.action.error)


def test_a_turn_without_tokens_cannot_be_gone_on_from() -> None:
    plain = Turn(0, 0, Actor.AGENT, "?", action=Action(message="hm"))
    with pytest.raises(ValueError, match=r"turn 1 \(agent\) has no tokens"):
        asyncio.run(agent(saying("open 3")).act(view(plain)))


def test_hidden_states_are_those_at_the_end_of_the_context() -> None:
    model = agent(saying("open 3", hidden_size=3))
    first = done(asyncio.run(model.act(view())), "Page 3.")
    later = asyncio.run(model.act(view(first)))
    encoded = asyncio.run(model.read([model.prompt(view()), model.prompt(view(first))]))
    assert later.hidden is not None
    assert [state.tolist() for state in encoded if state is not None][1] == later.hidden.tolist()


@pytest.mark.parametrize(
    ("max_tokens", "temperature", "top_p"), [(0, 1.0, 1.0), (1, -0.1, 1.0), (1, 1.0, 0.0), (1, 1.0, 1.1)]
)
def test_impossible_settings_are_refused(max_tokens: int, temperature: float, top_p: float) -> None:
    with pytest.raises(ValueError, match="must"):
        agent(saying("x"), max_tokens=max_tokens, temperature=temperature, top_p=top_p)


def test_a_forest_holds_well_formed_conversations() -> None:
    policy = saying("guess 5", "guess 3", "higher", "> please")
    model = agent(policy, max_tokens=6)
    tasks = GuessNumber.tasks(Split.TRAIN)[:4]

    async def play() -> Forest:
        async with Collector({"guess": GuessNumber}, model, Uniform(n=3)) as collector:
            return await collector.collect(0, tasks, Budget(trajectories=12))

    forest = asyncio.run(play())
    assert sum(len(tree.rollouts) for tree in forest.trees) == 12
    for tree in forest.trees:
        for node in range(1, len(tree.turns)):
            text, spoken = TOY.decode(tree.tokens(node).tolist()), []
            for turn in (tree.turns[n] for n in tree.path(node)):
                seen = tree.turns[turn.parent].observation
                assert TOY.decode(turn.context_ids.tolist()).removeprefix("<|im_end|>") == f"{seen}"
                spoken.append(f"{seen}{turn.text}")
            assert text.removesuffix("<|im_end|>") == "<|im_end|>".join(spoken)
            assert text.endswith("<|im_end|>") or len(tree.turns[node].action_ids) == 6
