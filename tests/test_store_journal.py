"""The journal in a run file: exact, idempotent, and alive after `kill -9`."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import JournalDiverged
from trace_gym.core.journal import Journal
from trace_gym.core.scheduler import Candidate, EpisodeDone, Grant
from trace_gym.core.tokens import floats
from trace_gym.core.tree import Anchor, RolloutTree
from trace_gym.store import FILE, Store
from trace_gym.testing import check_journal, demand_same_tree, demand_same_turn, grow_tree, toy_task


def fresh(folder: Path) -> Store:
    return Store.create(folder, kind="train", config={})


def opened(folder: Path, *, grants: int = 1) -> Store:
    """A store whose step 0 has one candidate and some grants for it."""
    store, task = fresh(folder), toy_task()
    store.open_step(0, [Candidate(0, task.key, task.suite, task.family, 20)], [task])
    store.proposed(0, [Grant(number, Anchor(0), 1, "") for number in range(grants)])
    return store


def write(store: Store, tree: RolloutTree) -> None:
    store.planted(0, tree)
    for number in range(len(tree.rollouts)):
        store.started(0, tree, number)
    for node in range(1, len(tree.turns)):
        store.turned(0, tree, node)


@pytest.mark.parametrize("seed", range(3))
def test_it_keeps_the_journal_protocol(tmp_path: Path, seed: int) -> None:
    check_journal(lambda: fresh(tmp_path / "a"), seed=10 + seed)


@pytest.mark.parametrize("seed", range(2))
def test_it_keeps_the_journal_protocol_across_reopening(tmp_path: Path, seed: int) -> None:
    def reopen(journal: Journal) -> Store:
        assert isinstance(journal, Store)
        journal.close()
        return Store.open(journal.folder)

    check_journal(lambda: fresh(tmp_path / "a"), reopen=reopen, seed=seed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(), JSON, max_size=3)
CALLS = st.lists(st.builds(ToolCall, st.text(), ARGUMENTS), min_size=1, max_size=3).map(tuple)
ACTIONS = st.one_of(
    st.none(),
    st.builds(Action, CALLS, st.none() | st.text(), st.none() | st.text()),
    st.builds(Action, message=st.text()),
    st.builds(Action, error=st.text()),
)
VERDICTS = st.builds(
    Verdict,
    st.text(),
    st.sampled_from(Status),
    st.floats(0, 1),
    st.text(),
    st.floats(0, 1e300),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_turn_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = st.text(st.characters())
    numbers = st.lists(st.floats(width=32), min_size=3, max_size=3)
    tree = grow_tree("0 3 .")
    tree.turns[1] = replace(
        tree.turns[1],
        observation=data.draw(text),
        text=data.draw(text),
        digest=data.draw(text),
        action=data.draw(ACTIONS),
        verdicts=tuple(data.draw(st.lists(VERDICTS, max_size=3))),
        logprobs=floats(data.draw(numbers)),
        hidden=floats(data.draw(numbers)),
        reward=data.draw(st.floats(allow_nan=False)),
        policy_version=data.draw(st.none() | st.integers(0, 2**40)),
    )
    with opened(tmp_path_factory.mktemp("run") / "a") as store:
        write(store, tree)
        found = store.tree(0, 0).turns[1]
    for name in ("logprobs", "hidden"):
        mine, other = getattr(found, name), getattr(tree.turns[1], name)
        assert mine.tobytes() == other.tobytes()
    demand_same_turn(
        replace(found, logprobs=floats([0] * 3), hidden=None),
        replace(tree.turns[1], logprobs=floats([0] * 3), hidden=None),
    )


def test_float16_halves_hidden_states_and_none_drops_them(tmp_path: Path) -> None:
    state = floats([0.1, -2.0, 1e6])
    tree = grow_tree("0 1 .")
    tree.turns[1] = replace(tree.turns[1], hidden=state)
    found = {}
    for kept in ("float16", "none"):
        store, task = Store.create(tmp_path / kept, kind="train", config={}, hidden=kept), tree.task
        with store:
            store.open_step(0, [Candidate(0, task.key, task.suite, task.family, 20)], [task])
            store.proposed(0, [Grant(0, Anchor(0), 1, "")])
            write(store, tree)
        with Store.open(tmp_path / kept) as again:
            found[kept] = again.tree(0, 0).turns[1].hidden
    assert found["none"] is None
    assert found["float16"] is not None
    np.testing.assert_array_equal(
        found["float16"], np.array([0.1, -2.0, 65504.0], np.float16).astype(np.float32)
    )


def test_siblings_share_the_context_they_have_in_common(tmp_path: Path) -> None:
    long = grow_tree(*["0 1 ."] * 20, context=20_000)
    with opened(tmp_path / "a", grants=20) as store:
        write(store, long)
        demand_same_tree(store.tree(0, 0), long)
        shared = {id(turn.context_ids) for turn in store.tree(0, 0).turns[1:]}
    assert len(shared) == 1
    assert (tmp_path / "a" / FILE).stat().st_size < 400_000


def test_siblings_with_contexts_of_their_own_keep_them(tmp_path: Path) -> None:
    tree = grow_tree("0 1 .", "0 1 .", "0 1 .")
    tree.turns[2] = replace(tree.turns[2], context_ids=grow_tree("0 1 .", context=3).turns[1].context_ids)
    with opened(tmp_path / "a", grants=3) as store:
        write(store, tree)
        demand_same_tree(store.tree(0, 0), tree)


def test_a_turn_may_be_written_again_with_another_cost_only(tmp_path: Path) -> None:
    tree = grow_tree("0 1 .")
    with opened(tmp_path / "a") as store:
        write(store, tree)
        slower = replace(tree.turns[0], cost=replace(tree.turns[0].cost, env_seconds=9.0))
        store.planted(0, replace(tree, turns=[slower, *tree.turns[1:]]))
        other = replace(tree.turns[0], digest="another")
        with pytest.raises(JournalDiverged, match="node 0 of tree 0, step 0"):
            store.planted(0, replace(tree, turns=[other, *tree.turns[1:]]))
        demand_same_tree(store.tree(0, 0), tree)


def test_a_step_in_which_nothing_was_granted_can_be_taken_back_and_no_other(tmp_path: Path) -> None:
    with opened(tmp_path / "a", grants=0) as store:
        assert [record.step for record in store.steps()] == [0]
        store.withdraw_step(0)
        assert store.steps() == []
        assert store.recover(0) is None
        store.withdraw_step(0)
    with opened(tmp_path / "b") as store:
        with pytest.raises(ValueError, match="withdrawal of step 0 does not fit"):
            store.withdraw_step(0)
        known = store.recover(0)
        assert known is not None
        assert (len(known.pool), len(known.grants)) == (1, 1)


def test_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as store:
        twice = [Grant(1, Anchor(0), 1, ""), Grant(1, Anchor(0), 2, "")]
        with pytest.raises(ValueError, match="does not fit what was recorded before"):
            store.observed(0, EpisodeDone(0, 0), twice)
        known = store.recover(0)
        assert known is not None
        assert known.events == ()
        store.observed(0, EpisodeDone(0, 0), twice[:1])


WRITER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from trace_gym.core.scheduler import Candidate, Grant
from trace_gym.core.tree import Anchor, RolloutTree
from trace_gym.core.episode import StopReason
from trace_gym.store import Store
from trace_gym.testing import grow_tree, toy_task

folder, task = Path(sys.argv[1]), toy_task()
store = Store.open(folder) if folder.exists() else Store.create(folder, kind="train", config={})
known = store.recover(0)
if known is None:
    store.open_step(0, [Candidate(0, task.key, task.suite, task.family, 10**6)], [task])
if known is None or not known.grants:
    store.proposed(0, [Grant(0, Anchor(0), 10**6, "")])
tree = known.trees[0] if known and known.trees else grow_tree(task=task)
model = grow_tree("0 20 .", context=100).turns[1]
store.planted(0, tree)
while True:
    running = [n for n, rollout in enumerate(tree.rollouts) if rollout.stop is None]
    number = running[0] if running else tree.start(grant=0, anchor=0)
    store.started(0, tree, number)
    for _ in range(5):
        place = {"parent": tree.rollouts[number].tip, "rollout": number}
        turn = replace(model, **place, digest=f"turn {len(tree.turns)}")
        node = tree.append(turn)
        store.turned(0, tree, node)
        os.write(1, f"{node}\\n".encode())
    tree.stop(number, StopReason.MAX_TURNS)
    store.stopped(0, tree, number)
"""


def test_kill_9_takes_back_no_finished_turn(tmp_path: Path) -> None:
    rng, told = random.Random(0), 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(1, 400)):
                told = int(child.stdout.readline())
            with Store.open(tmp_path / "a", read_only=True) as viewer:
                assert len(viewer.tree(0, 0).turns) > told
            os.kill(child.pid, signal.SIGKILL)
            told = max([told, *map(int, child.stdout.read().decode().split("\n")[:-1])])
        with Store.open(tmp_path / "a") as store:
            tree = store.tree(0, 0)
            assert len(tree.turns) - 1 in (told, told + 1)
            assert [turn.digest for turn in tree.turns[1:]] == [
                f"turn {n}" for n in range(1, len(tree.turns))
            ]
            assert sum(rollout.stop is None for rollout in tree.rollouts) <= 1
            assert store.cost() == tree.cost
    assert told > 100
