"""What the conformance tests demand, and what makes two trees the same. Leaves out who demands it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from trace_gym.core.episode import Turn
from trace_gym.core.tree import RolloutTree


def demand(condition: bool, failing: str) -> None:
    """An assertion that stays when Python runs optimised, and says what failed."""
    if not condition:
        raise AssertionError(failing)


def demand_same_turn(left: Turn, right: Turn, *, where: str = "turn", cost: bool = True) -> None:
    """Are two turns the same in every field, arrays and their types included? AssertionError names the first
    field that differs; `cost=False` leaves what they cost out. Who played them does not matter."""
    for field in fields(Turn):
        mine, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "span" or (field.name == "cost" and not cost):
            continue
        if isinstance(mine, np.ndarray) and isinstance(other, np.ndarray):
            same = mine.dtype == other.dtype and np.array_equal(mine, other)
        else:
            same = type(mine) is type(other) and bool(mine == other)
        if not same:
            raise AssertionError(f"{where}: {field.name} is {mine!r} here and {other!r} there")


def demand_same_tree(left: RolloutTree, right: RolloutTree) -> None:
    """Are two trees the same: index, task, turns, rollouts? AssertionError names the first difference."""
    name = f"tree {left.index}"
    demand(left.index == right.index, f"{name} is tree {right.index} there")
    if left.task != right.task:
        raise AssertionError(f"{name}: the task is {left.task} here and {right.task} there")
    counts = (len(left.turns), len(right.turns))
    demand(counts[0] == counts[1], f"{name} has {counts[0]} turns here and {counts[1]} there")
    if left.rollouts != right.rollouts:
        raise AssertionError(f"{name}: rollouts {left.rollouts} here, {right.rollouts} there")
    for node, (mine, other) in enumerate(zip(left.turns, right.turns, strict=True)):
        demand_same_turn(mine, other, where=f"{name}, node {node}")
