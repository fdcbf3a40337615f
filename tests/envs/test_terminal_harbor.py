"""Reading tasks in Harbor's format: ours, and what others may bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_gym.core.errors import BadConfig, MalformedData, UnknownName
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite
from trace_gym.environment.tasks import straddling
from trace_gym_envs.parcel import Packed
from trace_gym_envs.terminal import Terminal
from trace_gym_envs.terminal.dockerfile import read_recipe
from trace_gym_envs.terminal.harbor import read_task, read_tasks
from trace_gym_envs.terminal.listing import BUNDLED

PLAIN = "[metadata.trace_gym]\nplain = true\n"


def written(
    folder: Path, *, toml: str = PLAIN, dockerfile: str | None = "FROM x\nWORKDIR /app\n", **files: str
) -> Path:
    """A task folder; further files by path with `__` for `/`."""
    texts = {
        "task.toml": toml,
        "instruction.md": "Do it.\n",
        "tests/test.sh": "echo 1 > /logs/verifier/reward.txt\n",
        **{name.replace("__", "/"): text for name, text in files.items()},
    }
    if dockerfile is not None:
        texts["environment/Dockerfile"] = dockerfile
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


def test_bundled_tasks() -> None:
    tasks = read_tasks(BUNDLED)
    assert len(tasks) == 14
    long = [task.name for task in tasks if len(task.solution()) >= 10]
    assert long == [
        "broken-build",
        "history-store",
        "log-triage",
        "nested-archive",
        "rename-setting",
        "sales-database",
        "stage-pipeline",
    ]
    assert all(task.plain and task.step_checks and task.recipe.workdir == "/app" for task in tasks)
    assert {task.recipe.copies for task in tasks} == {(("files/", "/app/"),)}


def test_bundled_splits() -> None:
    train, test = Terminal.tasks(Split.TRAIN), Terminal.tasks(Split.TEST)
    assert [task.id for task in test] == ["cron-plan", "history-store", "mend-json", "nested-archive"]
    assert len(train) == 10
    assert straddling(train, test) == ()
    assert all(task.limits.step_timeout_s > 8 * 10 + 60 for task in (*train, *test))


def test_bundled_tests_share_one_checklist() -> None:
    texts = {path.read_text("utf-8") for path in BUNDLED.glob("*/tests/checklist.py")}
    assert len(texts) == 1
    assert len({path.read_text("utf-8") for path in BUNDLED.glob("*/tests/test.sh")}) == 1


def test_subsets_are_categories() -> None:
    assert [t.id for t in suite("terminal:text-processing").tasks(Split.TRAIN)] == [
        "fixed-width-ledger",
        "word-index",
    ]
    with pytest.raises(UnknownName, match=r"text-procesing.*did you mean 'text-processing'"):
        Terminal.tasks(Split.TRAIN, subset="text-procesing")


def test_a_folder_of_tasks_is_divided_the_same_way_each_time(tmp_path: Path) -> None:
    for number in range(30):
        written(tmp_path / f"task-{number}")
    both = [suite(f"terminal?path={tmp_path}").tasks(split) for split in Split]
    assert sum(map(len, both)) == 30
    assert [t.id for t in both[1]] == [t.id for t in Terminal.tasks(Split.TEST, path=str(tmp_path))]
    assert 2 <= len(both[1]) <= 12
    assert len(Terminal.tasks(Split.TEST, path=str(tmp_path), test_share=1.0)) == 30


def test_one_task_and_whole_splits(tmp_path: Path) -> None:
    written(tmp_path / "train" / "one")
    written(tmp_path / "test" / "one", toml=PLAIN + 'split = "train"\n')
    path = f"{tmp_path}/{{split}}"
    assert [t.id for t in Terminal.tasks(Split.TEST, path=path)] == ["test/one"]
    assert [t.family for t in Terminal.tasks(Split.TRAIN, path=path)] == ["train/one"]
    assert [t.id for t in Terminal.tasks(Split.TRAIN, path=str(tmp_path / "test" / "one"))] == ["one"]


def test_what_is_read_of_a_task(tmp_path: Path) -> None:
    toml = """
