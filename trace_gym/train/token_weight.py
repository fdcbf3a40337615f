"""How much a branch counts in the turns that it shares with others, by name.

Pure, as `advantage.py`, whose numbers these weigh.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trace_gym.train.outline import Outline, Rule, Vector, spread


def path_weights(outline: Outline) -> dict[int, Vector]:
    """W(root) = 1, W(child) = W(parent) / |C(parent)|; a branch counts with the weight of its leaf in every
    turn it shares. The only choice whose expected gradient is the chain's when forking ignores outcomes."""
    per_leaf: dict[int, float] = {}
    for leaf, path in outline.paths.items():
        per_leaf[leaf] = 1.0 / float(np.prod([len(outline.options[n]) for n in (0, *path)]))
    return spread(outline, per_leaf)


def leaf_sum_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each of the n leaves: a turn shared by k of them weighs k/n, as if trained leaf by leaf."""
    return spread(outline, dict.fromkeys(outline.paths, 1.0 / max(1, len(outline.paths))))


def node_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each turn, split evenly over the leaves through it: every turn weighs the same."""
    return {
        leaf: np.array([1.0 / (len(outline.paths) * len(outline.below[n])) for n in path])
        for leaf, path in outline.paths.items()
    }


def train_once_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each turn, all of it to the first-played leaf through it: no turn is trained for two
    outcomes."""
    return {
        leaf: np.array([(outline.below[n][0] == leaf) / len(outline.paths) for n in path])
        for leaf, path in outline.paths.items()
    }


TOKEN_WEIGHTS: Mapping[str, Rule] = {
    "path": path_weights,
    "node": node_weights,
    "leaf_sum": leaf_sum_weights,
    "train_once": train_once_weights,
}
"""How much a branch counts in the turns it shares. Every tree has mass one: with forks at the root only, all
four weigh each of its n leaves 1/n, so tasks count alike whatever number of rollouts they were given."""
