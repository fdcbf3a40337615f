"""What a step's forest looks like, in numbers that a run keeps. Leaves out what training makes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trace_gym.core.check import potential
from trace_gym.core.episode import StopReason
from trace_gym.core.tree import Forest, RolloutTree

OUT = (StopReason.MAX_TURNS, StopReason.CONTEXT)
"""Ends of rollouts that had no room to go on."""


def described(forest: Forest) -> dict[str, float]:
    """What a step's forest looks like: success of bare rollouts and by how much they raised the potential of
    their checks, success of all leaves, contrast, size, cost. Means of nothing are left out."""
    played = [
        (outcome, progress(tree, record.tip))
        for tree in forest.trees
        for number, record in enumerate(tree.rollouts)
        if tree.bare(number) and (outcome := tree.outcome(number)) is not None
    ]
    leaves = [value for tree in forest.trees for value in tree.outcomes().values()]
    scored: dict[str, Sequence[float]] = {
        "success_bare": [outcome for outcome, _ in played],
        "progress_bare": [gained for _, gained in played],
        "success_leaves": leaves,
    }
    out = [r.stop in OUT for tree in forest.trees for r in tree.rollouts if r.scored]
    cost = forest.cost
    return {
        **{name: sum(values) / len(values) for name, values in scored.items() if values},
        "effective_ratio": forest.effective_ratio(),
        "trees": float(len(forest.trees)),
        "leaves": float(len(leaves)),
        "invalid": float(sum(r.stop is StopReason.INVALID for t in forest.trees for r in t.rollouts)),
        "truncated": sum(out) / len(out) if out else 0.0,
        "censored": float(sum(r.stop is StopReason.CENSORED for t in forest.trees for r in t.rollouts)),
        "turns": float(cost.steps),
        "trajectories": float(cost.trajectories),
        "tokens_sampled": float(cost.decoded),
        "tokens_context": float(cost.fresh + cost.cached),
    }


def progress(tree: RolloutTree, node: int) -> float:
    """By how much the potential of the checks at `node` lies above that at the root."""
    return potential(tree.turns[node].verdicts) - potential(tree.turns[0].verdicts)


PER_SUITE = ("success_bare", "effective_ratio", "trees", "trajectories", "turns", "tokens_sampled")
"""What is told of every suite of a mixed step."""


def by_suite(forest: Forest, suites: Collection[str]) -> dict[str, float]:
    """The same for each of a run's suites, as `suite/NAME/...`, and what each took of the sampled tokens
    (`share_tokens`) and of the time in environments (`env_seconds`); nothing where there is only one."""
    names = sorted(suites) if len(suites) > 1 else []
    told: dict[str, float] = {}
    everything = max(1, forest.cost.decoded)
    for name in names:
        part = Forest(forest.step, [tree for tree in forest.trees if tree.task.suite == name])
        found = described(part)
        told |= {f"suite/{name}/{metric}": found[metric] for metric in PER_SUITE if metric in found}
        told[f"suite/{name}/share_tokens"] = part.cost.decoded / everything
        told[f"suite/{name}/env_seconds"] = part.cost.env_seconds
    return told
