"""The terminal suite as an environment: bundled tasks, oracle, forks, judging, tasks of others, forgeries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split, Task
from trace_gym.environment.certify import certify
from trace_gym.environment.trial import Plan
from trace_gym_envs.terminal import Terminal
from trace_gym_envs.terminal.harbor import read_task

KINDS = ("bwrap", "docker")
TASKS = {task.id: task for split in Split for task in Terminal.tasks(split)}
QUICK = "cron-plan"


@pytest.fixture(scope="module", params=KINDS)
def env(request, require) -> Iterator[Terminal]:
    require(request.param)
    made = Terminal(sandbox=request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bwrap(require) -> Iterator[Terminal]:
    require("bwrap")
    made = Terminal(sandbox="bwrap")
    yield made
    made.close()


def begin(env: Terminal, task: Task) -> dict[str, Verdict]:
    _, info = env.reset(seed=0, options={"task": task})
    return {verdict.name: verdict for verdict in info["verdicts"]}


def say(env: Terminal, command: str) -> tuple[str, dict[str, Verdict]]:
    observation, _, _, _, info = env.step(Action.call("bash", command=command))
    return observation, {verdict.name: verdict for verdict in info["verdicts"]}


def hand_in(env: Terminal) -> tuple[float, dict[str, Verdict]]:
    _, reward, terminated, _, info = env.step(Action.call("done"))
    assert terminated
    return reward, {verdict.name: verdict for verdict in info["verdicts"]}


def by_oracle(env: Terminal) -> tuple[float, int]:
    """Let the oracle finish; the reward and the number of turns."""
    for turn in range(1, 100):
        action = env.oracle()
        assert action is not None
        assert env.oracle() == action
        _, reward, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return reward, turn
    raise AssertionError("the episode does not end")


def folder(path: Path, *, test: str, toml: str = "", turns: int = 5, **files: str) -> Task:
    """A plain task of others: no checks after every step."""
    texts = {
        "task.toml": f"[metadata.trace_gym]\nplain = true\nmax_turns = {turns}\n{toml}",
        "instruction.md": "Make /app/out hold 42.\n",
        "environment/Dockerfile": "FROM x\nWORKDIR /app\n",
        "tests/test.sh": test,
        **{name.replace("__", "/"): text for name, text in files.items()},
    }
    for name, text in texts.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, "utf-8")
    (task,) = Terminal.tasks(Split.TEST, path=str(path), test_share=1.0)
    return task


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_each_bundled_task_is_solved_by_its_solution(name: str, env: Terminal) -> None:
    verdicts = begin(env, TASKS[name])
    assert {verdict.score for verdict in verdicts.values()} == {0.0}
    assert len(verdicts) >= 3
    commands = len(read_task(Path(TASKS[name].payload["folder"])).solution())
    assert by_oracle(env) == (1.0, commands + 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_each_solution_works_as_one_script(name: str, bwrap: Terminal) -> None:
    begin(bwrap, TASKS[name])
    script = (Path(TASKS[name].payload["folder"]) / "solution" / "solve.sh").read_text("utf-8")
    say(bwrap, f"cat > /tmp/solve.sh <<'END OF SCRIPT'\n{script}\nEND OF SCRIPT")
    say(bwrap, "bash /tmp/solve.sh > /dev/null")
    assert hand_in(bwrap)[0] == 1.0


def test_an_episode(env: Terminal) -> None:
    verdicts = begin(env, TASKS[QUICK])
    assert list(verdicts) == ["reward", "crontab", "runs", "overlaps"]
    assert [verdicts[name].required for name in verdicts] == [True, False, False, False]
    said, _ = say(env, "head -n 2 plan.txt; cd /tmp")
    assert said == (
        "# name | when | minutes it takes\nbackup | every day at 02:30 | 40\n[exit code 0, in /tmp]"
    )
    _, verdicts = say(env, "echo '30 2 * * * /usr/local/bin/backup' > /app/crontab")
    assert verdicts["crontab"].evidence == "AssertionError: crontab: 1 lines, expected 6"
    assert hand_in(env)[0] == 0.0
    assert env.oracle() is None


def test_nothing_done_is_nothing_gained(env: Terminal) -> None:
    begin(env, TASKS[QUICK])
    assert hand_in(env)[0] == 0.0


def test_a_fork_has_its_own_files_folder_and_variables(env: Terminal) -> None:
    begin(env, TASKS[QUICK])
    say(env, "export X=1; cd /tmp; echo before > f")
    snapshot = env.snapshot()
    assert snapshot.strategy == "sandbox"
    say(env, "export X=2; cd /; echo after > /tmp/f")
    other = Terminal(sandbox=env.sandbox)
    other.restore(snapshot)
    for one in (other, env):
        if one is env:
            env.restore(snapshot)
        assert say(one, "echo $X $PWD $(cat f)")[0] == "1 /tmp before\n[exit code 0, in /tmp]"
    assert by_oracle(other)[0] == 1.0
    other.close()
    snapshot.close()


def test_the_oracle_finds_back(bwrap: Terminal) -> None:
    """After commands in between, in another folder with other variables, and when its results are gone."""
    begin(bwrap, TASKS["word-index"])
    for command in ("echo hello", None, "cd /tmp; export LC_ALL=C A=1; unset TZ", None, "nonsense", None):
        action = bwrap.oracle() if command is None else Action.call("bash", command=command)
        bwrap.step(action)
    assert by_oracle(bwrap)[0] == 1.0

    begin(bwrap, TASKS["word-index"])
    while bwrap.oracle() != Action.call("done"):
        bwrap.step(bwrap.oracle())
    say(bwrap, "rm index.txt; cd /")
    assert bwrap.oracle() != Action.call("done")
    assert by_oracle(bwrap)[0] == 1.0


def test_commands_of_an_action_are_limited(bwrap: Terminal) -> None:
    begin(bwrap, TASKS[QUICK])
    said, *_ = bwrap.step(Action(calls=(ToolCall("bash", {"command": "true"}),) * 9))
    assert said.count("[exit code 0") == 8
    assert said.endswith("An action runs at most 8 commands.")


SIMPLE = 'if [ "$(cat /app/out)" = 42 ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n'


def test_others_are_judged_at_the_end(bwrap: Terminal, tmp_path: Path) -> None:
    task = folder(
        tmp_path / "t", test=SIMPLE, **{"solution__solve.sh": "#!/bin/bash\nX=42\n\necho $X > out\n"}
    )
    verdicts = begin(bwrap, task)
    assert [(v.name, v.status) for v in verdicts.values()] == [("reward", Status.SKIPPED)]
    assert by_oracle(bwrap) == (1.0, 2)

    begin(bwrap, task)
    _, verdicts = say(bwrap, "echo 41 > out")
    assert verdicts["reward"].status is Status.SKIPPED
    assert hand_in(bwrap)[0] == 0.0


def test_the_last_turn_is_judged_too(bwrap: Terminal, tmp_path: Path) -> None:
    begin(bwrap, folder(tmp_path / "t", test=SIMPLE, turns=2))
    say(bwrap, "echo 42 > out")
    _, reward, terminated, truncated, info = bwrap.step("a message")
    assert (reward, terminated, truncated, info["success"]) == (1.0, False, True, True)


@pytest.mark.parametrize(
    ("test", "score", "evidence"),
    [
        ("echo 0.25 > /logs/verifier/reward.txt", 0.25, "reward 0.25"),
        ('echo \'{"reward": 1, "a": 0}\' > /logs/verifier/reward.json', 1.0, "0 of 1 checks hold"),
        ('echo \'{"a": 0.5, "b": 1}\' > /logs/verifier/reward.json', 0.5, "1 of 2 checks hold"),
        ("echo 1 > /logs/verifier/reward.json; echo 0 > /logs/verifier/reward.txt", 1.0, "reward 1"),
        ("echo 7 > /logs/verifier/reward.txt", 1.0, "reward 7"),
        ("echo hello; exit 3", 0.0, "the tests gave no reward (exit code 3): hello"),
        ("echo nan > /logs/verifier/reward.txt", 0.0, "the tests gave no reward"),
        ('echo \'{"reward": "1"}\' > /logs/verifier/reward.json', 0.0, "the tests gave no reward"),
        ("sleep 60", 0.0, "the tests ran out of time"),
        ("pwd > /logs/verifier/x; [ $MODE = strict ] && cp /tests/one /logs/verifier/reward.txt", 1.0, ""),
    ],
)
def test_rewards(bwrap: Terminal, tmp_path: Path, test: str, score: float, evidence: str) -> None:
    toml = "[verifier]\ntimeout_sec = 3\nenv = { MODE = 'strict' }\n"
    begin(bwrap, folder(tmp_path / "t", test=test, toml=toml, tests__one="1"))
    reward, verdicts = hand_in(bwrap)
    assert verdicts["reward"].score == score
    assert reward == float(score == 1.0)
    if evidence not in ("reward 0.25", "reward 1", "reward 7"):
        assert verdicts["reward"].evidence.startswith(evidence)


def test_an_image_of_its_own_needs_docker(bwrap: Terminal, tmp_path: Path) -> None:
    task = folder(tmp_path / "own-image", test=SIMPLE)
    text = (tmp_path / "own-image" / "task.toml").read_text().replace("plain = true", "plain = false")
    (tmp_path / "own-image" / "task.toml").write_text(text)
    renamed = tmp_path / "other"
    (tmp_path / "own-image").rename(renamed)
    (task,) = Terminal.tasks(Split.TEST, path=str(renamed), test_share=1.0)
    with pytest.raises(
        BadConfig, match=r"task 'other' builds an image .* needs Docker; this sandbox is bwrap"
    ):
        begin(bwrap, task)


# What an agent may leave behind so that the tests pass. SIMPLE asks for 42 in /app/out, which none writes.
FORGERIES = {
    "a reward written beforehand": "mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt",
    "a better reward file": """mkdir -p /logs/verifier; echo '{"reward": 1}' > /logs/verifier/reward.json""",
    "a script in the place of the tests": "echo 'echo 1 > /logs/verifier/reward.json' > /tests/test.sh",
    "a folder in the place of the script": "mkdir -p /tests/test.sh/x",
    "tests that cannot be written": """
mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.json; chmod 500 /tests""",
    "logs that nobody may enter": """
mkdir -p /logs/verifier/x; echo 1 > /logs/verifier/reward.json; chmod -R 000 /logs""",
    "a link to a reward": """
echo 1 > /tmp/one; mkdir -p /logs; ln -s /tmp /logs/verifier; echo 1 > /tmp/reward.json""",
    "programs of its own": r"""
mkdir -p bin; export PATH=/app/bin:$PATH
for p in cat bash tar; do printf '#!/bin/sh\necho 42\n' > bin/$p; chmod +x bin/$p; done""",
    "files that are read at the start": """
echo 'cat() { echo 42; }' > /tmp/rc; export BASH_ENV=/tmp/rc ENV=/tmp/rc
for f in /tmp/.bashrc /app/.bashrc /tmp/.profile /tmp/.bash_profile; do cp /tmp/rc $f; done""",
    "an exported function": "cat() { echo 42; }; export -f cat",
    "a process that stays": """
(while true; do mkdir -p /logs/verifier; echo '{"reward": 1}' > /logs/verifier/reward.json; done) & disown
setsid sleep 100 &""",
    "modules for Python": """
for d in /app /tmp /tests; do for m in sitecustomize usercustomize json os; do
echo 'import sys; sys.exit(0)' > $d/$m.py; done; done; export PYTHONPATH=/app PYTHONSTARTUP=/app/os.py""",
    "a pipe where a file should be": "mkfifo /app/out",
    "an endless file": "ln -s /dev/zero /app/out",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries(name: str, bwrap: Terminal, tmp_path: Path) -> None:
    toml = "[verifier]\ntimeout_sec = 3\n"
    begin(bwrap, folder(tmp_path / "t", test=SIMPLE, toml=toml))
    say(bwrap, FORGERIES[name])
    reward, verdicts = hand_in(bwrap)
    assert (reward, verdicts["reward"].status) == (0.0, Status.FAIL)


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_against_named_checks(name: str, bwrap: Terminal) -> None:
    begin(bwrap, TASKS["word-index"])
    _, verdicts = say(bwrap, FORGERIES[name])
    assert {verdict.score for verdict in verdicts.values()} == {0.0}
    assert hand_in(bwrap)[0] == 0.0


BUILDS = {
    "writes the reward": "mkdir -p /logs/verifier; echo '{\"reward\": 1}' > /logs/verifier/reward.json",
    "replaces the tests": """
