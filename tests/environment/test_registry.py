"""Finding suites by name, file and Gymnasium id, and what is said when they cannot be found."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from trace_gym.core.errors import BadConfig, MissingExtra, UnknownName
from trace_gym.core.task import Split
from trace_gym.environment.registry import register, suite, suite_names

SOURCE = """
from __future__ import annotations
from pathlib import Path
from typing import Literal
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import tool

class Shelf(AgenticEnv):
    suite = "shelf"

    def __init__(self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN,
                 render_mode: str | None = None, width: int = 1, deep: bool = False) -> None:
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self.width, self.deep = width, deep

    def begin(self, task: Task) -> str:
        self.state = {}
        return f"{task.id} {self.width} {self.deep}"

    def checks(self) -> list[Verdict]:
        return [Verdict.of("never", False, evidence="no")]

    @classmethod
    def tasks(cls, split: Split, *, path: Path | None = None, levels: list[int] | None = None,
              mode: Literal["a", "b"] = "a") -> list[Task]:
        name = f"{path and path.name}-{levels}-{mode}"
        return [Task(f"{name}-{i}", "shelf", split, f"{split}-{i}", subset="odd" if i % 2 else "even")
                for i in range(4)]

class Sorted(Shelf):
    @classmethod
    def tasks(cls, split: Split, *, subset: str = "all") -> list[Task]:
        return [Task(subset, "shelf", split, split)]

class Strange(Shelf):
    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        return [Task("a", "shelf", split, "a"), Task("b", "box", split, "b")]

class Dealt(Shelf):
    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        return (task for task in super().tasks(split))

class Named(Shelf):
    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        return ["a", "b"]

class Torn(Shelf):
    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        return super().tasks(split)[9]

class Lazy(Shelf):
    made: list[int] = []

    @classmethod
    def tasks(cls, split: Split) -> LazyTasks:
        def make(i: int) -> Task:
            cls.made.append(i)
            return Task(str(i), "box" if i == 7 else "shelf", split, "f")
        return LazyTasks(48_000, make)

class Unmade(Shelf):
    def __init__(self, *, split: Split = Split.TRAIN, render_mode: str | None = None) -> None:
        raise KeyError("wood")

class Unfinished(AgenticEnv):
    suite = "shelf"

    def begin(self, task: Task) -> str:
        return "What now?"

