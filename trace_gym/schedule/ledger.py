"""The books of one step: which rollouts were granted, how each ended, and what was promised of them.

Leaves out every decision: it numbers grants, refuses to over-spend, and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from trace_gym.core.scheduler import Grant
from trace_gym.core.tree import Anchor


class Stage(StrEnum):
    """ROOT: a stage-1 root. FORK: a continuation from a prefix. FRESH: a continuation that found no prefix
    and became one more root."""

    ROOT = "root"
    FORK = "fork"
    FRESH = "fresh"


@dataclass(slots=True)
class Account:
    """One grant and what became of it. `depth` is its anchor's; `promised` the contrast predicted for it;
    `before` the outcome that a fork is meant to flip; `outcomes` those known so far."""

    grant: Grant
    stage: Stage
    depth: int
    promised: float | None
    before: bool | None
    running: int
    failed: int = 0
    outcomes: list[bool] = field(default_factory=list)

    @property
    def contrast(self) -> bool | None:
        """Was the promise kept: are the roots mixed, did a continuation flip? None where nothing is known,
        and for continuations of the bare prompt, which have no outcome to flip."""
        if not self.outcomes or (self.stage is Stage.FORK and self.before is None):
            return None
        seen = set(self.outcomes)
        return len(seen) == 2 if self.before is None else (not self.before) in seen


class Ledger:
    """Lifecycle: made when a step opens, dropped when it closes. Invariant: no more is granted than
    `allowance` (None: no limit), and every rollout granted is settled once."""

    def __init__(self, allowance: int | None, *, candidates: int) -> None:
        self._allowance = allowance
        self._candidates = candidates
        self._accounts: list[Account] = []
        self._waiting: Counter[int] = Counter()

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
    ) -> Grant:
        """Number a grant and enter it. ValueError where it would exceed the allowance."""
        if self._allowance is not None and self.granted + count > self._allowance:
            raise ValueError(
                f"a rule asked for {self.granted + count} trajectories, the step has {self._allowance}"
            )
        grant = Grant(len(self._accounts), anchor, count, reason, propensity)
        self._accounts.append(Account(grant, stage, depth, promised, before, running=count))
        if stage is Stage.ROOT:
            self._waiting[anchor.tree] += count
        return grant

    def settle(self, number: int, outcome: bool | None, *, failed: bool = False) -> Account:
        """Enter the end of one rollout of a grant. ValueError where the grant has none left to end."""
        if not 0 <= number < len(self._accounts) or not self._accounts[number].running:
            raise ValueError(f"grant {number} has no rollout that could end")
        account = self._accounts[number]
        account.running -= 1
        account.failed += failed
        if outcome is not None:
            account.outcomes.append(outcome)
        if account.stage is Stage.ROOT:
            self._waiting[account.grant.anchor.tree] -= 1
        return account

    def waiting(self, tree: int) -> int:
        """How many stage-1 roots of a prompt have not ended."""
        return self._waiting[tree]

    @property
    def granted(self) -> int:
        """Rollouts granted so far, those that failed included."""
        return sum(account.grant.count for account in self._accounts)

    @property
    def running(self) -> int:
        """Rollouts granted and not yet ended."""
        return sum(account.running for account in self._accounts)

    def metrics(self, *, per_root: int) -> dict[str, float]:
        """Counts of rollouts granted by stage, and contrast as promised and as found.

        `unspent`: trajectories of the step that no grant used (without a limit: of the roots granted and
        their `per_root` continuations). `roots_contrast`: share of prompts whose stage-1 roots hold both
        outcomes; `forks_contrast`: share of forked prefixes where a continuation flipped the outcome; under
        `..._predicted` the mean of what was predicted where a prediction was made. A share is left out where
        nothing is known.
        """
        roots = self._count(Stage.ROOT)
        allowance = roots * (1 + per_root) if self._allowance is None else self._allowance
        depths = Counter[int]()
        for account in self._of(Stage.FORK):
            depths[account.depth] += account.grant.count
        return {
            "candidates": float(self._candidates),
            "prompts_filtered": float(self._candidates - len(self._waiting)),
            "roots": float(roots),
            "forks": float(self._count(Stage.FORK)),
            "fresh_roots": float(self._count(Stage.FRESH)),
            "failed": float(sum(account.failed for account in self._accounts)),
            "unspent": float(allowance - self.granted),
            **{f"forks_at_{depth}": float(depths[depth]) for depth in sorted(depths)},
            **self._contrast(Stage.ROOT, "roots_contrast"),
            **self._contrast(Stage.FORK, "forks_contrast"),
        }

    def _of(self, stage: Stage) -> Iterator[Account]:
        return (account for account in self._accounts if account.stage is stage)

    def _count(self, stage: Stage) -> int:
        return sum(account.grant.count for account in self._of(stage))

    def _contrast(self, stage: Stage, name: str) -> dict[str, float]:
        known = [(a.promised, a.contrast) for a in self._of(stage) if a.contrast is not None]
        pairs = [(promised, float(found)) for promised, found in known if promised is not None]
        found = {name: float(np.mean([found for _, found in known]))} if known else {}
        promised = {f"{name}_predicted": float(np.mean([p for p, _ in pairs]))} if pairs else {}
        return {**found, **promised}
