"""Rollout trees of given shapes for `bench train`: random tokens, real branches, both outcomes in every tree.

Leaves out environments and models: what the tokens say does not change what they cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.task import Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest, RolloutTree


@dataclass(frozen=True, slots=True)
class Shape:
    """`trees` of `roots` rollouts of `turns` turns, and `forks` continuations each, from turns drawn evenly.
    Tokens: the `prompt`, the context before every later turn, the `action` of each."""

    trees: int
    roots: int
    forks: int
    turns: int
    prompt: int
    context: int
    action: int

    def __post_init__(self) -> None:
        if min(self.trees, self.turns, self.prompt, self.action) < 1 or self.roots < 2:
            raise ValueError(f"a shape needs trees, turns, tokens and at least two roots, got {self}")
        if min(self.forks, self.context) < 0:
            raise ValueError(f"forks and context cannot be negative, got {self}")


SHAPES: Mapping[str, Shape] = {
    "small": Shape(trees=4, roots=3, forks=6, turns=4, prompt=96, context=24, action=16),
    "trace": Shape(trees=4, roots=3, forks=6, turns=8, prompt=512, context=96, action=64),
    "bushy": Shape(trees=2, roots=2, forks=14, turns=8, prompt=1024, context=96, action=64),
    "group": Shape(trees=2, roots=8, forks=0, turns=2, prompt=2048, context=64, action=192),
    "apart": Shape(trees=4, roots=4, forks=0, turns=8, prompt=128, context=96, action=96),
    "short": Shape(trees=24, roots=3, forks=6, turns=4, prompt=48, context=16, action=12),
}
"""`trace`: bare rollouts and prefixes; `bushy`: many forks; `group`: GRPO on a long prompt; `apart`: little
is shared; `short`: many trees far below a thousand tokens; `small`: for a CPU."""


def grown(shape: Shape, *, vocab: int, seed: int = 0) -> Forest:
    """A forest of that shape; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    return Forest(0, [_tree(shape, index, vocab, rng) for index in range(shape.trees)])


def _tree(shape: Shape, index: int, vocab: int, rng: np.random.Generator) -> RolloutTree:
    task = Task(id=f"t{index}", suite="bench", split=Split.TRAIN, family=f"f{index}")
    tree = RolloutTree.planted(index, task)
    contexts: dict[int, list[int]] = {}
    for number in range(shape.roots + shape.forks):
        inner = [node for node in tree.anchors() if node > 0]
        anchor = int(rng.choice(inner)) if number >= shape.roots and inner else 0
        rollout = tree.start(grant=0, anchor=anchor)
        for depth in range(tree.depth(anchor), shape.turns):
            parent = tree.rollouts[rollout].tip
            size = shape.context if depth else shape.prompt
            last = depth + 1 == shape.turns
            won = last and bool(number == 0 or (number > 1 and rng.random() < 0.5))
            action = rng.integers(0, vocab, size=shape.action).tolist()
            tree.append(
                Turn(
                    parent,
                    rollout,
                    Actor.POLICY,
                    "",
                    verdicts=(Verdict.of("goal", won, evidence=""),),
                    context_ids=ids(contexts.setdefault(parent, rng.integers(0, vocab, size=size).tolist())),
                    action_ids=ids(action),
                    logprobs=floats([-float(np.log(vocab))] * len(action)),
                    policy_version=0,
                    terminated=last,
                )
            )
        tree.stop(rollout, StopReason.TERMINATED)
    return tree
