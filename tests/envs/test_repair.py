"""The repair suite as an environment: tools, checks, oracle, forks, splits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.certify import certify
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.tasks import straddling
from trace_gym.environment.trial import Plan
from trace_gym_envs.repair import Repair
from trace_gym_envs.repair.projects import project

KINDS = ("bwrap", "docker")


@pytest.fixture(scope="module", params=KINDS)
def env(request, require) -> Iterator[Repair]:
    require(request.param)
    made = Repair(sandbox=request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def task() -> Task:
    """`overlaps` of a span with `or` for `and`: two tests fail."""
    (found,) = [each for each in Repair.tasks(Split.TRAIN) if each.id == "spans/boolean/421679ff"]
    return found


def begin(env: Repair, task: Task) -> tuple[str, dict[str, Verdict]]:
    observation, info = env.reset(seed=0, options={"task": task})
    return observation, {verdict.name: verdict for verdict in info["verdicts"]}


def do(env: Repair, tool: str, **arguments: object) -> tuple[str, float, dict[str, Verdict]]:
    observation, reward, _, _, info = env.step(Action.call(tool, **arguments))
    return observation, reward, {verdict.name: verdict for verdict in info["verdicts"]}


def by_oracle(env: Repair) -> float:
    """Let the oracle finish; the reward."""
    while True:
        _, reward, terminated, truncated, _ = env.step(env.oracle())
        if terminated or truncated:
            return reward


def test_tasks_are_listed_without_a_sandbox() -> None:
    train, test = Repair.tasks(Split.TRAIN), Repair.tasks(Split.TEST)
    assert (len(train), len(test)) == (480, 240)
    assert straddling(train, test) == ()
    assert len({task.id for task in (*train, *test)}) == 720
    assert len({task.family for task in train}) == 8
    assert len({task.family for task in test}) == 4
    assert len({task.payload["operator"] for task in train}) >= 15


def test_an_episode(env: Repair, task: Task) -> None:
    observation, verdicts = begin(env, task)
    path = task.payload["path"]
    assert "Only the files under spans/ may be changed." in observation
    assert f"{path} (" in observation
    failing = [name for name in verdicts if name.startswith("fixes ")]
    assert failing == [f"fixes {test}" for test in task.payload["failing"]]
    assert {verdicts[name].score for name in failing} == {0.0}
    assert (verdicts["keeps passing"].score, verdicts["allowed files"].score) == (1.0, 1.0)

    said, _, _ = do(env, "run_tests")
    assert "FAILED" in said
    assert "Ran 25 tests\n" in said
    edit = env.oracle()
    assert edit is not None
    assert edit.calls[0].name == "read_file"
    env.step(edit)
    edit = env.oracle()
    assert edit is not None
    assert edit.calls[0].name == "edit_file"
    _, _, terminated, _, info = env.step(edit)
    assert not terminated
    assert {verdict.status for verdict in info["verdicts"]} == {"pass"}
    said, reward, _ = do(env, "done")
    assert (said, reward) == ("The package is handed in.", 1.0)
    assert env.oracle() is None


def test_nothing_done_is_nothing_gained(env: Repair, task: Task) -> None:
    begin(env, task)
    assert do(env, "done")[1] == 0.0


def test_reading_and_searching(env: Repair, task: Task) -> None:
    begin(env, task)
    assert do(env, "read_file", path="spans/__init__.py")[0] == (
        '   1  """Half-open spans of whole numbers, and sets of them."""'
    )
    assert do(env, "read_file", path="spans/span.py", first=4, last=5)[0] == (
        "   4  class EmptySpan(ValueError):\n"
        '   5      """A span that would hold no number."""\n'
        "(lines 6 to 61 are not shown)"
    )
    assert do(env, "search", text="class EmptySpan")[0] == "spans/span.py:4: class EmptySpan(ValueError):"
    assert do(env, "search", text="nowhere")[0] == "No line holds 'nowhere'."
    assert do(env, "read_file", path="spans/span.py", first=900)[0] == "The file has 61 lines only."


@pytest.mark.parametrize(
    "path", ["../etc/passwd", "/etc/passwd", "a//b", "", "spans/../x", "a\x00b", "/workspace"]
)
def test_paths_stay_in_the_workspace(env: Repair, task: Task, path: str) -> None:
    begin(env, task)
    said, _, verdicts = do(env, "write_file", path=path, content="x")
    assert "is no path of a file in the workspace" in said
    assert verdicts["allowed files"].score == 1.0


def test_an_edit_must_be_unambiguous(env: Repair, task: Task) -> None:
    begin(env, task)
    said, _, _ = do(env, "edit_file", path="spans/span.py", old="return", new="raise")
    assert said.startswith("The text to replace occurs ")
    assert "occurs 0 times" in do(env, "edit_file", path="spans/span.py", old="", new="raise")[0]
    assert "There is no file 'spans/no.py'" in do(env, "edit_file", path="spans/no.py", old="a", new="b")[0]


def test_other_files_are_off_limits_and_can_be_restored(env: Repair, task: Task) -> None:
    begin(env, task)
    _, _, verdicts = do(env, "write_file", path="tests/test_span.py", content="")
    assert verdicts["allowed files"].evidence == "changed: tests/test_span.py"
    _, _, verdicts = do(env, "write_file", path="notes.txt", content="mine")
    assert verdicts["allowed files"].evidence == "changed: notes.txt, tests/test_span.py"
    _, _, verdicts = do(env, "delete_file", path="notes.txt")
    assert verdicts["allowed files"].evidence == "changed: tests/test_span.py"
    assert by_oracle(env) == 1.0


def test_what_is_broken_is_seen(env: Repair, task: Task) -> None:
    begin(env, task)
    _, _, verdicts = do(env, "write_file", path="spans/notation.py", content="def parse(:")
    assert verdicts["keeps passing"].score < 1.0
    assert "SyntaxError" in verdicts["keeps passing"].evidence
    _, _, verdicts = do(env, "delete_file", path="spans/notation.py")
    assert "No module named 'spans.notation'" in verdicts["keeps passing"].evidence
    assert by_oracle(env) == 1.0


def test_endless_code_fails_and_breaks_nothing(env: Repair, task: Task) -> None:
    begin(env, task)
    _, _, verdicts = do(env, "write_file", path="spans/__init__.py", content="while True:\n    pass\n")
    assert "ran out of time" in verdicts["keeps passing"].evidence
    said, _, _ = do(env, "run_tests", only="test_length")
    assert said == "The tests ran out of time and were stopped."
    assert by_oracle(env) == 1.0


def test_one_test_may_be_run_but_not_without_end(env: Repair, task: Task) -> None:
    begin(env, task)
    calls = (ToolCall("run_tests", {"only": "test_length"}),) * 5
    said, *_ = env.step(Action(calls=calls))
    assert said.count("Ran 1 test\n") == 4
    assert said.endswith("An action runs the tests at most 4 times.")


def test_the_oracle_works_after_any_beginning(env: Repair) -> None:
    tasks = Repair.tasks(Split.TEST)
    for number in range(6):
        env.reset(seed=number, options={"task": tasks[37 * number]})
        space = ActionSpace(env.available(), seed=number)
        for _ in range(4):
            action = space.sample()
            if not any(call.name == "done" for call in action.calls):
                env.step(action)
        assert by_oracle(env) == 1.0


def test_a_fork_has_its_own_files(env: Repair, task: Task) -> None:
    begin(env, task)
    do(env, "write_file", path="notes.txt", content="before")
    snapshot = env.snapshot()
    assert snapshot.strategy == "sandbox"
    do(env, "write_file", path="notes.txt", content="after")
    other = Repair(sandbox=env.sandbox)
    other.restore(snapshot)
    assert do(other, "read_file", path="notes.txt")[0] == "   1  before"
    assert by_oracle(other) == 1.0
    other.close()
    env.restore(snapshot)
    assert do(env, "read_file", path="notes.txt")[0] == "   1  before"
    snapshot.close()


def test_held_out_cases_never_enter_the_workspace(env: Repair, task: Task) -> None:
    begin(env, task)
    files = set(env.box.files("/workspace"))
    assert files == set(project("spans").workspace)
    assert not any("held_out" in path for path in files)


def test_random_edits_are_no_repair(env: Repair) -> None:
    rng, tasks = random.Random(0), Repair.tasks(Split.TRAIN)
    space = ActionSpace(env.toolbox(), seed=0)
    for _ in range(3):
        _, info = env.reset(seed=1, options={"task": rng.choice(tasks)})
        for _ in range(6):
            _, reward, terminated, _, info = env.step(space.sample())
            assert reward == 0.0
            if terminated:
                break
        assert info["success"] is False


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_certification(kind: str, require) -> None:
    require(kind)
    report = certify(f"repair?sandbox={kind}", Plan(tasks=2, episodes=6, forks=6, fuzz=100))
    assert report.passed, report.rows()
