"""One cell of the comparison: a method and a seed, trained to the end of the budget, as one JSON file.

A cell that is finished is its file; one that was cut goes on from its run folder. Leaves out comparing cells.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_gym.assemble import train
from trace_gym.bench.curve import Point, mixed_prefixes
from trace_gym.bench.imitation import imitate
from trace_gym.config import RunConfig, parse
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.scheduler import Event
from trace_gym.core.tree import RolloutTree
from trace_gym.evaluate import Report
from trace_gym.outfit import Outcome
from trace_gym.schedule.catalogue import CREDIT, asks, spelled
from trace_gym.store import FILE, Store
from trace_gym.train.warmstart import CloningStep

IMITATION = "imitation"
"""The control that learns from the oracle's episodes, not from rollouts."""
OWN_SECTIONS = ("train", "budget")
"""Sections of the configuration that a method may have keys of its own in; of the budget those of a step."""
PER_STEP = (
    "effective_ratio",
    "leaves",
    "trees",
    "success_bare",
    "tokens_sampled",
    "trajectories",
    "seconds_collect",
    "seconds_train",
    "seconds_rest",
    "schedule/seconds",
    "schedule/forks",
    "schedule/forks_contrast",
    "predictor/seconds",
    "predictor/brier_root",
    "predictor/brier_root_constant",
    "predictor/brier_root_counts",
    "predictor/brier_prefix",
    "predictor/brier_prefix_constant",
    "predictor/brier_prefix_counts",
    "predictor/brier_unseen",
    "predictor/brier_unseen_constant",
    "predictor/auc_prefix",
    "predictor/ece_prefix",
    "train/optimiser_steps",
    "train/grad_norm",
    "train/gradient_noise",
    "train/gradient_square",
)


class Silent:
    """A narrator that keeps quiet."""

    def event(self, tree: RolloutTree, event: Event) -> None:
        """Nothing."""

    def step_begins(self, step: int, budget: Budget) -> None:
        """Nothing."""

    def step_done(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def evaluated(self, step: int, report: Report) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def warming(self, step: CloningStep) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is to be run: `config` is a run's as plain data, at a simulated pace."""

    method: str
    seed: int
    config: Mapping[str, Any]
    folder: Path
    cache: Path | None = None

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{plain_name(self.method)}-seed{self.seed}"

    @property
    def file(self) -> Path:
        """The finished cell."""
        return self.folder / f"{self.name}.json"


def plain_name(method: str) -> str:
    """A method's spec as a name for files."""
    return re.sub("[^A-Za-z0-9_+.-]+", "-", method)


def method_of(spec: str) -> tuple[str, dict[str, Any], dict[str, dict[str, Any]]]:
    """Name, options and sections of `NAME?option=value&section.key=value`: what has a dot in its name is a
    key of the configuration, of one of the sections that methods may have their own of. Raises BadConfig,
    UnknownName."""
    name, given = spelled(spec)
    options = {key: value for key, value in given.items() if "." not in key}
    sections: dict[str, dict[str, Any]] = {}
    for dotted in given.keys() - options.keys():
        section, _, key = dotted.partition(".")
        if section not in OWN_SECTIONS:
            raise unknown(f"section of {spec!r}", section, OWN_SECTIONS)
        sections.setdefault(section, {})[key] = given[dotted]
    return name, options, sections


def demonstrates(method: str, settings: Mapping[str, Any]) -> bool:
    """Does a method with these settings learn from the oracle's solutions, so that it is to be told apart
    from the others? Raises BadConfig, UnknownName."""
    name, options, _ = method_of(method)
    return name == IMITATION or bool({**settings.get("options", {}), **options}.get("guide_share"))


def credit_rows(base: RunConfig) -> list[str]:
    """The rows of an ablation that tell a method's credit from its allocation: the method with the credit of
    `base`, and `uniform` with the method's."""
    rows = []
    for name, own in CREDIT.items():
        plain = {key: getattr(base.train, key) for key in own}
        rows += [f"{of}?{_spec(keys)}" for of, keys in ((name, plain), ("uniform", own))]
    return rows


def _spec(keys: Mapping[str, Any]) -> str:
    return "&".join(f"train.{key}={value}" for key, value in keys.items())


def configured(base: RunConfig, method: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a cell as plain data: `base` with the method's scheduler, and with its `train`,
    `budget`, `options`, `predictor` settings over what is part of it (`catalogue.CREDIT`). Where the method
    asks no predictor there is none. Raises BadConfig, UnknownName."""
    name, options, sections = method_of(method)
    data = base.model_dump(mode="json", exclude_none=True)
    data["run"] = {**data["run"], "seed": seed}
    data["train"] |= CREDIT.get(name, {})
    for section in OWN_SECTIONS:
        own = {**settings.get(section, {}), **sections.get(section, {})}
        if section == "budget" and (shared := [key for key in own if not key.startswith("step_")]):
            raise BadConfig(f"{method!r} has a budget.{shared[0]} of its own; all methods spend the same")
        data[section] = {**data[section], **own}
    if method != IMITATION:
        options = {**settings.get("options", {}), **options}
        data["scheduler"] = {"name": name, "options": options}
        if not asks(name, options):
            data["predictor"] = {"name": "none"}
    if "predictor" in settings:
        data["predictor"] = settings["predictor"]
    return parse(data).model_dump(mode="json", exclude_none=True)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run the cell, unless its file is there; returns what the file holds. Raises what training raises."""
    import torch

    if cell.file.is_file():
        found: dict[str, Any] = json.loads(cell.file.read_text(encoding="utf-8"))
        return found
    torch.set_num_threads(1)
    config = parse(cell.config)
    folder = cell.folder / cell.name
    if cell.method == IMITATION:
        found = imitate(config, Silent(), cache=cell.cache)
    else:
        outcome = train(config, folder, resume=(folder / FILE).is_file(), narrator=Silent(), cache=cell.cache)
        with Store.open(folder, read_only=True) as store:
            found = _read(store, outcome)
    found = {"method": cell.method, "seed": cell.seed, **found}
    unfinished = cell.file.with_suffix(".part")
    unfinished.write_text(json.dumps(found), encoding="utf-8")
    os.replace(unfinished, cell.file)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return found


def _read(store: Store, outcome: Outcome) -> dict[str, Any]:
    """A finished run as plain data."""
    ledger = store.ledger()
    steps: list[dict[str, float]] = []
    for step in range(outcome.steps):
        metrics = store.metrics(step)
        row = {name: float(metrics[name]) for name in PER_STEP if name in metrics}
        mixed, known = mixed_prefixes(store.forest(step))
        steps.append({**row, "mixed_prefixes": float(mixed), "shared_prefixes": float(known)})
    curve, spent, optimiser, seconds, done = [], Cost(), 0.0, 0.0, 0
    for step in sorted(outcome.reports):
        while done < step:
            spent += ledger[done]
            optimiser += steps[done].get("train/optimiser_steps", 0.0)
            seconds += sum(steps[done][f"seconds_{part}"] for part in ("collect", "train", "rest"))
            done += 1
        success = outcome.reports[step].success
        curve.append(
            Point(
                step=step,
                success=success.mean or 0.0,
                low=success.low or 0.0,
                high=success.high or 0.0,
                tokens=spent.decoded,
                trajectories=spent.trajectories,
                optimiser_steps=optimiser,
                turns=spent.steps,
                latency_s=spent.seconds,
                seconds=seconds,
            ).json()
        )
    return {"curve": curve, "steps": steps, "reason": outcome.reason}
