"""Seeds of sampled turns: they depend on where a rollout stands, never on the order in which others ran."""

from __future__ import annotations

import hashlib

from trace_gym.core.tree import RolloutTree


class Seeds:
    """One 63-bit seed a turn, from the run's seed, the step, the task and the rollout's place in its tree."""

    def __init__(self, seed: int, step: int) -> None:
        self._origin = f"{seed}/{step}"
        self._names: dict[tuple[int, int], str] = {}

    def turn(self, tree: RolloutTree, rollout: int, turn: int) -> int:
        """The seed of turn number `turn` of a rollout."""
        digest = hashlib.blake2b(f"{self._name(tree, rollout)}/{turn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    def _name(self, tree: RolloutTree, rollout: int) -> str:
        """A rollout's name: its anchor's, and the how-manieth it is there."""
        key = (tree.index, rollout)
        if key not in self._names:
            anchor = tree.rollouts[rollout].anchor
            nth = sum(record.anchor == anchor for record in tree.rollouts[:rollout])
            origin = f"{self._origin}/{tree.task.key}"
            if anchor:
                origin = f"{self._name(tree, tree.turns[anchor].rollout)}@{tree.depth(anchor)}"
            self._names[key] = hashlib.blake2b(f"{origin}#{nth}".encode(), digest_size=12).hexdigest()
        return self._names[key]
