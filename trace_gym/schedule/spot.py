"""Where the next rollout could start, and what it is worth there: prompts not yet played, prompts that were,
and prefixes.

A spot's worth is the chance that the next rollout there is the first to show the outcome still missing, given
what has ended and with all that is still running counted as having missed it. Leaves out choosing between
spots.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trace_gym.core.tree import Anchor


@dataclass(slots=True)
class Coin:
    """Success at a spot: mean `v`, worth `sure` observations; with `sure` None it is known to be v. `wins`
    and `losses` were seen since."""

    v: float
    sure: float | None
    wins: int = 0
    losses: int = 0

    def missing(self, success: bool, before: int) -> float:
        """P(the next rollout ends unlike `success`, and none of the `before` that are running does)."""
        other = 1.0 - self.v if success else self.v
        if self.sure is None:
            return other * (1.0 - other) ** before
        total = self.sure + self.wins + self.losses
        seen = self.losses if success else self.wins
        hit = other * self.sure + seen
        miss = total - hit
        chance = hit / total
        for j in range(before):
            chance *= (miss + j) / (total + 1.0 + j)
        return chance

    def other_after(self, before: int) -> float:
        """P(`before` rollouts end alike and the next one unlike them), nothing having been seen yet."""
        return self._alike(True, before) + self._alike(False, before)

    def _alike(self, success: bool, before: int) -> float:
        same = self.v if success else 1.0 - self.v
        if self.sure is None:
            return float(same**before * (1.0 - same))
        chance = (1.0 - same) * self.sure / (self.sure + before)
        for j in range(before):
            chance *= (same * self.sure + j) / (self.sure + j)
        return chance


@dataclass(slots=True)
class Spot:
    """An anchor and how it stands. `success` is the outcome seen there, None while nothing is known;
    `running` rollouts have not ended; `tries` of those that ended showed nothing new; `done`: it gets no
    more. `cost` is what one rollout is expected to cost. `version` counts the changes, so that old entries in
    a heap can be told."""

    anchor: Anchor
    coin: Coin
    success: bool | None
    cost: float
    depth: int = 0
    running: int = 0
    tries: int = 0
    done: bool = False
    version: int = 0

    @property
    def needs(self) -> int:
        """How many rollouts must be bought at once: a pair where there is nothing to compare with."""
        return 2 if self.success is None and not self.running else 1

    def worth(self) -> float:
        """What one more rollout brings; half of what a pair does, where a pair is needed."""
        if self.success is not None:
            return self.coin.missing(self.success, self.running)
        if not self.running:
            return self.coin.other_after(1) / 2.0
        return self.coin.other_after(self.running)


@dataclass(slots=True)
class Prompt:
    """A candidate in the queue: its root `spot`, its roots so far, and the outcomes its tree holds."""

    spot: Spot
    suite: str
    max_turns: int
    roots: int = 0
    outcomes: set[bool] = field(default_factory=set)

    @property
    def mixed(self) -> bool:
        """Does its tree hold both outcomes?"""
        return len(self.outcomes) == 2
