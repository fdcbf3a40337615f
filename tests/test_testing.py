"""The fakes that are shipped: what they promise to whoever tests against them."""

import asyncio
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.action import Action
from trace_gym.core.agent import View
from trace_gym.core.budget import Cost
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.errors import ContextExceeded, JournalDiverged, ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.scheduler import Candidate, EpisodeDone, Grant
from trace_gym.core.tokens import ids
from trace_gym.core.tree import Anchor
from trace_gym.testing import (
    Crashed,
    CrashingJournal,
    MemoryJournal,
    ScriptedAgent,
    ScriptedPolicy,
    ToyTokenizer,
    demand_same_tree,
    grow_forest,
    grow_tree,
    toy_task,
)

END = 256


def ask(
    policy: ScriptedPolicy,
    seed: int = 0,
    max_tokens: int = 8,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> Completion:
    request = SampleRequest(ids([65]), max_tokens, seed, (END,), temperature, top_p)
    return asyncio.run(policy.sample(request))


def texts(
    policy: ScriptedPolicy, count: int, *, temperature: float = 1.0, top_p: float = 1.0
) -> Counter[str]:
    decode = ToyTokenizer().decode
    said = (ask(policy, seed, temperature=temperature, top_p=top_p) for seed in range(count))
    return Counter(decode(completion.token_ids.tolist()).removesuffix("<|end|>") for completion in said)


@given(st.text())
def test_the_toy_tokenizer_spells_any_text_without_control_tokens(text: str) -> None:
    tokenizer = ToyTokenizer()
    spelled = tokenizer.encode(text)
    assert all(0 <= token < 256 for token in spelled)
    assert tokenizer.decode(spelled) == text


def test_control_tokens_are_ids_of_their_own() -> None:
    tokenizer = ToyTokenizer()
    assert [tokenizer.control(name) for name in ("<|end|>", "<|im_start|>", "<|im_end|>")] == [256, 257, 258]
    assert (tokenizer.eos_id, tokenizer.vocab_size) == (256, 259)
    assert tokenizer.decode([104, 105, 258, 0xC3, 256]) == "hi<|im_end|>\ufffd<|end|>"
    assert 258 not in tokenizer.encode("<|im_end|>")
    with pytest.raises(ValueError, match="no control token '<pad>'"):
        tokenizer.control("<pad>")
    with pytest.raises(ValueError, match="all different"):
        ToyTokenizer(["<a>", "<a>"])


def test_log_probs_are_those_of_the_tokens_given_what_was_said_before() -> None:
    policy = ScriptedPolicy(lambda prompt: {"ab": 3.0, "ac": 1.0, "d": 4.0})
    said = {tuple(c.token_ids.tolist()): c for c in (ask(policy, seed) for seed in range(40))}
    golden = {(97, 98, END): [0.5, 0.75, 1.0], (97, 99, END): [0.5, 0.25, 1.0], (100, END): [0.5, 1.0]}
    assert said.keys() == golden.keys()
    for tokens, chances in golden.items():
        np.testing.assert_allclose(np.exp(said[tokens].logprobs), chances, rtol=1e-6)
    two = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    np.testing.assert_allclose(said[97, 98, END].entropy, [math.log(2), two, 0.0], rtol=1e-6)


def test_the_seed_alone_decides_and_shares_are_kept() -> None:
    policy = ScriptedPolicy(lambda prompt: {"yes": 3.0, "no": 1.0})
    assert ask(policy, 7).token_ids.tolist() == ask(policy, 7).token_ids.tolist()
    assert 240 <= texts(policy, 360)["yes"] <= 300
    assert 300 <= texts(policy, 360, temperature=0.5)["yes"] <= 345
    assert texts(policy, 50, temperature=0.0) == {"yes": 50}
    assert texts(policy, 50, top_p=0.7) == {"yes": 50}
    assert texts(policy, 200, top_p=0.8).keys() == {"yes", "no"}


def test_the_rule_reads_the_prompt() -> None:
    policy = ScriptedPolicy(lambda prompt: {prompt.upper(): 1.0})
    request = SampleRequest(ids(list(b"echo")), 8, 0, (END,))
    assert asyncio.run(policy.sample(request)).token_ids.tolist() == [*b"ECHO", END]
    assert policy.requests == [request]


def test_completions_end_where_they_must() -> None:
    policy = ScriptedPolicy.saying("long")
    assert (ask(policy, max_tokens=5).finish, ask(policy, max_tokens=4).finish) == (
        Finish.STOP,
        Finish.LENGTH,
    )
    endless = asyncio.run(policy.sample(SampleRequest(ids([1]), 6, 0)))
    assert endless.token_ids.tolist() == [*b"long", END, END]
    assert (endless.finish, endless.logprobs.tolist()) == (Finish.LENGTH, [0.0] * 6)
    inner = asyncio.run(policy.sample(SampleRequest(ids([1]), 6, 0, stop_ids=(END, ord("n")))))
    assert (inner.token_ids.tolist(), inner.finish) == (list(b"lon"), Finish.STOP)


def test_the_context_is_finite_and_closing_is_final() -> None:
    policy = ScriptedPolicy(lambda prompt: {"abc": 1.0}, context_size=4)
    near = asyncio.run(policy.sample(SampleRequest(ids([1, 2]), 8, 0, (END,))))
    assert (near.token_ids.tolist(), near.finish) == ([97, 98], Finish.LENGTH)
    with pytest.raises(ContextExceeded, match="4 tokens leaves no room in 4"):
        asyncio.run(policy.sample(SampleRequest(ids([1, 2, 3, 4]), 1, 0)))
    policy.close()
    with pytest.raises(ModelFailed, match="closed"):
        ask(policy)


def test_loading_changes_the_version_of_what_is_said_next() -> None:
    policy = ScriptedPolicy.saying("a")
    asyncio.run(policy.load(Checkpoint(Path("unused"), 5)))
    assert (policy.version, ask(policy).version) == (5, 5)


def test_hidden_states_belong_to_the_prompt() -> None:
    policy = ScriptedPolicy(lambda prompt: {"a": 1.0}, hidden_size=3)
    one, two, again = asyncio.run(policy.encode([ids([1, 2]), ids([2, 1]), ids([1, 2])]))
    assert one is not None
    assert two is not None
    assert one.shape == (3,)
    assert one.tolist() == again.tolist() != two.tolist()  # type: ignore[union-attr]
    sampled = asyncio.run(policy.sample(SampleRequest(ids([1, 2]), 1, 0))).hidden
    assert sampled is not None
    assert sampled.tolist() == one.tolist()
    assert asyncio.run(ScriptedPolicy.saying("a").encode([ids([1])])) == [None]


def test_yields_decide_who_answers_first() -> None:
    order: list[int] = []

    async def ask_both() -> None:
        policy = ScriptedPolicy(lambda prompt: {"a": 1.0}, yields=lambda request: 5 - request.seed)

        async def one(seed: int) -> None:
            await policy.sample(SampleRequest(ids([1]), 4, seed, (END,)))
            order.append(seed)

        await asyncio.gather(*map(one, range(4)))

    asyncio.run(ask_both())
    assert order == [3, 2, 1, 0]


def view(turns: int) -> View:
    return View("toy", tuple(grow_tree("0 1 1 1 .").turns[:turns]), (), (), seed=0, max_tokens=12)


def test_a_scripted_agent_plays_its_turns_and_repeats_the_last() -> None:
    agent = ScriptedAgent.playing([Action.call("a"), Action.call("b")])
    moves = [asyncio.run(agent.act(view(turns))) for turns in (1, 2, 3)]
    assert [move.action for move in moves] == [Action.call("a"), Action.call("b"), Action.call("b")]
    assert {move.actor for move in moves} == {Actor.AGENT}
    assert not agent.trainable
    assert [len(seen.turns) for seen in agent.views] == [1, 2, 3]


def test_a_trainable_scripted_agent_spells_its_moves() -> None:
    agent = ScriptedAgent(lambda seen: Action.call("go"), trainable=True, policy_version=3)
    move = asyncio.run(agent.act(view(2)))
    assert (move.actor, move.policy_version) == (Actor.POLICY, 3)
    assert ToyTokenizer().decode(move.context_ids.tolist()) == "observation 1"
    assert ToyTokenizer().decode(move.action_ids.tolist()) == json.dumps(Action.call("go").json())[:12]
    np.testing.assert_allclose(move.logprobs, [-math.log(2)] * 12, rtol=1e-6)
    assert move.cost == Cost(fresh=13, decoded=12)


def test_a_tree_grows_as_it_is_written() -> None:
    tree = grow_tree("0 3 2 +", "0 4 >", "1 1 !", "3 ?", "1 2 .", index=4, hidden=2)
    assert [turn.parent for turn in tree.turns] == [-1, 0, 1, 0, 1, 1]
    assert [len(turn.action_ids) for turn in tree.turns] == [0, 3, 2, 4, 1, 2]
    assert [r.stop for r in tree.rollouts] == [
        StopReason.TERMINATED,
        StopReason.MAX_TURNS,
        StopReason.INVALID,
        StopReason.CENSORED,
        None,
    ]
    assert [(turn.terminated, turn.truncated) for turn in tree.turns[2:4]] == [(True, False), (False, True)]
    assert tree.outcomes() == {2: 1.0, 3: 0.0}
    assert tree.turns[1].context_ids.tolist() == tree.turns[3].context_ids.tolist()
    assert tree.turns[1].context_ids.tolist() != tree.turns[2].context_ids.tolist()
    assert tree.turns[1].hidden.tolist() == tree.turns[3].hidden.tolist()  # type: ignore[union-attr]
    assert tree.cost == Cost(2, 10, 0, 12, 5, model_seconds=1.25, env_seconds=0.625)
    assert (tree.index, tree.task) == (4, toy_task(4))
    with pytest.raises(ValueError, match=r"must end with one of \+ - > # \$ / \* \? x !"):
        grow_tree("0 3 %")


def test_a_forest_grows_in_order() -> None:
    forest = grow_forest(["0 1 +", "0 1 -"], ["0 1 -"], step=6)
    assert (forest.step, [tree.index for tree in forest.trees]) == (6, [0, 1])
    assert forest.effective_ratio() == 0.5


def test_trees_that_differ_are_told_apart() -> None:
    tree = grow_tree("0 2 1 +", "1 1 -")
    demand_same_tree(tree, grow_tree("0 2 1 +", "1 1 -"))
    for other in (["0 2 1 +", "1 1 +"], ["0 2 1 +", "0 1 -"], ["0 2 2 +", "1 1 -"], ["0 2 1 +"]):
        with pytest.raises(AssertionError, match="tree 0"):
            demand_same_tree(tree, grow_tree(*other))


def write_step(journal: MemoryJournal | CrashingJournal) -> None:
    """Seven writes."""
    tree, task = grow_tree("0 1 +"), toy_task()
    journal.open_step(0, [Candidate(0, task.key, task.suite, task.family, 20)], [task])
    journal.proposed(0, [Grant(0, Anchor(0), 1, "")])
    journal.planted(0, tree)
    journal.started(0, tree, 0)
    journal.turned(0, tree, 1)
    journal.stopped(0, tree, 0)
    journal.observed(0, EpisodeDone(0, 0), [])
    journal.close_step(0, {})


def test_a_crashing_journal_only_counts_unless_told_where() -> None:
    journal = CrashingJournal(MemoryJournal())
    write_step(journal)
    assert (journal.calls, journal.crashed) == (8, False)
    with pytest.raises(ValueError, match="counted from 1"):
        CrashingJournal(MemoryJournal(), at=0)


@pytest.mark.parametrize("at", range(1, 9))
def test_a_crash_comes_before_or_after_its_write_and_stays(at: int) -> None:
    after, before = MemoryJournal(), MemoryJournal()
    for inner, early in ((after, False), (before, True)):
        journal = CrashingJournal(inner, at=at, before=early)
        with pytest.raises(Crashed):
            write_step(journal)
        assert journal.calls == at
        with pytest.raises(Crashed):
            journal.close_step(0, {})
        with pytest.raises(Crashed):
            journal.recover(0)
    if at == 1:
        assert before.recover(0) is None
        return
    late, early_ = after.recover(0), before.recover(0)
    assert late is not None
    assert early_ is not None
    what = {2: "grants", 7: "events"}.get(at)
    if what:
        assert (len(getattr(early_, what)), len(getattr(late, what))) == (0, 1)
    if at == 5:
        assert [len(known.trees[0].turns) for known in (early_, late)] == [1, 2]
    if at == 6:
        assert [known.trees[0].rollouts[0].stop for known in (early_, late)] == [None, StopReason.TERMINATED]


def test_a_journal_in_memory_keeps_metrics_and_notices_contradictions() -> None:
    journal = MemoryJournal()
    write_step(journal)
    assert journal.metrics(0) == {}
    with pytest.raises(JournalDiverged, match="differently: node 1 of tree 0: action_ids"):
        journal.turned(0, grow_tree("0 2 +"), 1)
