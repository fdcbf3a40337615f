"""Sealed splits: drawn by family, checked by hash, refused when anything changed; and the audit of leaks."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, SplitViolation
from trace_gym.core.task import Split, Task
from trace_gym.environment.audit import audit, overlaps
from trace_gym.environment.registry import Suite, suite
from trace_gym.environment.seal import content_of, read_seal, sealed, write_seal
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.uniform import Uniform

LEAKY = f"{Path(__file__).with_name('leaky.py')}:Leaky"


def tasks(families: int = 10, each: int = 3) -> list[Task]:
    return [
        Task(f"{f}/{i}", "guess", Split.TEST if f < 3 else Split.TRAIN, str(f))
        for f in range(families)
        for i in range(each)
    ]


def test_families_go_to_one_side_whole_and_the_suites_own_test_split_stays_out() -> None:
    seal = sealed("guess", tasks(), of="train", test=0.3, seed=0)
    train, test = (seal.tasks(tasks(), split) for split in (Split.TRAIN, Split.TEST))
    assert {task.split for task in train} == {Split.TRAIN}
    assert {task.split for task in test} == {Split.TEST}
    assert len({task.family for task in test}) == 2, "three tenths of seven families"
    assert not {task.family for task in train} & {task.family for task in test}
    assert {task.family for task in [*train, *test]} == {str(f) for f in range(3, 10)}
    everything = sealed("guess", tasks(), of="all", test=0.3, seed=0)
    assert len(everything.families) == 10


def test_the_seed_decides_and_there_is_something_on_both_sides() -> None:
    seals = [sealed("guess", tasks(), of="all", test=0.3, seed=seed) for seed in (0, 0, 1)]
    assert seals[0] == seals[1] != seals[2]
    for share in (0.001, 0.999):
        assert set(sealed("guess", tasks(), of="all", test=share, seed=0).families.values()) == set(Split)
    with pytest.raises(BadConfig, match="1 families there"):
        sealed("guess", tasks(1), of="all", test=0.5, seed=0)
    with pytest.raises(BadConfig, match="between 0 and 1"):
        sealed("guess", tasks(), of="all", test=1.0, seed=0)


def test_a_sealed_file_is_read_back_and_cannot_be_changed(tmp_path: Path) -> None:
    seal, path = sealed("guess", tasks(), of="train", test=0.3, seed=0), tmp_path / "split.json"
    write_seal(seal, path)
    assert read_seal(path) == seal
    with pytest.raises(BadConfig, match="cannot be written"):
        write_seal(seal, path)
    data = json.loads(path.read_text())
    data["train"].append(data["test"].pop())
    path.write_text(json.dumps(data))
    with pytest.raises(BadConfig, match="changed after it was sealed"):
        read_seal(path)
    for text, says in (
        ("[]", "not a sealed split"),
        ("{", "not a sealed split"),
        ('{"trace_gym_split": 9}', "version 9"),
    ):
        path.write_text(text)
        with pytest.raises(BadConfig, match=says):
            read_seal(path)


def test_other_tasks_than_were_sealed_are_refused() -> None:
    seal = sealed("guess", tasks(), of="train", test=0.3, seed=0)
    changed = [*tasks()[:-1], replace(tasks()[-1], payload={"goal": 3})]
    for others in (changed, tasks(9), tasks(each=4)):
        with pytest.raises(BadConfig, match="are not those that were sealed"):
            seal.tasks(others, Split.TRAIN)
    assert content_of(reversed(tasks())) == content_of(tasks()), "whatever their order"


async def trained_on(held: Suite) -> None:
    config = CollectorConfig(training=True)
    async with Collector({"guess": held.make}, make_agent("noop"), Uniform(n=1), config=config) as collector:
        await collector.collect(0, held.tasks(Split.TEST), Budget())


def test_training_refuses_what_a_seal_holds_out(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    everything = [task for split in Split for task in suite("guess").tasks(split)]
    write_seal(sealed("guess", everything, of="train", test=0.25, seed=0), path)
    held = suite(f"guess?sealed={path}")
    assert (len(held.tasks(Split.TRAIN)), len(held.tasks(Split.TEST))) == (864, 288)
    own = {task.id for task in suite("guess").tasks(Split.TEST)}
    assert not own & {task.id for task in held.tasks(Split.TEST)}
    with pytest.raises(SplitViolation, match="offered 288 test tasks"):
        asyncio.run(trained_on(held))
    with pytest.raises(BadConfig, match="of suite 'guess', not of 'bfcl'"):
        suite(f"bfcl?sealed={path}")


# The audit.


@pytest.mark.parametrize("leak", ["none", "family", "twice", "near", "gold", "hidden", "goal"])
def test_every_leak_is_found_and_nothing_else(leak: str) -> None:
    found = audit(suite(f"{LEAKY}?leak={leak}"))
    assert found.sound == (leak in ("none", "goal"))
    assert (found.read, found.secrets) == ((30, 30), 60)
    assert found.straddling == (("shared",) if leak == "family" else ())
    assert [(pair.train, pair.test) for pair in found.twice] == (
        [("leaky/train-3", "leaky/test-3")] if leak in ("twice", "hidden") else []
    )
    assert [(pair.train, pair.test) for pair in found.near] == (
        [("leaky/train-3", "leaky/test-3")] if leak == "near" else []
    )
    assert found.told == (("leaky/test-4",) if leak == "gold" else ())


def test_what_all_tasks_share_makes_no_two_of_them_near() -> None:
    shared = "please read all of these instructions with the greatest care and follow them to the letter"
    train = {f"a{i}": f"{shared} a{i} b{i} c{i} d{i} e{i} f{i} g{i}" for i in range(20)}
    test = {f"t{i}": f"{shared} p{i} q{i} r{i} s{i} t{i} u{i} v{i}" for i in range(20)}
    assert overlaps(train, test, 0.8) == ((), ())
    test["copy"] = train["a3"].upper() + "  "
    test["longer"] = train["a7"] + " and some words more than there were"
    twice, near = overlaps(train, test, 0.8)
    assert [(pair.train, pair.test) for pair in twice] == [("a3", "copy")]
    assert [(pair.train, pair.test, pair.overlap) for pair in near] == [("a7", "longer", 1.0)]