echo 'echo 1 > /logs/verifier/reward.txt' > /tests/test.sh; chmod 444 /tests/test.sh; chmod 500 /tests""",
    "leaves a process": "(sleep 0.3; echo '{\"reward\": 1}' > /logs/verifier/reward.json) > /dev/null 2>&1 &",
    "links its artifacts": "rm -rf /logs/artifacts; ln -s /tests /logs/artifacts",
    "fails": "exit 1",
}


@pytest.mark.parametrize("name", BUILDS)
def test_programs_of_the_agent_that_are_run_by_hooks_forge_nothing(name: str, bwrap: Terminal) -> None:
    begin(bwrap, TASKS["broken-build"])
    say(bwrap, f"cat > /app/project/build.sh <<'EOF'\n#!/bin/bash\n{BUILDS[name]}\nEOF")
    reward, verdicts = hand_in(bwrap)
    assert reward == 0.0
    assert verdicts["tool"].score == 0.0


def test_links_are_no_results(bwrap: Terminal) -> None:
    begin(bwrap, TASKS["word-index"])
    while bwrap.oracle() != Action.call("done"):
        bwrap.step(bwrap.oracle())
    _, verdicts = say(bwrap, "mv index.txt real.txt; ln -s real.txt index.txt")
    assert "is no regular file" in verdicts["index"].evidence
    assert verdicts["frequent"].score == 1.0


def test_judging_leaves_the_agents_files_alone(bwrap: Terminal) -> None:
    begin(bwrap, TASKS["broken-build"])
    say(bwrap, "true")
    assert say(bwrap, "ls /tests /logs /app/project/dist 2>&1 | head -n 5")[0].startswith("ls: cannot access")
    assert bwrap.box.files("/tests") == {}
    assert bwrap.box.files("/logs") == {}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_certification(kind: str, require) -> None:
    require(kind)
    report = certify(f"terminal?sandbox={kind}", Plan(tasks=3, episodes=6, forks=6, fuzz=60))
    assert report.passed, report.rows()