version = "1.0"
[metadata]
category = "games"
[verifier]
timeout_sec = 12.5
env = { MODE = "${MODE:-strict}" }
[[verifier.collect]]
command = "make"
[environment]
cpus = 2
memory_mb = 1024
storage_mb = 300
workdir = "/srv"
env = { A = "1" }
[solution]
env = { B = "2" }
"""
    docker = (
        'FROM a AS b\nENV X=1\nFROM b\nENV Y="two words" \\\n    Z=3\nENV OLD style\nWORKDIR /app\nRUN make\n'
    )
    task = read_task(written(tmp_path / "t", toml=toml, dockerfile=docker, solution__solve="x"))
    (tmp_path / "t" / "solution" / "solve").rename(tmp_path / "t" / "solution" / "solve.sh")
    assert (task.plain, task.step_checks, task.category, task.verifier_s) == (False, False, "games", 12.5)
    assert task.recipe.env == {"Y": "two words", "Z": "3", "OLD": "style", "A": "1"}
    assert (task.recipe.workdir, task.verifier_env) == ("/srv", {"MODE": "strict"})
    assert [(hook.command, hook.timeout_s) for hook in task.collect] == [("make", 60.0)]
    assert (task.memory_mb, task.storage_mb, task.cpus) == (1024, 300, 2)
    assert task.solution() == ["export B='2'\nx"]


def test_solutions(tmp_path: Path) -> None:
    script = "#!/bin/bash\nset -e\n\ncd x\necho 1\n  \n\ncat <<E\na\nE\n"
    whole = read_task(written(tmp_path / "a", **{"solution__solve.sh": script}))
    assert whole.solution() == ["set -e\n\ncd x\necho 1\n  \n\ncat <<E\na\nE"]
    parts = read_task(
        written(tmp_path / "b", toml=PLAIN + "step_checks = true\n", **{"solution__solve.sh": script})
    )
    assert parts.solution() == ["set -e", "cd x\necho 1", "cat <<E\na\nE"]
    (tmp_path / "a" / "solution" / "data.txt").write_text("x")
    assert whole.solution() == []
    assert read_task(written(tmp_path / "c")).solution() == []


def test_files_of_a_plain_task(tmp_path: Path) -> None:
    docker = "FROM x\nWORKDIR /app\nCOPY one.txt two.txt in/\nCOPY data .\n# COPY no .\n"
    folder = written(
        tmp_path / "t",
        dockerfile=docker,
        **{"environment__one.txt": "1", "environment__two.txt": "2", "environment__data__sub__run.sh": "3"},
    )
    (folder / "environment/data/sub/run.sh").chmod(0o755)
    assert read_task(folder).files() == {
        "in/one.txt": Packed(b"1"),
        "in/two.txt": Packed(b"2"),
        "sub/run.sh": Packed(b"3", 0o755),
    }


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        ("FROM x\nRUN make\n", "cannot have the instruction RUN"),
        ("FROM x\nCOPY --chown=1 a b\n", "copies with `COPY source target`"),
        ('FROM x\nCOPY ["a", "b"]\n', "copies with `COPY source target`"),
    ],
)
def test_what_a_plain_dockerfile_cannot_do(tmp_path: Path, dockerfile: str, reason: str) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    with pytest.raises(MalformedData, match=reason):
        read_recipe(tmp_path / "Dockerfile", plain=True)
    assert read_recipe(tmp_path / "Dockerfile", plain=False).workdir == "/app"


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("[[steps]]\nname = 'a'\n", "it has several steps"),
        ("[environment]\nos = 'Windows'\n", "another system than Linux"),
        ("[environment]\ndocker_image = 'x:1'\n", "names an image in a registry"),
        ("[verifier.environment]\ncpus = 1\n", "an environment of its own"),
        ("[[verifier.collect]]\ncommand = 'x'\nservice = 'db'\n", "several services"),
        ("[environment]\nenv = { A = '${KEY}' }\n", "the variable KEY of this machine"),
    ],
)
def test_what_cannot_be_played_is_refused_by_name(tmp_path: Path, toml: str, reason: str) -> None:
    folder = written(tmp_path / "odd-task", toml=toml)
    with pytest.raises(BadConfig, match=f"task 'odd-task'.*{reason}"):
        read_task(folder)


def test_services_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="several services"):
        read_task(written(tmp_path / "a", **{"environment__docker-compose.yaml": "services: {}"}))
    with pytest.raises(BadConfig, match="no environment/Dockerfile"):
        read_task(written(tmp_path / "b", dockerfile=None))
    folder = written(tmp_path / "c")
    (folder / "tests" / "test.sh").unlink()
    with pytest.raises(MalformedData, match=r"task 'c'.* has no tests/test\.sh"):
        read_task(folder)
    with pytest.raises(MalformedData, match="task 'd'"):
        read_task(written(tmp_path / "d", toml="[metadata"))
    with pytest.raises(MalformedData, match=r"task 'e'.*ValueError"):
        read_task(written(tmp_path / "e", toml="[metadata.trace_gym]\nsplit = 'dev'\n"))
    with pytest.raises(MalformedData, match=r"holds no task\.toml"):
        read_tasks(tmp_path / "a" / "tests")
    with pytest.raises(MalformedData, match="there is no folder"):
        read_tasks(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("path=HERE&test_share=7", r"test_share must lie in \[0, 1\], got 7"),
        ("path=HERE&test_share=nan", r"test_share must lie in \[0, 1\], got nan"),
        ("test_share=0.9", "yet to be divided; the bundled tasks are already"),
        ("path=HERE/{split}&test_share=0.9", "yet to be divided; paths with {split} are already"),
        ("command_s=0", "command_s must be positive and finite, got 0"),
        ("path=HERE&command_s=inf", "command_s must be positive and finite, got inf"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(tmp_path: Path, query: str, problem: str) -> None:
    found = suite(f"terminal?{query.replace('HERE', str(tmp_path))}")
    with pytest.raises(BadConfig, match=problem):
        found.tasks(Split.TRAIN)
