"""Which allocation of the same budget learns most: every method on the same tasks, warm start and seeds.

A comparison is a folder of cells (`cell.Cell`), one finished file a method and seed; what is there is not run
again. Leaves out what a cell does, reading tables off curves (`comparison`) and drawing them (`plot`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from trace_gym.assemble import Narrator, warm_config
from trace_gym.bench.cell import IMITATION, OWN_SECTIONS, Cell, configured, method_of, plain_name, run_cell
from trace_gym.bench.comparison import Comparison, compare
from trace_gym.bench.regime import REGIMES, wide_pool
from trace_gym.bench.workers import workers
from trace_gym.config import RunConfig, parse
from trace_gym.core.errors import BadConfig, unknown
from trace_gym.environment.registry import suite
from trace_gym.policies import find_model
from trace_gym.schedule.catalogue import make

Progress = Callable[[str, int, int], None]
OWN = (*OWN_SECTIONS, "options", "predictor")
"""What a method may have settings of its own for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is set for methods: `train`, for all; by method spec `train`, `budget`, `options` and `predictor`,
    over that. `tuned_on` are the seeds that these were found with: nothing is reported on them."""

    train: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuned_on: tuple[int, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Settings:
        """From a table with `train`, `methods` and `tuned_on`. Raises BadConfig for anything else in it."""
        for key in table:
            if key not in ("train", "methods", "tuned_on"):
                raise unknown("settings key", key, ["train", "methods", "tuned_on"])
        methods = table.get("methods", {})
        for method, own in methods.items():
            for key in own:
                if key not in OWN:
                    raise unknown(f"settings key of {method!r}", key, OWN)
        return cls(table.get("train", {}), methods, tuple(table.get("tuned_on", ())))

    def json(self) -> dict[str, Any]:
        """As a table."""
        return {"train": dict(self.train), "methods": dict(self.methods), "tuned_on": list(self.tuned_on)}

    def for_method(self, method: str) -> dict[str, Any]:
        """What holds for a method; a spec without settings of its own has those of its name."""
        own = self.methods.get(method) or self.methods.get(method.partition("?")[0]) or {}
        return {**own, "train": {**self.train, **own.get("train", {})}}


@dataclass(frozen=True, slots=True)
class Plan:
    """A comparison: `config` without what differs between cells, but with the pace at which all are charged;
    `methods` by spec (`imitation` among them, if wanted), `seeds`, the regime; `baseline`: which of the
    methods the others are compared with (None: see `comparison.found_baseline`)."""

    config: RunConfig
    methods: Sequence[str]
    seeds: Sequence[int]
    folder: Path
    settings: Settings = Settings()
    regime: str = "natural"
    baseline: str | None = None

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise unknown("regime", self.regime, list(REGIMES))
        if not self.methods or not self.seeds:
            raise BadConfig("a comparison needs at least one method and one seed")
        named: dict[str, str] = {}
        for method in self.methods:
            if plain_name(method) in named:
                raise BadConfig(
                    f"{named[plain_name(method)]!r} and {method!r} would be one run; name one of them"
                )
            named[plain_name(method)] = method
        if self.baseline is not None and self.baseline not in self.methods:
            raise unknown("baseline", self.baseline, list(self.methods))
        both = sorted(set(self.seeds) & set(self.settings.tuned_on))
        if both:
            raise BadConfig(f"seed {both[0]} was used for tuning; report on others")
        if IMITATION in self.methods and self.config.budget.tokens is None:
            raise BadConfig("the imitation control needs a budget of tokens")
        for method in self.methods:
            if method != IMITATION:
                name, options, _ = method_of(method)
                make(name, {**self.settings.for_method(method).get("options", {}), **options}, seed=0)


def run(
    plan: Plan,
    narrator: Narrator,
    *,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run what is not finished over `jobs` processes, and compare. Raises BadConfig, UnknownName, and what
    stopped a cell; the others' files stay."""
    if jobs < 1:
        raise BadConfig(f"at least one process, got {jobs}")
    cells = prepared(plan, narrator, cache=cache)
    for done, name in enumerate(run_cells(cells, jobs=jobs), start=1):
        if progress:
            progress(name, done, len(cells))
    finished = [json.loads(cell.file.read_text(encoding="utf-8")) for cell in cells]
    return compare(finished, baseline=plan.baseline)


