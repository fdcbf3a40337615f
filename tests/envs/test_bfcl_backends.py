"""The services under hostile calls, and what must not leak from one episode into another."""

from __future__ import annotations

import decimal
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import mpmath
import pytest

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.errors import DatasetUnavailable, MalformedData
from trace_gym.core.task import Split, Task
from trace_gym_envs.bfcl import Bfcl
from trace_gym_envs.bfcl.backends import Backends, World
from trace_gym_envs.bfcl.benchmark import benchmark
from trace_gym_envs.bfcl.entries import read_tasks
from trace_gym_envs.bfcl.gold import parse_call
from trace_gym_envs.bfcl.wheel import unpacked


@pytest.fixture(scope="module")
def backends() -> Backends:
    return benchmark(unpacked()).backends


def open_world(backends: Backends, *classes: str, long_context: bool = False) -> World:
    return backends.open(classes, {}, long_context=long_context)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("power", {"base": 9, "exponent": 10**12}),
        ("power", {"base": -(10**300), "exponent": 10**6}),
        ("logarithm", {"value": 2.0, "base": 3.0, "precision": 10**9}),
        ("square_root", {"number": 2, "precision": 10**12}),
        ("round_number", {"number": 5, "decimal_places": -(10**12)}),
    ],
)
def test_hostile_numbers_are_answered_at_once(
    backends: Backends, name: str, arguments: dict[str, Any]
) -> None:
    started = time.perf_counter()
    answer = backends.call(open_world(backends, "MathAPI"), name, arguments)
    assert answer.startswith("Error during execution: ")
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("power", {"base": 2, "exponent": 10}, '{"result": 1024}'),
        ("power", {"base": -8, "exponent": 0.5}, "{'result': (1.7319121124709868e-16+2.8284271247461903j)}"),
        (
            "power",
            {"base": 0, "exponent": -1},
            "Error during execution: 0.0 cannot be raised to a negative power",
        ),
        ("round_number", {"number": 1234, "decimal_places": -2}, '{"result": 1200}'),
        ("logarithm", {"value": 20, "base": 10, "precision": 2}, "{'result': mpf('1.3027')}"),
        ("square_root", {"number": 2, "precision": 5}, "{'result': Decimal('1.4142')}"),
        ("mean", {"numbers": []}, '{"error": "Cannot calculate mean of an empty list"}'),
    ],
)
def test_answers_are_rendered_as_the_benchmark_does(
    backends: Backends, name: str, arguments: dict[str, Any], answer: str
) -> None:
    assert backends.call(open_world(backends, "MathAPI"), name, arguments) == answer


def test_precision_is_put_back(backends: Backends) -> None:
    before = (decimal.getcontext().prec, mpmath.mp.dps)
    world = open_world(backends, "MathAPI")
    backends.call(world, "square_root", {"number": 2, "precision": 3})
    backends.call(world, "logarithm", {"value": 2, "base": 3, "precision": 3})
    assert (decimal.getcontext().prec, mpmath.mp.dps) == before


def test_directories_folded_into_each_other_are_refused(backends: Backends) -> None:
    """Thirty copies of a directory into itself would make 2**30 paths of some thirty directories."""
    world = open_world(backends, "GorillaFileSystem")
    backends.call(world, "mkdir", {"dir_name": "d0"})
    answers = []
    for i in range(1, 40):
        answers.append(backends.call(world, "cp", {"source": "d0", "destination": f"d{i}"}))
        answers.append(backends.call(world, "mv", {"source": f"d{i}", "destination": "d0"}))
    assert answers[-1].startswith("Error during execution: the directory tree has more than")
    started = time.perf_counter()
    assert backends.call(world, "find", {"path": "."}).startswith("Error during execution")
    deepcopy(world)
    assert time.perf_counter() - started < 1.0


