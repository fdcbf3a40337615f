"""Probes of the checks: a reference solution must succeed, doing nothing must not, luck at most as declared,
and every check must tell something.

Each probe returns its evidence or raises Rejected.
"""

from __future__ import annotations

from collections.abc import Callable

from scipy.stats import binomtest

from trace_gym.core.action import Action
from trace_gym.core.check import Status
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.trial import Rejected, Seen, Subject, Wanderer, opened, play, stepped

SIGNIFICANCE = 0.001


def oracle_succeeds(subject: Subject) -> str:
    """From the start the oracle ends every sampled task with success; asking it changes nothing."""
    env, lengths, failures, without = subject.make(reward="outcome"), [], [], 0
    for task in subject.sampled():
        seen = [opened(env, task, 0)]
        stopped = _finish(env, seen)
        subject.ledger.note(task, seen)
        if stopped and len(seen) == 1:
            without += 1
        elif seen[-1].info["success"] is not True or seen[-1].reward != 1.0:
            failures.append(f"{task.key}: {_ending(seen, stopped)}")
        else:
            lengths.append(len(seen) - 1)
    if failures:
        raise Rejected(
            f"{len(failures)} of {len(subject.sampled())} tasks failed: " + " | ".join(failures[:3])
        )
    if not lengths:
        return "the suite declares no oracle"
    evidence = f"{len(lengths)} tasks solved in {min(lengths)} to {max(lengths)} turns"
    evidence += f", {without} have no oracle" if without else ""
    return f"{evidence}; after random turns it still solved {_recoveries(subject, env)}"


def noop_fails(subject: Subject) -> str:
    """Saying nothing, saying something and sending nonsense never succeed."""
    env, episodes = subject.make(), 0
    choosers: tuple[Callable[[AgenticEnv], object], ...] = (
        lambda _: Action(message=""),
        lambda _: Action(message="I do not know."),
        lambda _: Action(error="nothing was said"),
    )
    for task in subject.sampled():
        for choose in choosers:
            seen, _ = play(env, task, 0, choose)
            subject.ledger.note(task, seen)
            episodes += 1
            for turn, at in enumerate(seen):
                if at.info["success"] is True:
                    raise Rejected(f"{task.key} has succeeded in turn {turn} although nothing was done")
    env.close()
    return f"{episodes} episodes, none succeeded"


def random_within_chance(subject: Subject) -> str:
    """Random valid actions succeed no more often than the suite declares (one-sided binomial test)."""
    env, wins, count = subject.make(), 0, subject.plan.episodes
    declared = subject.suite.env_class.chance
    wanderer = Wanderer(subject.rng(6))
    for number, task in subject.cases(count):
        seen, _ = play(env, task, number, wanderer)
        subject.ledger.note(task, seen)
        wins += seen[-1].info["success"] is True
    env.close()
    p_value = float(binomtest(wins, count, declared, alternative="greater").pvalue)
    evidence = f"{wins} of {count} random episodes succeeded, declared chance {declared} (p = {p_value:.3g})"
    if p_value < SIGNIFICANCE:
        raise Rejected(f"{evidence}: raise `chance` or make success harder to hit")
    return evidence


def verdicts_speak(subject: Subject) -> str:
    """Over all play so far: names are unique and lasting, evidence is given, the end is decided."""
    if subject.ledger.problems:
        raise Rejected(" | ".join(subject.ledger.problems))
    return f"{len(subject.ledger.counts)} checks over {subject.ledger.turns} turns"


def no_vacuous_check(subject: Subject) -> str:
    """Over all play so far every required check has been seen not to pass."""
    counts, required = subject.ledger.counts, sorted(subject.ledger.required)
    vacuous = [name for name in required if set(counts[name]) == {Status.PASS}]
    if vacuous:
        raise Rejected(f"required checks that passed in every one of {subject.ledger.turns} turns: {vacuous}")
    return f"{len(required)} required checks, each has failed at least once"


def _finish(env: AgenticEnv, seen: list[Seen]) -> bool:
    """Let the oracle play to the end; True if it stopped before."""
    while not seen[-1].done:
        action = env.oracle()
        if action is None:
            return True
        if env.oracle() != action:
            raise Rejected(
                f"{env.task.key}: oracle() asked twice answers differently: asking must change nothing"
            )
        seen.append(stepped(env, action))
    return False


def _recoveries(subject: Subject, env: AgenticEnv) -> str:
    """How often the oracle still succeeds after a few random turns."""
    wins = asked = 0
    for number, task in subject.cases(2 * subject.plan.tasks):
        wanderer = Wanderer(subject.rng(7, number))
        seen = [opened(env, task, 0)]
        for _ in range(1 + number % 3):
            if not seen[-1].done:
                seen.append(stepped(env, wanderer(env)))
        if seen[-1].done:
            continue
        _finish(env, seen)
        subject.ledger.note(task, seen)
        asked += 1
        wins += seen[-1].info["success"] is True
    return f"{wins} of {asked}"


def _ending(seen: list[Seen], stopped: bool) -> str:
    """How an episode ended, with the checks that did not pass."""
    how = "the oracle stopped" if stopped else "terminated" if seen[-1].terminated else "out of turns"
    open_checks = [
        f"{v.name} {v.status} ({v.evidence})" for v in seen[-1].verdicts if v.status != Status.PASS
    ]
    unpaid = [] if seen[-1].reward == 1.0 else [f"reward {seen[-1].reward}"]
    return f"{how} after {len(seen) - 1} turns; {'; '.join([*open_checks, *unpaid])[:300]}"