NOT_A_SUITE = 3
"""


@pytest.fixture
def shelf(tmp_path):
    file = tmp_path / "shelf.py"
    file.write_text(SOURCE)
    return str(file)


def ids(found, split=Split.TRAIN):
    return [task.id for task in found.tasks(split)]


def test_an_installed_suite_is_found_by_name():
    found = suite("guess")
    assert (found.name, found.spec, found.subset, found.options) == ("guess", "guess", "", {})
    assert "guess" in suite_names()
    assert found.make(split=Split.TEST).reset(seed=0)[1]["task"].startswith("guess/")


def test_an_unknown_suite_names_the_nearest():
    with pytest.raises(UnknownName, match="unknown suite 'gues'; did you mean 'guess'"):
        suite("gues")


def test_a_class_is_found_in_a_file_once(shelf):
    found = suite(f"{shelf}:Shelf")
    assert (found.name, ids(found)) == ("shelf", [f"None-None-a-{i}" for i in range(4)])
    assert suite(f"{shelf}:Shelf").env_class is found.env_class


def test_options_reach_the_method_that_names_them_converted(shelf):
    found = suite(f"{shelf}:Shelf?width=7&deep=true&path=/x/data.json&levels=1&levels=2&mode=b&reward=shaped")
    assert ids(found)[0] == "data.json-[1, 2]-b-0"
    env = found.make()
    assert (env.width, env.deep, env.reward) == (7, True, "shaped")
    assert found.make(reward="outcome").reward == "outcome"
    assert env.reset(seed=0)[0].endswith("7 True")
    assert env.task.id.startswith("data.json-[1, 2]-b-")


def test_a_plus_in_an_option_is_a_plus(shelf):
    for written in ("a+b%20c.json", "a%2Bb c.json"):
        assert ids(suite(f"{shelf}:Shelf?path=/x/{written}"))[0] == "a+b c.json-None-a-0"


def test_a_subset_filters_the_tasks_everywhere(shelf):
    found = suite(f"{shelf}:Shelf:odd?mode=b")
    assert ids(found) == ["None-None-b-1", "None-None-b-3"]
    env = found.make()
    assert {env.reset(seed=seed)[1]["task"][-1] for seed in range(20)} == {"1", "3"}
    assert ids(suite(f"{shelf}:Sorted:mine")) == ["mine"]


def test_several_subsets_are_one_pool_without_doubles(shelf):
    assert ids(suite(f"{shelf}:Shelf:odd+even+odd?mode=b")) == [f"None-None-b-{i}" for i in (1, 3, 0, 2)]
    assert ids(suite(f"{shelf}:Sorted:mine+yours")) == ["mine", "yours"]
    with pytest.raises(UnknownName, match="unknown shelf train subset ''"):
        suite(f"{shelf}:Shelf:odd+").tasks(Split.TRAIN)


def test_an_unknown_subset_names_the_nearest(shelf):
    with pytest.raises(UnknownName, match="unknown shelf train subset 'evn'; did you mean 'even'"):
        suite(f"{shelf}:Shelf:evn").tasks(Split.TRAIN)


@pytest.mark.parametrize(
    ("tail", "error", "reason"),
    [
        (":Shelf?widht=3", UnknownName, "unknown shelf option 'widht'; did you mean 'width'"),
        (":Shelf?split=test", UnknownName, "unknown shelf option 'split'"),
        (":Shelf?width=wide", BadConfig, "option 'width': Input should be a valid integer.*got 'wide'"),
        (":Shelf?mode=c", BadConfig, "option 'mode': Input should be 'a' or 'b', got 'c'"),
        (":Shelf?width=1&width=2", BadConfig, "option 'width': is given 2 times"),
        (":Shelf?width", BadConfig, "options are written"),
        (":Shelve", UnknownName, "unknown class in .*'Shelve'; did you mean 'Shelf'"),
        (":NOT_A_SUITE", BadConfig, "NOT_A_SUITE in .* is not a subclass of AgenticEnv"),
        (":AgenticEnv", BadConfig, "calls its suite '', expected 'a name'"),
        (":Unfinished", BadConfig, "Unfinished in .* does not define checks, tasks, which a suite must"),
        ("", BadConfig, "written path/to/module.py:ClassName"),
    ],
)
def test_bad_specs_are_refused(shelf, tail, error, reason):
    with pytest.raises(error, match=reason):
        suite(shelf + tail)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Strange", "task 'b' of suite 'shelf' says it is of 'box'; give it suite='shelf'"),
        ("Dealt", "`tasks` of suite 'shelf' gives no sequence, such as a list, but a generator"),
        ("Named", "`tasks` of suite 'shelf' gives a str where a Task belongs"),
        ("Torn", "the train tasks of '.*:Torn' cannot be listed: IndexError: list index out of range"),
    ],
)
def test_tasks_that_are_not_the_suites_own_stop_at_the_border(shelf, name, reason):
    with pytest.raises(BadConfig, match=reason):
        suite(f"{shelf}:{name}").tasks(Split.TRAIN)


def test_lazy_tasks_are_looked_at_as_they_are_read(shelf):
    found = suite(f"{shelf}:Lazy")
    tasks = found.tasks(Split.TRAIN)
    assert (len(tasks), len(tasks[10:]), found.env_class.made) == (48_000, 47_990, [])
    assert [tasks[3].id, tasks[-1].id, tasks[2:6][2].id] == ["3", "47999", "4"]
    for reading in (lambda: tasks[7], lambda: list(tasks[5:9]), lambda: list(tasks)):
        with pytest.raises(BadConfig, match="task '7' of suite 'shelf' says it is of 'box'"):
            reading()
    assert max(found.env_class.made[3:]) == 7, "nothing was made behind it"


def test_an_environment_that_cannot_be_made_is_said(shelf):
    with pytest.raises(BadConfig, match=r"'.*:Unmade' cannot be made: KeyError: 'wood'"):
        suite(f"{shelf}:Unmade").make()


def test_a_file_that_is_missing_or_broken_is_refused_every_time(tmp_path):
    with pytest.raises(BadConfig, match="there is no file"):
        suite(f"{tmp_path}/none.py:X")
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name")
    for _ in range(2):
        with pytest.raises(BadConfig, match=r"cannot be loaded: ModuleNotFoundError.*nothing_of_that_name"):
            suite(f"{broken}:X")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make a package with suites appear installed."""

    def installed(points, **modules):
        info = tmp_path / "parts-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points]
        (info / "entry_points.txt").write_text("\n".join(["[trace_gym.envs]", *lines]))
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    return installed


def test_a_missing_extra_gives_the_install_command(install):
    needy = "import a_package_that_is_missing"
    install(
        [("needy", "needy_suite:Needy [games]"), ("bare", "bare_suite:Bare")],
        needy_suite=needy,
        bare_suite=needy,
    )
    with pytest.raises(MissingExtra, match=r"suite 'needy' needs .*missing: pip install 'parts\[games\]'"):
        suite("needy")
    with pytest.raises(MissingExtra, match="pip install 'a_package_that_is_missing'"):
        suite("bare")


def test_suites_that_are_ill_declared_are_refused(install):
    install(
        [
            ("shelves", "declared_shelf:Shelf"),
            ("lost", "declared_shelf:Lost"),
            ("guess", "declared_shelf:Shelf"),
        ],
        declared_shelf=SOURCE,
    )
    with pytest.raises(BadConfig, match="calls its suite 'shelf', expected 'shelves'"):
        suite("shelves")
    with pytest.raises(BadConfig, match="suite 'lost' cannot be loaded: AttributeError"):
        suite("lost")
    with pytest.raises(
        BadConfig, match="'guess' is offered by more than one package: declared_shelf:Shelf, "
    ):
        suite("guess")


def test_a_contested_name_gets_no_gymnasium_id(install):
    install([("contested", "declared_shelf:Shelf"), ("contested", "declared_shelf:Sorted")])
    register()
    assert "trace_gym/contested-v0" not in gymnasium.registry


def test_registering_twice_is_harmless_and_loads_no_suite():
    code = (
        "import sys, gymnasium\n"
        "from trace_gym.environment.registry import register\n"
        "register(); register()\n"
        "import json; print(json.dumps(['trace_gym/guess-v0' in gymnasium.registry,"
        " sorted(m for m in sys.modules if m.startswith(('trace_gym_envs', 'torch', 'transformers')))]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [True, []]


def test_the_gymnasium_id_builds_the_suite():
    register()
    env = gymnasium.make("trace_gym/guess-v0", reward="shaped")
    assert env.unwrapped.reward == "shaped"
    assert Path(env.spec.entry_point).name == "trace_gym_envs.guess:GuessNumber"
