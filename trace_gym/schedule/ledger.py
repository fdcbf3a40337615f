"""The books of one step: which rollouts were granted, how each ended, and what was promised of them.

Leaves out every decision: it numbers grants, refuses to over-spend, and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from trace_gym.core.scheduler import Grant
from trace_gym.core.targets import played
from trace_gym.core.tree import Anchor, RolloutTree
from trace_gym.schedule.rule import Standing


class Stage(StrEnum):
    """ROOT: a stage-1 root. FORK: a continuation from a prefix. FRESH: a continuation that found no prefix
    and became one more root."""

    ROOT = "root"
    FORK = "fork"
    FRESH = "fresh"


@dataclass(slots=True)
class Account:
    """One grant and what became of it. `depth` is its anchor's; `promised` the contrast predicted for it;
    `before` the outcome that a fork is meant to flip; `outcomes` those known so far. `tokens` is what one of
    its rollouts was expected to sample, `sampled` what those that ended did."""

    grant: Grant
    stage: Stage
    depth: int
    promised: float | None
    before: bool | None
    running: int
    tokens: float | None = None
    sampled: int = 0
    failed: int = 0
    outcomes: list[bool] = field(default_factory=list)

    @property
    def flipped(self) -> bool | None:
        """Did a continuation flip the outcome? None where nothing is known, and for continuations of the bare
        prompt, which have no outcome to flip."""
        if not self.outcomes or self.before is None:
            return None
        return (not self.before) in self.outcomes


class Ledger:
    """Lifecycle: made when a step opens, dropped when it closes. Invariant: no more is granted than
    `allowance` (None: no limit), and every rollout granted is settled once. `granted` counts rollouts, those
    that failed included, `running` those that have not ended, `roots` those of stage 1; `standings` has an
    entry for every prompt with roots."""

    def __init__(self, allowance: int | None, *, candidates: int) -> None:
        self._allowance = allowance
        self._candidates = candidates
        self._accounts: list[Account] = []
        self.standings: dict[int, Standing] = {}
        self._live: Counter[int] = Counter()
        self._forked: Counter[int] = Counter()
        self.granted = 0
        self.running = 0
        self.roots = 0

    def grant(
        self,
        anchor: Anchor,
        count: int,
        *,
        stage: Stage,
        reason: str,
        propensity: float = 1.0,
        depth: int = 0,
        promised: float | None = None,
        before: bool | None = None,
        tokens: float | None = None,
    ) -> Grant:
        """Number a grant and enter it. ValueError where it would exceed the allowance."""
        if self._allowance is not None and self.granted + count > self._allowance:
            raise ValueError(
                f"a rule asked for {self.granted + count} trajectories, the step has {self._allowance}"
            )
        grant = Grant(len(self._accounts), anchor, count, reason, propensity)
        self._accounts.append(Account(grant, stage, depth, promised, before, running=count, tokens=tokens))
        self.granted += count
        self.running += count
        self._live[anchor.tree] += count
        if stage is Stage.ROOT:
            self.roots += count
            standing = self.standings.setdefault(anchor.tree, Standing())
            standing.granted += count
            standing.running += count
            standing.rounds += 1
        else:
            self._forked[anchor.tree] += count
        return grant

    def settle(self, number: int, outcome: bool | None, *, failed: bool = False, tokens: int = 0) -> Account:
        """Enter the end of one rollout of a grant. ValueError where the grant has none left to end."""
        if not 0 <= number < len(self._accounts) or not self._accounts[number].running:
            raise ValueError(f"grant {number} has no rollout that could end")
        account = self._accounts[number]
        account.running -= 1
        self.running -= 1
        account.failed += failed
        account.sampled += tokens
        if outcome is not None:
            account.outcomes.append(outcome)
        self._live[account.grant.anchor.tree] -= 1
        if account.stage is Stage.ROOT:
            standing = self.standings[account.grant.anchor.tree]
            standing.running -= 1
            standing.wins += outcome is True
            standing.losses += outcome is False
        return account

    def live(self, tree: int) -> int:
        """How many rollouts of a prompt, of whatever stage, have not ended."""
        return self._live[tree]

    def forked(self, tree: int) -> int:
        """How many continuations a prompt was granted, fresh roots included."""
        return self._forked[tree]

    def metrics(self, *, per_root: int) -> dict[str, float]:
        """Counts of rollouts granted by stage, and contrast as promised and as found.

        `unspent`: trajectories of the step that no grant used (without a limit: of the roots granted and
        their `per_root` continuations). `roots_contrast`: share of prompts whose stage-1 roots hold both
        outcomes; `forks_contrast`: share of forked prefixes where a continuation flipped the outcome; under
        `..._predicted` the mean of what was predicted where a prediction was made. `roots_tokens` and
        `forks_tokens`: sampled tokens a rollout that ended, and under `..._predicted` what was predicted.
        What is not known is left out.
        """
        allowance = self.roots * (1 + per_root) if self._allowance is None else self._allowance
        depths = Counter[int]()
        for account in self._of(Stage.FORK):
            depths[account.depth] += account.grant.count
        return {
            "candidates": float(self._candidates),
            "prompts_filtered": float(self._candidates - len(self.standings)),
            "roots": float(self.roots),
            "forks": float(self._count(Stage.FORK)),
            "fresh_roots": float(self._count(Stage.FRESH)),
            "failed": float(sum(account.failed for account in self._accounts)),
            "unspent": float(allowance - self.granted),
            **{f"forks_at_{depth}": float(depths[depth]) for depth in sorted(depths)},
            **_contrast("roots_contrast", self._root_promises()),
            **_contrast("forks_contrast", [(a.promised, a.flipped) for a in self._of(Stage.FORK)]),
            **self._tokens(Stage.ROOT, "roots_tokens"),
            **self._tokens(Stage.FORK, "forks_tokens"),
        }

    def _of(self, stage: Stage) -> Iterator[Account]:
        return (account for account in self._accounts if account.stage is stage)

    def _count(self, stage: Stage) -> int:
        return sum(account.grant.count for account in self._of(stage))

    def _root_promises(self) -> list[tuple[float | None, bool | None]]:
        """For every prompt, the contrast promised of its roots, all grants together, and whether it came."""
        promised: dict[int, float] = {}
        for account in self._of(Stage.ROOT):
            tree = account.grant.anchor.tree
            if account.promised is not None:
                promised[tree] = min(1.0, promised.get(tree, 0.0) + account.promised)
        known = ((tree, s.mixed if s.wins or s.losses else None) for tree, s in self.standings.items())
        return [(promised.get(tree), mixed) for tree, mixed in known]

    def _tokens(self, stage: Stage, name: str) -> dict[str, float]:
        ended = [(a, a.grant.count - a.running - a.failed) for a in self._of(stage)]
        count = sum(n for _, n in ended)
        if not count:
            return {}
        found = {name: sum(a.sampled for a, _ in ended) / count}
        told = [(a.tokens, n) for a, n in ended if a.tokens is not None and n]
        if told:
            found[f"{name}_predicted"] = sum(t * n for t, n in told) / sum(n for _, n in told)
        return found


def _contrast(name: str, pairs: Sequence[tuple[float | None, bool | None]]) -> dict[str, float]:
    known = [(promised, float(found)) for promised, found in pairs if found is not None]
    told = [promised for promised, _ in known if promised is not None]
    found = {name: float(np.mean([found for _, found in known]))} if known else {}
    return found | ({f"{name}_predicted": float(np.mean(told))} if told else {})


def decoded(tree: RolloutTree, rollout: int) -> int:
    """How many tokens a rollout sampled itself."""
    return sum(tree.turns[node].cost.decoded for node in played(tree, rollout)[1:])