def test_a_directory_copied_into_itself(backends: Backends) -> None:
    world = open_world(backends, "GorillaFileSystem")
    backends.call(world, "mkdir", {"dir_name": "a"})
    backends.call(world, "cp", {"source": "a", "destination": "a"})
    assert backends.call(world, "find", {"path": "."}).startswith("Error during execution")
    assert backends.call(deepcopy(world), "cd", {"folder": "a"}) == '{"current_working_directory": "a"}'


def test_deep_directories_are_refused_before_a_fork_would_fail(backends: Backends) -> None:
    world = open_world(backends, "GorillaFileSystem")
    answers = []
    for _ in range(300):
        answers.append(backends.call(world, "mkdir", {"dir_name": "a"}))
        backends.call(world, "cd", {"folder": "a"})
    assert answers[50] == "None"
    assert answers[-1].endswith("more than 100 directories")
    assert backends.call(deepcopy(world), "pwd", {}).count("a") == 100


def test_default_arguments_do_not_leak(backends: Backends) -> None:
    for _ in range(2):
        world = backends.open(["TwitterAPI"], {"TwitterAPI": {"authenticated": True}}, long_context=False)
        posted = json.loads(backends.call(world, "post_tweet", {"content": "hello"}))
        assert posted["mentions"] == []
        backends.call(world, "mention", {"tweet_id": posted["id"], "mentioned_usernames": ["@zoe"]})
        tweet = backends.call(world, "get_tweet", {"tweet_id": posted["id"]})
        assert json.loads(tweet)["mentions"] == ["@zoe"]


def test_arguments_are_not_shared_with_the_caller(backends: Backends) -> None:
    world = backends.open(["TwitterAPI"], {"TwitterAPI": {"authenticated": True}}, long_context=False)
    mentions = ["@ann"]
    backends.call(world, "post_tweet", {"content": "hello", "mentions": mentions})
    backends.call(world, "mention", {"tweet_id": 0, "mentioned_usernames": ["@zoe"]})
    assert mentions == ["@ann"]


def test_records_of_long_context_do_not_leak(backends: Backends) -> None:
    flight = {"travel_from": "SFO", "travel_to": "LAX", "travel_date": "2026-11-15", "travel_class": "first"}
    for _ in range(2):
        config = {"TravelAPI": {"access_token": "t", "token_expires_in": 9}}
        world = backends.open(["TravelAPI"], config, long_context=True)
        card = {"access_token": "t", "card_id": "1234567812345678"}
        assert backends.call(world, "get_credit_card_balance", card) == '{"card_balance": 5000.0}'
        assert '"booking_status": true' in backends.call(world, "book_flight", {**card, **flight})
        assert backends.call(world, "get_credit_card_balance", card) == '{"card_balance": 3000.0}'


def test_a_fork_does_not_share(backends: Backends) -> None:
    world = open_world(backends, "GorillaFileSystem", "MessageAPI")
    fork = deepcopy(world)
    backends.call(world, "touch", {"file_name": "a.txt"})
    assert "a.txt" not in backends.call(fork, "ls", {})
    assert backends.call(world, "ls", {}) != backends.call(fork, "ls", {})


def test_worlds_in_threads_do_not_mix(backends: Backends) -> None:
    """The calculator's precision and the weather report are globals of the benchmark's modules."""

    def play(digits: int) -> list[str]:
        world = open_world(backends, "MathAPI", "VehicleControlAPI", long_context=True)
        answers = []
        for _ in range(30):
            arguments = {"value": 2, "base": 3, "precision": digits}
            answers.append(backends.call(world, "logarithm", arguments))
            answers.append(backends.call(world, "get_outside_temperature_from_google", {}))
        return answers

    alone = [play(digits) for digits in range(5, 13)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(play, range(5, 13))) == alone


