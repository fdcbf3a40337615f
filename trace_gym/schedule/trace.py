"""TRACE (arXiv 2606.11119), to the letter: roots where both outcomes are likely, forks where a flip is.

With B trajectories and N continuations a root, M = floor(B / (1+N)) roots are shared out over the pool (stage
1); a prompt whose m roots are in shares m N continuations out over its own prefixes (stage 2). What the paper
leaves open is an option, and its default says what we chose. With a constant predictor this means random
prompts and random prefixes among ties, and the grants' reasons say so. Leaves out the predictor, which is
asked by the collector.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.contrast import (
    DECIMALS,
    Counts,
    Reals,
    allocate_prefixes,
    allocate_roots,
    allocate_units,
    flip_probability,
    prefix_contrast,
    root_contrast,
    root_marginal,
)
from trace_gym.schedule.draw import tie_shares
from trace_gym.schedule.rule import Choice, Played


class TraceRoots:
    """Stage 1: maximise `sum V_root(V~(x_i), m_i)` with `sum m_i = M`, m_i in {0, 2..cap}.

    `roots` is M (None: as many as the budget pays), `pool_factor` the candidates wanted per root. A share
    `epsilon` of the roots goes, in pairs, to prompts drawn at random, so that none starves; those get more
    only where the others are full. `posterior` (ours) maximises the expectation over V~'s own uncertainty.
    """

    def __init__(
        self,
        roots: int | None = None,
        *,
        cap: int = 8,
        pool_factor: float = 1.0,
        epsilon: float = 0.0,
        posterior: bool = False,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        if roots is not None and roots < 2:
            raise ValueError(f"roots must be at least 2 (one has no contrast), got {roots}")
        if cap < 2:
            raise ValueError(f"cap must be at least 2 roots a prompt, got {cap}")
        if pool_factor <= 0.0:
            raise ValueError(f"pool_factor must be positive, got {pool_factor}")
        if not 0.0 <= epsilon <= 1.0:
            raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
        self._roots = roots
        self._cap = cap
        self._pool_factor = pool_factor
        self._epsilon = epsilon
        self._belief = Belief(prior=prior, cold_steps=cold_steps, posterior=posterior)

    @property
    def pool_size(self) -> int | None:
        """`pool_factor` candidates a root, where M is given."""
        return None if self._roots is None else ceil(self._pool_factor * self._roots)

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """Roots for the prompts most likely to show both outcomes. ValueError where M has no bound."""
        bounds = [bound for bound in (self._roots, limit) if bound is not None]
        if not bounds:
            raise ValueError("trace needs a budget of trajectories or a number of roots")
        v = self._belief.values(pool, step=step)
        sure = self._belief.sures((c.prediction for c in pool), step=step)
        explored = np.zeros(len(pool), dtype=bool)
        pairs = min(len(pool), int(self._epsilon * min(bounds)) // 2)
        explored[rng.permutation(len(pool))[:pairs]] = True
        counts = np.where(explored, 2, 0)
        counts[~explored] = allocate_roots(
            v[~explored],
            min(bounds) - 2 * pairs,
            cap=self._cap,
            concentration=None if sure is None else sure[~explored],
            rng=rng,
        )
        counts[explored] += self._rest(v, sure, explored, min(bounds) - int(counts.sum()), rng=rng)
        chance = _propensity(root_contrast(v, 2, sure), counts, explored)
        return [
            Choice(c.index, int(m), self._reason(c, int(m), bool(random), float(p), step=step), float(p))
            for c, m, random, p in zip(pool, counts, explored, chance, strict=True)
            if m
        ]

    def _rest(
        self,
        v: Reals,
        sure: Reals | None,
        explored: NDArray[np.bool_],
        left: int,
        *,
        rng: np.random.Generator,
    ) -> Counts:
        """What the explored prompts get beside their pairs of the roots that the others had no place for."""
        if left <= 0 or not explored.any():
            return np.zeros(int(explored.sum()), dtype=np.int64)
        further = np.arange(3, self._cap + 1)[None, :]
        told = None if sure is None else sure[explored][:, None]
        return allocate_units(root_marginal(v[explored][:, None], further, told), left, rng=rng)

    def _reason(self, candidate: Candidate, m: int, explored: bool, chance: float, *, step: int) -> str:
        value = self._belief.value(candidate.prediction, step=step)
        sure = self._belief.sure(candidate.prediction, step=step) if self._belief.posterior else None
        words = self._belief.words(candidate.prediction, step=step)
        chosen = f"drawn at random (epsilon={self._epsilon:g}), " if explored else ""
        tied = "" if explored or chance == 1.0 else f", drawn from ties with p={chance:.2f}"
        return f"{chosen}{words}, {m} roots are mixed with p={float(root_contrast(value, m, sure)):.2f}{tied}"


class TraceForks:
    """Stage 2: over a prompt's non-leaf prefixes (j, t), maximise `sum V_pref(j, t, K_jt)` with
    `sum K_jt = m N`; `continuations` is N.

    Prefixes are those after turn t >= 1; with `root_prefix` the bare prompt (t = 0) counts as one too, once
    for every trajectory.
    """

    def __init__(
        self,
        continuations: int = 2,
        *,
        root_prefix: bool = False,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        if continuations < 1:
            raise ValueError(f"continuations must be at least 1 a root, got {continuations}")
        self._continuations = continuations
        self._root_prefix = root_prefix
        self._belief = Belief(prior=prior, cold_steps=cold_steps)

    @property
    def per_root(self) -> int:
        """N."""
        return self._continuations

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Continuations from the prefixes most likely to end unlike the trajectory they were part of."""
        first = 0 if self._root_prefix else 1
        spots = [
            (node, turn, trajectory.success, trajectory.predictions.get(node))
            for trajectory in played.trajectories
            for turn, node in enumerate((0, *trajectory.prefixes))
            if turn >= first
        ]
        v = [self._belief.value(prediction, step=step) for _, _, _, prediction in spots]
        flips = flip_probability(v, [success for _, _, success, _ in spots])
        counts = allocate_prefixes(flips, count, rng=rng)
        chances = tie_shares(flips, counts)
        chosen: dict[int, Choice] = {}
        for (node, turn, success, prediction), flip, k, chance in zip(
            spots, flips, counts, chances, strict=True
        ):
            if k:
                before = chosen[node].count if node in chosen else 0
                words = self._belief.words(prediction, step=step)
                reason = _fork_reason(turn, success, words, float(flip), int(k), float(chance))
                chosen[node] = Choice(node, before + int(k), reason, float(chance))
        return list(chosen.values())


