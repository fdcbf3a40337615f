"""Prompts drawn by expected contrast, paths that split, credit by checks; TRACE is a special case.

What makes the method is how turns are credited (`train.advantage = "checks"`), which is the trainer's matter:
a turn is compared with others that were taken in the same state. So prompts are drawn in proportion to
contrast (`proportional.py`), not the best ones alone, `group` roots each, and paths split after every turn
(TreePO's rule, `splits` continuations a root), which makes such states early and cheaply.

With `continuations` it is TRACE, with 0 its roots alone (README, Decisions). Then there are these switches:
`posterior`, expected contrast over V~'s own uncertainty, in closed form. `stop_at_flip`, `patience`:
continuations are granted one at a time, a prefix is done once flipped and given up once it resisted so often.
`queue`: one queue over the roots and prefixes of all prompts in place of a fixed number of continuations a
root; `per_cost`: the power of the expected cost that worth is divided by, at `prices`. `epsilon`: the share
that goes to prompts drawn at random. Learning runs bore none of them out. Leaves out unbiased targets and
checks as features, which are options of the predictors, and what any method can have around it (`cutting.py`,
`guided.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from trace_gym.core.scheduler import Scheduler
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.expense import Prices
from trace_gym.schedule.global_queue import GlobalQueue
from trace_gym.schedule.plus_forks import PlusForks
from trace_gym.schedule.proportional import ProportionalRoots
from trace_gym.schedule.rule import ForkRule
from trace_gym.schedule.trace import TraceForks, TraceRoots
from trace_gym.schedule.treepo import TreePoForks
from trace_gym.schedule.uniform import NoForks

SWITCHES: Mapping[str, Mapping[str, object]] = {
    "trace": {
        "continuations": 2,
        "posterior": False,
        "stop_at_flip": False,
        "patience": 0,
        "queue": False,
        "per_cost": 0.0,
        "epsilon": 0.0,
    },
    "posterior": {"posterior": True},
    "stop_at_flip": {"stop_at_flip": True},
    "patience": {"patience": 2},
    "queue": {"queue": True},
    "per_cost": {"queue": True, "per_cost": 1.0},
    "epsilon": {"epsilon": 0.1},
    "roots": {"continuations": 0},
    "draw": {"continuations": None, "splits": 0},
    "splits": {"continuations": None, "power": 0.0},
    "both": {"continuations": None},
}
"""The rows of an ablation: options over those of `trace`, which are TRACE's; `both` is how it comes."""


def trace_plus(
    roots: int | None = None,
    continuations: int | None = None,
    *,
    group: int = 2,
    power: float = 4.0,
    splits: int = 1,
    posterior: bool = False,
    stop_at_flip: bool = False,
    patience: int = 0,
    queue: bool = False,
    per_cost: float = 0.0,
    prices: Mapping[str, float] | None = None,
    epsilon: float = 0.0,
    cap: int = 8,
    pool_factor: float = 1.0,
    fresh_roots: bool = True,
    prior: float = 0.5,
    cold_steps: int = 0,
    floors: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Scheduler:
    """The scheduler with these switches. `group` roots a prompt, drawn by contrast to the `power`, and
    `splits` continuations a root; with `continuations` (N, also 2 where a switch is about them) TRACE's
    M = `roots` (None: from the budget) instead. `floors` is the least part of the roots by suite. `per_cost`
    and `prices` (by name, as `expense.Prices` has them) need the queue, floors its absence, what is about
    TRACE's roots `continuations`: ValueError otherwise."""
    forking = queue or stop_at_flip or patience
    if continuations is None and forking:
        continuations = 2
    if forking and not continuations:
        raise ValueError("queue, stop_at_flip and patience need continuations, at least 1")
    if (per_cost or prices) and not queue:
        raise ValueError("per_cost and prices weigh the queue; they need queue = true")
    if floors and queue:
        raise ValueError(
            "floors are parts of the roots, which the queue does not set apart: set queue = false"
        )
    if continuations is None:
        if roots is not None or posterior or epsilon or (cap, pool_factor) != (8, 1.0):
            raise ValueError(
                "roots, cap, pool_factor, posterior and epsilon are about TRACE's roots; say continuations "
                "too (0: roots alone)"
            )
        return Composed(
            ProportionalRoots(group, power=power, prior=prior, cold_steps=cold_steps),
            TreePoForks(splits) if splits else NoForks(),
            seed=seed,
            fresh_roots=fresh_roots,
            floors=floors,
        )
    if (group, power, splits) != (2, 4.0, 1):
        raise ValueError("group, power and splits are not for TRACE's roots; leave continuations out")
    first = TraceRoots(
        roots,
        cap=cap,
        pool_factor=pool_factor,
        epsilon=epsilon,
        posterior=posterior,
        prior=prior,
        cold_steps=cold_steps,
    )
    if queue:
        return GlobalQueue(
            first,
            continuations,
            belief=Belief(prior=prior, cold_steps=cold_steps, posterior=posterior),
            cap=cap,
            stop_at_flip=stop_at_flip,
            patience=patience,
            epsilon=epsilon,
            per_cost=per_cost,
            prices=Prices(**prices) if prices else None,
            seed=seed,
        )
    forks: ForkRule = NoForks()
    if continuations:
        forks = TraceForks(continuations, prior=prior, cold_steps=cold_steps)
    if continuations and (posterior or stop_at_flip or patience):
        forks = PlusForks(
            continuations,
            posterior=posterior,
            stop_at_flip=stop_at_flip,
            patience=patience,
            prior=prior,
            cold_steps=cold_steps,
        )
    return Composed(first, forks, seed=seed, fresh_roots=fresh_roots, floors=floors)
