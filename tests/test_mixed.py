"""One run over three real suites: shares, floors and costs by suite, as its journal tells them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.loop_files.runs import Listening
from trace_gym.assemble import check, train
from trace_gym.config import RunConfig, load
from trace_gym.store import Store

SUITES = ("wikihop_compact", "reasoning_compact", "shop_compact")
SPELLED = (
    '[{spec="wikihop_compact",share=6.0},{spec="reasoning_compact",share=5.0},'
    '{spec="shop_compact",share=1.0,floor=0.25}]'
)
SMALL = (
    f"suites={SPELLED}",
    "run.steps=2",
    "run.pool=24",
    "run.workers=4",
    "budget.step_trajectories=48",
    "eval.tasks=2",
    "train.epochs=1",
    "warmstart.demos=60",
    "warmstart.steps=4",
    "warmstart.hidden=64",
    "warmstart.layers=2",
)


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load("mixed", SMALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> tuple[Path, Listening]:
    folder, told = tmp_path_factory.mktemp("mixed") / "run", Listening()
    told.outcome = train(config, folder, narrator=told, cache=tmp_path_factory.mktemp("cache"))
    return folder, told


def test_candidates_by_share_and_floor(whole: tuple[Path, Listening], config: RunConfig) -> None:
    """Of 24 candidates the shop keeps a quarter, not its share of a twelfth; 6 to 5 share the other 18."""
    assert check(config)["candidates a step"] == "wikihop_compact 10, reasoning_compact 8, shop_compact 6"
    with Store.open(whole[0], read_only=True) as store:
        for step in (0, 1):
            found = Counter(candidate.suite for candidate in store.recover(step).pool)
            assert found == {"wikihop_compact": 10, "reasoning_compact": 8, "shop_compact": 6}


def test_the_floor_holds_for_what_is_played(whole: tuple[Path, Listening]) -> None:
    """48 trajectories with 2 continuations a root are 16 roots, of which at least 4 are the shop's."""
    with Store.open(whole[0], read_only=True) as store:
        for step in (0, 1):
            known = store.recover(step)
            suites = {candidate.index: candidate.suite for candidate in known.pool}
            roots: Counter[str] = Counter()
            for grant in known.grants:
                roots[suites[grant.anchor.tree]] += grant.count
            assert sum(roots.values()) == 16
            assert roots["shop_compact"] >= 4


def test_costs_by_suite_add_up_to_the_step(whole: tuple[Path, Listening]) -> None:
    for metrics in whole[1].metrics.values():
        for name in ("trajectories", "turns", "tokens_sampled", "trees"):
            assert sum(metrics[f"suite/{suite}/{name}"] for suite in SUITES) == metrics[name]
        assert sum(metrics[f"suite/{suite}/share_tokens"] for suite in SUITES) == pytest.approx(1.0)


def test_held_out_success_is_told_by_suite(whole: tuple[Path, Listening]) -> None:
    for report in whole[1].reports.values():
        assert set(SUITES) <= set(report.by)