def prepared(plan: Plan, narrator: Narrator, *, cache: Path | None = None) -> list[Cell]:
    """The cells of a plan; the pool is measured and the policy warm before the first of them starts."""
    config, folder = plan.config, plan.folder
    folder.mkdir(parents=True, exist_ok=True)
    suites = [suite(section.spec) for section in config.suites]
    find_model(
        config.policy.model,
        suites,
        warm=warm_config(config),
        cache=cache,
        note=narrator.note,
        progress=narrator.warming,
    )
    if plan.regime == "wide":
        wide_pool(config, folder, narrator, cache=cache)
        data = config.model_dump(mode="json", exclude_none=True)
        data["suites"][0]["only"] = str(folder / "only.txt")
        config = parse(data)
    cells = [
        Cell(
            method,
            seed,
            configured(config, method, seed, plan.settings.for_method(method)),
            folder / "cells",
            cache,
        )
        for seed, method in product(plan.seeds, plan.methods)
    ]
    (folder / "cells").mkdir(exist_ok=True)
    _see_that_same(folder / "plan.json", cells)
    return cells


def run_cells(cells: Sequence[Cell], *, jobs: int) -> Iterator[str]:
    """Run cells, yielding each one's name as it is finished."""
    if jobs == 1:
        for cell in cells:
            run_cell(cell)
            yield cell.name
        return
    with workers(jobs) as pool:
        running: dict[Future[dict[str, Any]], str] = {
            pool.submit(run_cell, cell): cell.name for cell in cells
        }
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def tune(
    plan: Plan,
    grid: Mapping[str, Sequence[Any]],
    narrator: Narrator,
    *,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Settings:
    """Every combination of the `grid` of training settings (`lr`) and keys of the budget
    (`budget.step_trajectories`) for every method, on the plan's seeds and on training tasks: the settings
    whose final success was the highest on average. Raises as `run` does."""
    places = [_place(key) for key in grid]
    data = plan.config.model_dump(mode="json", exclude_none=True)
    data["eval"] = {**data["eval"], "split": "train"}
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for number, values in enumerate(product(*grid.values())):
        chosen = dict(zip(grid, values, strict=True))
        methods = {method: dict(plan.settings.for_method(method)) for method in plan.methods}
        for own in methods.values():
            for (section, key), value in zip(places, values, strict=True):
                own[section] = {**own.get(section, {}), key: value}
        trial = Plan(
            parse(data),
            plan.methods,
            plan.seeds,
            plan.folder / f"grid-{number:03d}",
            Settings(methods=methods),
            plan.regime,
        )
        run(trial, narrator, jobs=jobs, cache=cache, progress=progress)
        for method in plan.methods:
            final = fmean(_final(trial, method, seed) for seed in plan.seeds)
            narrator.note(f"{method} with {chosen}: {final:.3f}")
            if method not in best or final > best[method][0]:
                best[method] = (final, methods[method])
    return Settings(methods={method: own for method, (_, own) in best.items()}, tuned_on=tuple(plan.seeds))


def _place(key: str) -> tuple[str, str]:
    """Section and key that a key of a grid means."""
    section, _, last = key.rpartition(".")
    if section not in ("", *OWN_SECTIONS) or not last.isidentifier():
        raise BadConfig(
            f"a grid names training settings such as lr, or budget.step_trajectories, got {key!r}"
        )
    return section or "train", last


def _final(plan: Plan, method: str, seed: int) -> float:
    cell = Cell(method, seed, {}, plan.folder / "cells")
    found = json.loads(cell.file.read_text(encoding="utf-8"))
    return float(found["curve"][-1]["success"])


def _see_that_same(file: Path, cells: Sequence[Cell]) -> None:
    """Refuse to mix cells of another configuration into a folder; new methods and seeds may join."""
    now = {cell.name: dict(cell.config) for cell in cells}
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, settings in now.items():
        if name in known and known[name] != json.loads(json.dumps(settings)):
            raise BadConfig(f"{file.parent} holds {name} with other settings; choose another --folder")
    file.write_text(json.dumps({**known, **now}), encoding="utf-8")
