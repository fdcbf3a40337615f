"""`trace-gym show`: a run in the terminal, and the rollout tree of one of its tasks as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from trace_gym.cli.runs_command import facts_of
from trace_gym.cli.tables import folding, interval_text, output, print_report
from trace_gym.cli.text_tree import notes_of, text_tree
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.evaluate import summarise
from trace_gym.statistics import Interval
from trace_gym.store import Store, episode_record

STEPS_SHOWN = 12
COLUMNS = {
    "success": "success_bare",
    "effective": "effective_ratio",
    "leaves": "leaves",
    "tokens": "tokens_sampled",
    "entropy": "train/entropy",
    "Brier": "predictor/brier_prefix",
}
SUITE_COLUMNS = ("effective_ratio", "trajectories", "tokens_sampled", "env_seconds")


@click.command(
    "show",
    epilog="Examples: trace-gym show runs/e | trace-gym show runs/e guess/100-42 | "
    "trace-gym show runs/t wikihop_compact/clear-train-00/17 --step 3",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("task", required=False)
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="The step to look at, from 0; default: the newest with the task.",
)
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
def command(run: Path, task: str | None, step: int | None, as_json: bool) -> None:
    """Show RUN: how it stands and what it found. With TASK (its key, or a part of it): the rollout tree, a
    line a turn, with marks of the checks, predicted success V, advantage A, and why rollouts were granted.
    """
    with Store.open(run, read_only=True) as store:
        if task is None:
            if step is not None:
                raise BadConfig("--step chooses among the trees of a task: name the task, too")
            _show_run(store, as_json)
        else:
            _show_task(store, task, step, as_json)


def _show_run(store: Store, as_json: bool) -> None:
    facts = facts_of(store)
    steps = {record.step: store.metrics(record.step) for record in store.steps()}
    if as_json:
        told = {str(step): metrics for step, metrics in steps.items()}
        click.echo(json.dumps({**facts, "config": store.config, "steps_by_number": told}))
        return
    console = output()
    where = f"{store.folder}: {facts['kind']}, {facts['status']}, {facts['episodes']:,} episodes"
    console.print(f"{where}, {facts['tokens']:,} tokens sampled", highlight=False, soft_wrap=True)
    if store.kind == "eval":
        _print_evaluation(console, store)
        return
    table = folding("step", *COLUMNS)
    for step in [*steps][-STEPS_SHOWN:]:
        table.add_row(str(step), *[_number(steps[step].get(name)) for name in COLUMNS.values()])
    console.print(table)
    _print_suites(console, steps)
    for line in store.log_lines()[-STEPS_SHOWN:]:
        console.print(f"{line.level}: {line.message}", highlight=False)


def _print_suites(console: Console, steps: Mapping[int, Mapping[str, Any]]) -> None:
    """What each suite of a mixed run learnt and took, over all its steps; nothing where there is only one."""
    closed = [metrics for metrics in steps.values() if metrics]
    told = closed[-1] if closed else {}
    names = [key.split("/")[1] for key in told if key.startswith("suite/") and key.endswith("/share_tokens")]
    if not names:
        return
    table = folding(
        "suite", "success", "now", "effective", "rollouts", "of all", "tokens", "of all", "environment"
    )
    for name in names:
        of = {key: [metrics[f"suite/{name}/{key}"] for metrics in closed] for key in SUITE_COLUMNS}
        taken = [
            text
            for key in ("trajectories", "tokens_sampled")
            for text in (
                f"{sum(of[key]):,.0f}",
                f"{sum(of[key]) / max(1, sum(m[key] for m in closed)):.0%}",
            )
        ]
        won = [metrics.get(f"suite/{name}/success_bare") for metrics in closed]
        contrast = sum(of["effective_ratio"]) / len(closed)
        seconds = f"{sum(of['env_seconds']):,.1f} s"
        table.add_row(name, _number(won[0]), _number(won[-1]), _number(contrast), *taken, seconds)
    console.print(table)


def _print_evaluation(console: Console, store: Store) -> None:
    """A report on what there is; of an adaptive evaluation, the estimate that was kept."""
    if store.config.get("adaptive"):
        kept = store.metrics(0).get("report")
        said = interval_text(Interval(**kept["success"])) if kept else "not yet known"
        console.print(f"evaluated adaptively: success of this fixed set of tasks {said}", highlight=False)
        return
    forest = store.forest(0)
    played = Forest(0, [tree for tree in forest.trees if any(r.stop is not None for r in tree.rollouts)])
    broken = (None, StopReason.INVALID)
    tries = {tree.task.key: sum(r.stop not in broken for r in tree.rollouts) for tree in played.trees}
    report = summarise(played, attempts=tries)
    print_report(
        console, report, title=f"{store.config.get('agent_name') or store.config.get('policy') or ''}"
    )


def _show_task(store: Store, name: str, step: int | None, as_json: bool) -> None:
    at, tree = _found(store, name, step)
    if as_json:
        episodes = [episode_record(stored) for stored in store.episodes(at) if stored.tree == tree.index]
        click.echo(json.dumps({"task": tree.task.key, "step": at, "episodes": episodes}))
        return
    known = store.recover(at)
    assert known is not None
    notes = notes_of(tree, known, _advantages(store, tree))
    console = output()
    console.print(text_tree(tree, notes))
    outcomes = list(tree.outcomes().values())
    console.print(
        f"step {at}, tree {tree.index}: {len(tree.rollouts)} rollouts, {len(tree.turns) - 1} turns, "
        f"{sum(outcomes):.0f} of {len(outcomes)} solved",
        highlight=False,
    )


def _found(store: Store, name: str, step: int | None) -> tuple[int, RolloutTree]:
    """The newest tree of the task that a key, or a part of one, names. Raises UnknownName."""
    keys: list[str] = []
    steps = [record.step for record in store.steps()] if step is None else [step]
    for at in reversed(steps):
        places = store.played(at)
        for match in (lambda key: key == name, lambda key: name in key):
            for key, index in places.items():
                if match(key):
                    return at, store.tree(at, index)
        keys.extend(places)
    raise unknown("task of the run", name, list(dict.fromkeys(keys)))


def _advantages(store: Store, tree: RolloutTree) -> Mapping[int, float]:
    """Every turn's mean advantage over its branches, under the run's own rule; none for an evaluation."""
    rule: Any = store.config.get("train", {})
    if store.kind != "train" or not tree.outcomes():
        return {}
    from trace_gym.train.credit import credit

    chosen = {key: rule[key] for key in ("advantage", "discount") if key in rule}
    (found,) = credit([tree], **chosen, whiten=False)
    total = found.plus + found.minus
    mean = np.divide(total, found.weight, out=np.zeros_like(total), where=found.weight > 0)
    return {node: float(value) for node, value in enumerate(mean) if value}


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