class Trace(Composed):
    """TRACE with M = `roots` (None: from the budget) and N = `continuations`; M (1+N) trajectories a step."""

    def __init__(
        self,
        roots: int | None = None,
        continuations: int = 2,
        *,
        cap: int = 8,
        pool_factor: float = 1.0,
        epsilon: float = 0.0,
        root_prefix: bool = False,
        fresh_roots: bool = True,
        prior: float = 0.5,
        cold_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            TraceRoots(
                roots,
                cap=cap,
                pool_factor=pool_factor,
                epsilon=epsilon,
                prior=prior,
                cold_steps=cold_steps,
            ),
            TraceForks(continuations, root_prefix=root_prefix, prior=prior, cold_steps=cold_steps),
            seed=seed,
            fresh_roots=fresh_roots,
        )


def _propensity(pair: Reals, counts: Counts, explored: NDArray[np.bool_]) -> Reals:
    """P(a prompt is played): drawn at random, or bought by the solver, which takes prompts in order of what a
    `pair` of roots is worth: all above the lowest bought, and at that value the share that was bought."""
    u = pair.round(DECIMALS)
    bought = ~explored & (counts > 0)
    random = explored.mean() if len(u) else 0.0
    if not bought.any():
        return np.full(len(u), random)
    lowest = u[bought].min()
    tied = ~explored & (u == lowest)
    greedy = np.where(u > lowest, 1.0, np.where(u == lowest, bought[tied].mean(), 0.0))
    return np.asarray(random + (1.0 - random) * greedy)


def _fork_reason(turn: int, success: bool, words: str, flip: float, k: int, chance: float) -> str:
    outcome = "success" if success else "failure"
    tied = "" if chance == 1.0 else f", drawn from ties with p={chance:.2f}"
    return (
        f"turn {turn} of a {outcome}, {words}: each of {k} flips with p={flip:.2f}, "
        f"one of them with p={float(prefix_contrast(flip, k)):.2f}{tied}"
    )