def test_answers_do_not_depend_on_the_hash_seed() -> None:
    """Python prints a set of strings in an order that changes from process to process."""
    program = """
from trace_gym_envs.bfcl.benchmark import benchmark
from trace_gym_envs.bfcl.wheel import unpacked
config = {"access_token": "t", "credit_card_list": {"c": {"balance": 1}}}
flight = {"travel_date": "2026-11-15", "travel_from": "SFO", "travel_to": "LAX", "travel_class": "coach"}
backends = benchmark(unpacked()).backends
world = backends.open(["TravelAPI"], {"TravelAPI": config}, long_context=False)
print(backends.call(world, "book_flight", {"access_token": "t", "card_id": "c", **flight}))
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert json.loads(answers[0])["error"].endswith("Must be one of {'business', 'economy', 'first'}")
    assert answers[0] == answers[1]


def test_ages_stand_still(backends: Backends) -> None:
    world = open_world(backends, "TravelAPI")
    world["TravelAPI"].user_first_name, world["TravelAPI"].user_last_name = "Ann", "Lee"
    person = {"first_name": "Ann", "last_name": "Lee", "passport_number": "US1"}
    of_age = backends.call(world, "verify_traveler_information", {**person, "date_of_birth": "2008-03-23"})
    too_young = backends.call(world, "verify_traveler_information", {**person, "date_of_birth": "2008-03-24"})
    assert of_age == '{"verification_status": true}'
    assert "at least 18" in too_young


def test_reference_calls_are_parsed_not_evaluated(backends: Backends) -> None:
    assert parse_call("sort('a.txt')", backends, source="x") == ToolCall("sort", {"file_name": "a.txt"})
    assert parse_call("mean(numbers=[3, -1.5])", backends, source="x") == ToolCall(
        "mean", {"numbers": [3, -1.5]}
    )
    for text in (
        "sort(open('/etc/passwd'))",
        "eval('1')",
        "sort",
        "sort('a', 'b')",
        "sort(lost=1)",
        "sort(",
        "a.b()",
    ):
        with pytest.raises(MalformedData, match=r"x, field 'ground_truth'"):
            parse_call(text, backends, source="x")


def test_malformed_entries_name_file_line_and_field(tmp_path: Path) -> None:
    root = unpacked()
    data = tmp_path / "bfcl_eval" / "data"
    (data / "possible_answer").mkdir(parents=True)
    name = "BFCL_v4_multi_turn_base.json"
    question = (root / "bfcl_eval" / "data" / name).read_text(encoding="utf-8").splitlines()[:2]
    answer = (
        (root / "bfcl_eval" / "data" / "possible_answer" / name).read_text(encoding="utf-8").splitlines()[:2]
    )
    shorter = {**json.loads(answer[1]), "ground_truth": [[]]}
    (data / name).write_text("\n".join(question), encoding="utf-8")
    (data / "possible_answer" / name).write_text(f"{answer[0]}\n{json.dumps(shorter)}", encoding="utf-8")
    with pytest.raises(
        MalformedData, match=rf"{name}, line 2, field 'ground_truth': has 1 turns, the user has"
    ):
        read_tasks(tmp_path, more="More.", steps_per_turn=20)


def test_an_episode_survives_hostile_calls() -> None:
    """The environment answers; the episode goes on and the oracle may still finish it."""
    task: Task = next(t for t in Bfcl.tasks(Split.TRAIN) if "MathAPI" in t.payload["classes"])
    env = Bfcl()
    env.reset(seed=0, options={"task": task})
    observation, _, terminated, truncated, _ = env.step(Action.call("power", base=10, exponent=10**9))
    assert observation == "Error during execution: the result is too large"
    assert not terminated
    assert not truncated
    env.restore(env.snapshot())
    action = env.oracle()
    while action is not None:
        *_, info = env.step(action)
        action = env.oracle()
    assert info["success"] is True


def test_a_missing_module_is_named_with_its_remedy() -> None:
    program = """
import sys
sys.modules["mpmath"] = None
from trace_gym.core.errors import MissingExtra
from trace_gym_envs.bfcl import Bfcl
try:
    Bfcl()
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "bfcl needs mpmath; install it with: pip install 'trace-gym[bfcl]'\n"


def test_without_network_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DatasetUnavailable, match=r"cannot fetch bfcl-eval 2026\.3\.23"):
        Bfcl.tasks(Split.TRAIN)
