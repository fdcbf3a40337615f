"""A rollout tree as text: turns, what was predicted, why it forked, what the checks say, how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text
from rich.tree import Tree

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import Turn
from trace_gym.core.journal import Recovered
from trace_gym.core.scheduler import EpisodeDone, Grant
from trace_gym.core.tree import RolloutTree

MARKS = {
    Status.PASS: ("✓", "green"),
    Status.FAIL: ("✗", "red"),
    Status.ERROR: ("!", "yellow"),
    Status.SKIPPED: ("·", "dim"),
}
WIDTH = 60


@dataclass(frozen=True, slots=True)
class Notes:
    """What is known of a tree besides its turns, by node: predicted success, grants from there, advantage."""

    predicted: Mapping[int, float] = field(default_factory=dict)
    grants: Mapping[int, Sequence[Grant]] = field(default_factory=dict)
    advantage: Mapping[int, float] = field(default_factory=dict)


def notes_of(tree: RolloutTree, known: Recovered, advantage: Mapping[int, float]) -> Notes:
    """The notes on a tree from its step's journal: the newest prediction at every node, grants by anchor."""
    predicted: dict[int, float] = {}
    candidate = known.pool[tree.index]
    if candidate.prediction is not None:
        predicted[0] = candidate.prediction.mean
    grants: dict[int, list[Grant]] = {}
    answers = [known.grants, *(answer for _, answer in known.events)]
    for item in (item for answer in answers for item in answer):
        if isinstance(item, Grant) and item.anchor.tree == tree.index:
            grants.setdefault(item.anchor.node, []).append(item)
    for event, _ in known.events:
        if isinstance(event, EpisodeDone) and event.tree == tree.index:
            predicted |= {node: p.mean for node, p in event.predictions.items()}
    return Notes(predicted, grants, advantage)


def text_tree(tree: RolloutTree, notes: Notes) -> Tree:
    """The whole tree, a line a turn, oldest branches first."""
    children = tree.children()
    ends: dict[int, list[int]] = {}
    for number, rollout in enumerate(tree.rollouts):
        ends.setdefault(rollout.tip, []).append(number)
    top = Text.assemble((tree.task.key, "bold"), "  ", _short(tree.turns[0].observation, 2 * WIDTH))
    shown = Tree(_with(top, tree.turns[0], 0, notes))
    _grow(shown, tree, children, ends, notes)
    return shown


def _grow(
    shown: Tree, tree: RolloutTree, children: list[list[int]], ends: Mapping[int, list[int]], notes: Notes
) -> None:
    """Add everything below the root. A turn whose only child follows stays on its branch's level, so that
    long episodes do not drift to the right."""
    open_: list[tuple[Tree, int]] = [(shown, 0)]
    while open_:
        branch, node = open_.pop()
        for number in ends.get(node, []):
            branch.add(_ending(tree, number))
        below = children[node]
        places = [branch] * len(below) if len(below) < 2 else [branch.add(_fork(tree, n)) for n in below]
        for place, child in reversed(list(zip(places, below, strict=True))):
            place.add(_line(tree.turns[child], child, notes))
            open_.append((place, child))


def _fork(tree: RolloutTree, node: int) -> Text:
    return Text(f"rollout {tree.turns[node].rollout}", style="cyan")


def _line(turn: Turn, node: int, notes: Notes) -> Text:
    """A turn: number, action, observation, and the notes."""
    action = "" if turn.action is None else _action(turn.action)
    line = Text.assemble(
        (f"{node} ", "dim"), (_short(action, WIDTH), "bold"), "  ", _short(turn.observation, WIDTH)
    )
    return _with(line, turn, node, notes)


def _with(line: Text, turn: Turn, node: int, notes: Notes) -> Text:
    if turn.verdicts:
        line.append("  ")
        line.append(_marks(turn.verdicts))
    if node in notes.predicted:
        line.append(f"  V {notes.predicted[node]:.2f}", style="blue")
    if notes.advantage.get(node):
        line.append(f"  A {notes.advantage[node]:+.2f}", style="magenta")
    for grant in notes.grants.get(node, ()):
        line.append(f"  [+{grant.count}: {grant.reason}]", style="cyan")
    return line


def _marks(verdicts: Sequence[Verdict]) -> Text:
    marks = Text()
    for verdict in verdicts:
        mark, style = MARKS[verdict.status]
        marks.append(mark, style=style)
    return marks


def _ending(tree: RolloutTree, number: int) -> Text:
    """How a rollout ended."""
    rollout = tree.rollouts[number]
    if rollout.stop is None:
        return Text(f"rollout {number} is running", style="dim")
    outcome = tree.outcome(number)
    said = {True: ("solved", "bold green"), False: ("not solved", "bold red"), None: ("no outcome", "yellow")}
    cause = f", {rollout.failure}" if rollout.failure else ""
    detail = f": {_short(rollout.detail, WIDTH)}" if rollout.detail else ""
    return Text.assemble(f"rollout {number} ", said[outcome], f" ({rollout.stop}{cause}{detail})")


def _action(action: Action) -> str:
    if action.calls:
        calls = (
            f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
            for call in action.calls
        )
        return "; ".join(calls)
    return f'"{action.message}"' if action.message is not None else f"? {action.error}"


def _short(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
