"""Whole comparisons in the smallest size: cells are files, are not repeated, and share tasks and warm
start."""

import json
from pathlib import Path

import pytest

from trace_gym.assemble import train
from trace_gym.bench.cell import IMITATION, Cell, Silent, configured, credit_rows, demonstrates, method_of
from trace_gym.bench.regime import Pool, keep_wide, wide_pool
from trace_gym.bench.schedulers import Plan, Settings, prepared, run, tune
from trace_gym.config import load, parse
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.store import Store

SUITE = f"{Path(__file__).parents[1] / 'loop_files' / 'easy.py'}:Easy"
SMALL = (
    f"suites={SUITE}",
    "run.steps=1000",
    "run.pool=6",
    "budget.step_trajectories=12",
    "budget.trajectories=24",
    "budget.tokens=100000",
    "run.pace=[2, 0.02, 0]",
    "eval.tasks=3",
    "eval.every=1",
    "predictor.name=beta",
    "warmstart.hidden=32",
    "warmstart.layers=1",
    "warmstart.demos=60",
    "warmstart.steps=30",
    "warmstart.batch_tokens=512",
    "warmstart.lr=1e-2",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One warm start for all tests here."""
    return tmp_path_factory.mktemp("cache")


def plan(folder: Path, *methods: str, **rest: object) -> Plan:
    return Plan(load(None, SMALL), methods or ("uniform", "trace"), [3], folder, **rest)  # type: ignore[arg-type]


def test_a_comparison_from_nothing_and_again(tmp_path: Path, cache: Path) -> None:
    """Every method from the same start on the same candidates; a second call runs nothing; a new method
    joins."""
    told: list[str] = []
    found = run(
        plan(tmp_path),
        Silent(),
        cache=cache,
        progress=lambda name, done, of: told.append(f"{done}/{of} {name}"),
    )
    assert told == ["1/2 uniform-seed3", "2/2 trace-seed3"]
    assert {row.method for row in found.rows} == {"uniform", "trace"}
    starts = {found.curves[method][0][0].success for method in found.curves}
    assert len(starts) == 1
    for curves in found.curves.values():
        [curve] = curves
        assert curve[-1].trajectories == 24
        assert curve[-1].latency_s == pytest.approx(2.0 * curve[-1].turns + 0.02 * curve[-1].tokens)
        assert [p.step for p in curve] == list(range(len(curve)))
    pools = []
    for name in ("uniform-seed3", "trace-seed3"):
        with Store.open(tmp_path / "cells" / name, read_only=True) as store:
            pools.append([task.id for task in store.recover(0).tasks])  # type: ignore[union-attr]
    assert pools[0] == pools[1]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    again = run(plan(tmp_path, "uniform", "trace", IMITATION), Silent(), cache=cache)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert {row.method for row in again.rows} == {"uniform", "trace", IMITATION}
    imitated = next(row for row in again.rows if row.method == IMITATION)
    assert imitated.figures == {}
    assert again.curves[IMITATION][0][-1].tokens > 0


def test_a_budget_of_simulated_seconds(tmp_path: Path, cache: Path) -> None:
    """It ends the run wherever it runs out, by less than what was then running; a second run costs the same
    again."""
    spent = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        limited = Plan(
            load(None, [*SMALL, "budget.trajectories=", "budget.seconds=200"]), ["uniform"], [3], folder
        )
        [curve] = run(limited, Silent(), cache=cache).curves["uniform"]
        spent.append([(point.latency_s, point.tokens) for point in curve])
        assert 200 <= curve[-1].latency_s < 200 + 12 * 40
    assert spent[0] == spent[1]


def test_a_cell_ends_where_what_is_left_pays_for_no_rollout(tmp_path: Path, cache: Path) -> None:
    rest = Plan(load(None, [*SMALL, "budget.trajectories=26"]), ["uniform", "trace"], [3], tmp_path)
    found = run(rest, Silent(), cache=cache)
    for method, spent in (("uniform", 24), ("trace", 24)):
        [curve] = found.curves[method]
        assert curve[-1].trajectories == spent
        assert len({point.trajectories for point in curve}) == len(curve), "every step spends"
        cell = json.loads((tmp_path / "cells" / f"{method}-seed3.json").read_text())
        assert cell["reason"] == "what is left of the budget pays for no rollout"
        assert len(cell["steps"]) == curve[-1].step


class Cuts(Silent):
    """Stops the run after its first step."""

    def step_done(self, step, metrics):
        raise KeyboardInterrupt


def test_a_cut_cell_goes_on(tmp_path: Path, cache: Path) -> None:
    """A run that was stopped is taken up where it stood, and comes to the same end."""
    [cell] = prepared(plan(tmp_path / "cut", "uniform"), Silent(), cache=cache)
    with pytest.raises(KeyboardInterrupt):
        train(parse(cell.config), cell.folder / cell.name, narrator=Cuts(), cache=cache)
    cut = run(plan(tmp_path / "cut", "uniform"), Silent(), cache=cache)
    whole = run(plan(tmp_path / "whole", "uniform"), Silent(), cache=cache)
    costs = [[(p.step, p.tokens) for p in found.curves["uniform"][0]] for found in (cut, whole)]
    assert costs[0] == costs[1]
    assert not (tmp_path / "cut" / "cells" / "uniform-seed3" / "checkpoints").exists()


def test_other_settings_need_another_folder(tmp_path: Path, cache: Path) -> None:
    prepared(plan(tmp_path, "uniform"), Silent(), cache=cache)
    changed = plan(tmp_path, "uniform", settings=Settings(train={"lr": 0.5}))
    with pytest.raises(BadConfig, match="holds uniform-seed3 with other settings"):
        prepared(changed, Silent(), cache=cache)


def test_settings_by_method() -> None:
    table = {
        "train": {"lr": 1e-4},
        "methods": {"trace": {"train": {"epochs": 5}, "options": {"continuations": 3}}},
        "tuned_on": [7],
    }
    settings = Settings.of(table)
    assert settings.json() == table
    assert settings.for_method("uniform") == {"train": {"lr": 1e-4}}
    assert settings.for_method("trace?cap=4")["train"] == {"lr": 1e-4, "epochs": 5}
    data = configured(load(None, SMALL), "trace?cap=4", 2, settings.for_method("trace?cap=4"))
    assert data["scheduler"] == {"name": "trace", "options": {"continuations": 3, "cap": 4}}
    assert (data["train"]["lr"], data["train"]["epochs"], data["run"]["seed"]) == (1e-4, 5, 2)
    assert data["predictor"]["name"] == "beta"
    assert configured(load(None, SMALL), "dapo", 2, {})["predictor"]["name"] == "none"
    with pytest.raises(UnknownName, match="settings key 'trian'; did you mean 'train'"):
        Settings.of({"trian": {}})
    with pytest.raises(UnknownName, match="settings key of 'trace' 'option'; did you mean 'options'"):
        Settings.of({"methods": {"trace": {"option": {}}}})


def test_a_method_may_bring_keys_of_its_own() -> None:
    """Of training and of the budget, over those of the settings."""
    spec = "trace?cap=4&train.advantage=checks&budget.step_trajectories=6"
    assert method_of("uniform?n=4") == ("uniform", {"n": 4}, {})
    taught = ["imitation", "uniform?n=4", "trace_plus?guide_share=0.25&train.lr=1e-4", "trace?guide_share=0"]
    assert [demonstrates(method, {}) for method in taught] == [True, False, True, False]
    assert demonstrates("uniform", {"options": {"guide_share": 0.2}})
    assert not demonstrates("uniform?guide_share=0", {"options": {"guide_share": 0.2}})
    settings = {"train": {"advantage": "node", "lr": 0.5}, "budget": {"step_tokens": 70}}
    data = configured(load(None, SMALL), spec, 2, settings)
    assert data["scheduler"] == {"name": "trace", "options": {"cap": 4}}
    assert (data["train"]["advantage"], data["train"]["lr"]) == ("checks", 0.5)
    assert (data["budget"]["step_trajectories"], data["budget"]["step_tokens"]) == (6, 70)
    with pytest.raises(BadConfig, match=r"budget\.tokens of its own; all methods spend the same"):
        configured(load(None, SMALL), "trace?budget.tokens=9", 2, {})
    assert configured(load(None, SMALL), "trace_plus", 2, {})["train"]["advantage"] == "checks"
    assert configured(load(None, SMALL), "trace_plus", 2, settings)["train"]["advantage"] == "node"
    found = [configured(load(None, SMALL), row, 2, {}) for row in credit_rows(load(None, SMALL))]
    assert [(data["scheduler"]["name"], data["train"]["advantage"]) for data in found] == [
        ("trace_plus", "drgrpo"),
        ("uniform", "checks"),
    ]
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        configured(load(None, SMALL), "trace?trian.lr=1", 2, {})
    with pytest.raises(UnknownName, match=r"train\.lrr"):
        configured(load(None, SMALL), "trace?train.lrr=1", 2, {})


def test_plans_are_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="seed 3 was used for tuning; report on others"):
        plan(tmp_path, settings=Settings(tuned_on=(3,)))
    with pytest.raises(UnknownName, match="did you mean 'trace'"):
        plan(tmp_path, "trac")
    with pytest.raises(UnknownName, match="did you mean 'budget'"):
        plan(tmp_path, "trace?budgt.tokens=1")
    with pytest.raises(UnknownName, match="regime 'wild'; did you mean 'wide'"):
        plan(tmp_path, regime="wild")
    for twice in (["uniform", "uniform"], ["trace?cap=2", "trace cap=2"]):
        with pytest.raises(BadConfig, match=r"'.*' and '.*' would be one run; name one of them"):
            Plan(load(None, SMALL), twice, [0], tmp_path)
    with pytest.raises(BadConfig, match="at least one method"):
        Plan(load(None, SMALL), [], [0], tmp_path)
    with pytest.raises(BadConfig, match="at least one process"):
        run(plan(tmp_path), Silent(), jobs=0)


def test_tuning_takes_the_best_and_says_where(tmp_path: Path, cache: Path) -> None:
    """Two learning rates for one method; the seeds used are noted, and evaluation was on training tasks."""
    best = tune(plan(tmp_path, "uniform"), {"lr": [0.0, 1e-3]}, Silent(), cache=cache)
    assert best.tuned_on == (3,)
    assert best.methods["uniform"]["train"]["lr"] in (0.0, 1e-3)
    finals = {}
    for number, lr in enumerate((0.0, 1e-3)):
        cell = Cell("uniform", 3, {}, tmp_path / f"grid-{number:03d}" / "cells")
        finals[lr] = json.loads(cell.file.read_text())["curve"][-1]["success"]
        with Store.open(cell.folder / cell.name, read_only=True) as store:
            assert store.config["eval"]["split"] == "train"
    assert finals[best.methods["uniform"]["train"]["lr"]] == max(finals.values())
    with pytest.raises(BadConfig, match="a grid names training settings"):
        tune(plan(tmp_path, "uniform"), {"policy.model": ["smollm2"]}, Silent(), cache=cache)


def test_a_wide_pool_by_hand() -> None:
    """Seven extreme tasks and five others: 7 of 10 kept are extreme."""
    rates = {f"e{i}": float(i % 2) for i in range(7)} | {f"m{i}": 0.5 for i in range(5)}
    kept = keep_wide(rates)
    assert len(kept) == 10
    assert Pool(tuple(kept), rates).extreme == pytest.approx(0.7)
    assert keep_wide(rates) == kept
    assert keep_wide({"e": 1.0}) == []


def test_a_wide_pool_needs_tasks_of_both_kinds(tmp_path: Path, cache: Path) -> None:
    """One attempt each: nobody lies between."""
    with pytest.raises(BadConfig, match="only 0 tasks would be kept of 24"):
        wide_pool(load(None, SMALL), tmp_path, Silent(), sample=60, attempts=1, cache=cache)


def test_a_wide_pool_is_measured_once_and_restricts_training(tmp_path: Path, cache: Path) -> None:
    pool = Pool(("3-2", "3-3", "4-1", "4-3", "5-1", "5-3"), {"3-2": 1.0, "4-1": 0.5})
    (tmp_path / "pool.json").write_text(json.dumps(pool.json()))
    (tmp_path / "only.txt").write_text("\n".join(pool.kept))
    assert wide_pool(load(None, SMALL), tmp_path, Silent(), cache=cache) == pool
    run(plan(tmp_path, "uniform", regime="wide"), Silent(), cache=cache)
    with Store.open(tmp_path / "cells" / "uniform-seed3", read_only=True) as store:
        offered = {task.id for step in (0, 1) for task in store.recover(step).tasks}  # type: ignore[union-attr]
    assert offered == set(pool.kept)
    (tmp_path / "only.txt").write_text("9-9")
    with pytest.raises(BadConfig, match="has no training task '9-9'"):
        run(plan(tmp_path, "trace", regime="wide"), Silent(), cache=cache)
