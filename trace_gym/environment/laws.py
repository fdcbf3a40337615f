"""Laws of motion that certification puts to the test: the same seed gives the same episode, a fork runs on as
the straight run did, children of one snapshot never see each other, and no action breaks the environment.

Each law returns its evidence or raises Rejected. Leaves out what tasks and checks must be like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.errors import EnvironmentFailed
from trace_gym.core.task import Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.fork import Snapshot, Strategy
from trace_gym.environment.fuzz import Fuzzer
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.toolbox import brief
from trace_gym.environment.trial import (
    Rejected,
    Seen,
    Subject,
    Wanderer,
    difference,
    follow,
    opened,
    play,
    stepped,
)

CHILDREN = 4
FAMILIES = 8


def same_episode(subject: Subject) -> str:
    """Same task, seed and actions: the same episode, whatever the environment has played before."""
    env, played = subject.make(), list[tuple[int, Task, list[Seen], list[object]]]()
    for number, task in enumerate(subject.sampled()):
        seen, actions = play(env, task, number, Wanderer(subject.rng(1, number), oracle=0.4, nonsense=0.1))
        subject.ledger.note(task, seen)
        played.append((number, task, seen, actions))
    env.close()
    env, turns = subject.make(), 0
    for number, task, seen, actions in reversed(played):
        found = difference(seen, [opened(env, task, number), *follow(env, actions)])
        if found:
            raise Rejected(f"{task.key}, seed {number}, played twice: {found}")
        turns += len(seen)
    env.close()
    return f"{len(played)} episodes played twice, {turns} turns compared"


def fork(subject: Subject, strategy: Strategy) -> str:
    """Continuing a fork is indistinguishable from having run straight on.

    From each snapshot: the parent plays on, then the parent and another environment are restored and play the
    same actions, the other one twice. Observations, verdicts, rewards, digests, tools and the oracle's choice
    must agree with the straight run.
    """
    parent, other, turns = subject.make(), subject.make(), 0
    for number, task in subject.cases(subject.plan.forks):
        rng = subject.rng(2, number)
        seen, actions = play(parent, task, number, Wanderer(rng, oracle=0.5, nonsense=0.1))
        subject.ledger.note(task, seen)
        point = int(rng.integers(len(actions)))
        opened(parent, task, number)
        follow(parent, actions[:point])
        choice, snapshot = parent.oracle(), parent.snapshot(strategy)
        straight, rest = seen[point + 1 :], actions[point:]
        found = difference(straight, follow(parent, rest), first_turn=point + 1)
        if found:
            raise Rejected(f"{task.key}: taking a snapshot after turn {point} changed the episode: {found}")
        for child, name in (
            (parent, "the parent"),
            (other, "another environment"),
            (other, "a second child"),
        ):
            child.restore(snapshot)
            found = _misplaced(child, seen[point], choice)
            found = found or difference(straight, follow(child, rest), first_turn=point + 1)
            if found:
                raise Rejected(f"{task.key}: forked after turn {point} into {name}: {found}{_hint(strategy)}")
            turns += len(rest)
        snapshot.close()
    parent.close()
    other.close()
    return f"{subject.plan.forks} fork points, {turns} turns compared"


def parallel_children(subject: Subject) -> str:
    """Children of one snapshot on threads of their own play as they would alone."""
    parent, families = subject.make(), min(FAMILIES, subject.plan.forks)
    for number, task in subject.cases(families):
        rng = subject.rng(3, number)
        seen, actions = play(parent, task, number, Wanderer(rng, oracle=0.5))
        opened(parent, task, number)
        follow(parent, actions[: int(rng.integers(len(seen) - 1))])
        snapshot = parent.snapshot()
        seeds = range(CHILDREN)
        with ThreadPoolExecutor(CHILDREN) as pool:
            together = list(pool.map(lambda child, s=snapshot, n=number: _child(subject, s, n, child), seeds))
        for child, was in enumerate(together):
            found = difference(_child(subject, snapshot, number, child), was, first_turn=snapshot.turn + 1)
            if found:
                raise Rejected(f"{task.key}: child {child} of turn {snapshot.turn} saw its siblings: {found}")
        snapshot.close()
    parent.close()
    return f"{families} snapshots, {CHILDREN} children each"


def survives_fuzz(subject: Subject) -> str:
    """No action raises; every answer is text that can be encoded."""
    rng = subject.rng(4)
    cases = subject.cases(subject.plan.fuzz + 1)
    env, kinds = subject.make(), Counter[str]()
    fuzzers: dict[tuple[str, ...], tuple[tuple[ToolSpec, ...], Fuzzer]] = {}
    episode: list[Seen] = []
    task: Task | None = None
    for _ in range(subject.plan.fuzz):
        if task is None or episode[-1].done:
            _note(subject, task, episode)
            number, task = next(cases)
            episode = [opened(env, task, number)]
        tools = episode[-1].tools
        names = tuple(tool.name for tool in tools)
        if names not in fuzzers or fuzzers[names][0] != tools:
            fuzzers[names] = (tools, Fuzzer(ActionSpace(tools, seed=rng)))
        kind, action = fuzzers[names][1].draw()
        kinds[kind] += 1
        try:
            episode.append(stepped(env, action))
            episode[-1].observation.encode()
        except (EnvironmentFailed, UnicodeEncodeError) as error:
            shown = f"{kind}: {brief(Action.parse(action))}"
            raise Rejected(
                f"{task.key}, turn {len(episode)}: this action ({shown}) broke it: {error}"
            ) from error
    _note(subject, task, episode)
    env.close()
    return f"{subject.plan.fuzz} actions of {len(kinds)} kinds, no exception"


def _note(subject: Subject, task: Task | None, episode: Sequence[Seen]) -> None:
    if task is not None:
        subject.ledger.note(task, episode)


def _child(subject: Subject, snapshot: Snapshot, number: int, child: int) -> list[Seen]:
    """A child of its own: made, restored and played on the calling thread."""
    env = subject.make()
    env.restore(snapshot)
    wanderer, seen = Wanderer(subject.rng(5, number, child), oracle=0.3), list[Seen]()
    while not seen or not seen[-1].done:
        seen.append(stepped(env, wanderer(env)))
    env.close()
    return seen


def _misplaced(child: AgenticEnv, at: Seen, choice: Action | None) -> str | None:
    """What tells a restored environment from the one that was left there."""
    if tuple(child.available()) != at.tools:
        return "other tools are available"
    if child.oracle() != choice:
        return f"the oracle now says {child.oracle()}, said {choice}"
    return None


def _hint(strategy: Strategy) -> str:
    if strategy == "replay":
        return ""
    return (
        '. Does everything that changes live in self.state and self.np_random? Else declare fork = "replay"'
    )
