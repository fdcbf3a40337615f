"""Environments with a sandbox: forks of their files, in every kind of sandbox, and their lifecycle."""

from __future__ import annotations

import os
from typing import Literal

import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.errors import PathRefused, SandboxFailed
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.certify import certify
from trace_gym.environment.registry import Suite
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import tool
from trace_gym.environment.trial import Plan

Command = Literal["sum", "largest", "list", "spoil", "forget", "note", "leave", "die", "fill", "flood"]
COMMANDS: dict[Command, str] = {
    "sum": "awk '{s += $1} END {print s}' numbers.txt > sum.txt",
    "largest": "sort -n numbers.txt | tail -n 1 > largest.txt",
    "list": "ls -A; cat notes 2>&1",
    "spoil": "echo 1 > sum.txt",
    "forget": "rm -f largest.txt notes",
    "note": "echo noted >> notes; mkdir -p deep/er; ln -f notes deep/er/same; mv deep deeper 2>/dev/null",
    "leave": "touch left; sleep 100 & (setsid sleep 100 &)",
    "die": "kill -9 $$",
    "fill": "head -c 90000000 /dev/zero > full; rm full; exit 3",
    "flood": "yes | head -c 1000000",
}


class Tally(SandboxEnv):
    """Write the sum of the numbers in numbers.txt into sum.txt, and the largest into largest.txt."""

    suite = "tally"
    limits = SandboxLimits(memory_mb=64, disk_mb=8, timeout_s=1.0, output_bytes=1 << 12)

    def sandbox_spec(self, task):
        return SandboxSpec(limits=self.limits)

    def begin(self, task):
        self.state = {"commands": 0}
        numbers = "\n".join(map(str, task.payload["numbers"]))
        self.box.write("/workspace/numbers.txt", f"{numbers}\n".encode())
        return (
            f"numbers.txt holds {len(task.payload['numbers'])} numbers. Code {self.np_random.integers(100)}."
        )

    @tool
    def shell(self, command: Command) -> str:
        """Run one of the commands in the workspace.

        Args:
            command: Which.
        """
        self.state["commands"] += 1
        result = self.box.run(["sh", "-c", COMMANDS[command]])
        return f"{result.exit_code}: {(result.stdout + result.stderr).decode()[:200]}"

    def checks(self):
        numbers = self.task.payload["numbers"]
        for name, wanted in (("sum", sum(numbers)), ("largest", max(numbers))):
            found = self.content(f"/workspace/{name}.txt")
            yield Verdict.of(name, found.strip() == str(wanted).encode(), evidence=repr(found))

    def content(self, path):
        try:
            return self.box.read(path)
        except PathRefused:
            return b""

    def oracle(self):
        if not self.content("/workspace/sum.txt"):
            return Action.call("shell", command="sum")
        return Action.call("shell", command="largest")

    @classmethod
    def tasks(cls, split):
        first = 0 if split is Split.TRAIN else 1000
        return LazyTasks(40, lambda index: tally(first + index, split))


def tally(number, split):
    numbers = [(number * 7919 + each * 104729) % 1000 for each in range(5)]
    return Task(
        f"tally-{number}",
        "tally",
        split,
        family=str(number),
        payload={"numbers": numbers},
        limits=Limits(max_turns=6),
    )


@pytest.fixture
def environment_class(provider):
    class Here(Tally):
        def __init__(self, *, reward="outcome", split=Split.TRAIN, render_mode=None):
            super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=provider.name)

    return Here


def test_files_fork_with_the_episode(environment_class):
    plan = Plan(tasks=2, episodes=3, forks=6, fuzz=20)
    report = certify(Suite("tally", "tally", environment_class), plan)
    evidence = {finding.name: finding.evidence for finding in report.findings}
    for name in ("fork by sandbox", "fork by replay", "parallel children", "oracle", "no-op", "same seed"):
        assert name in evidence
    assert report.passed, report.rows()


def test_a_sandbox_serves_one_episode_after_the_other(environment_class):
    env = environment_class()
    with pytest.raises(SandboxFailed, match="no sandbox"):
        assert env.box
    env.reset(seed=1)
    box = env.box
    env.step(Action.call("shell", command="leave"))
    env.reset(seed=2)
    assert env.box is box
    assert sorted(box.files("/workspace")) == ["numbers.txt"]
    grading = env.fresh(SandboxSpec())
    assert grading.files("/workspace") == {}
    grading.close()
    env.close()
    env.close()
    with pytest.raises(SandboxFailed, match="no sandbox"):
        assert env.box


def test_what_a_command_does_is_an_observation(environment_class):
    env = environment_class()
    env.reset(seed=1)
    for command in ("die", "fill", "flood"):
        observation, reward, terminated, truncated, _ = env.step(Action.call("shell", command=command))
        assert isinstance(observation, str)
        assert (reward, terminated, truncated) == (0.0, False, False)
    env.close()


def test_a_fork_of_a_full_disk_has_little_more_room(provider):
    fill = ["sh", "-c", "cat /dev/zero > $1 2>/dev/null; wc -c < $1", "sh"]
    box = provider.open(SandboxSpec(limits=SandboxLimits(disk_mb=8, timeout_s=10.0)))
    assert 0 < int(box.run([*fill, "full"]).stdout) <= 8 << 20
    assert int(box.run([*fill, "more"]).stdout) == 0
    snapshot = box.snapshot()
    assert int(box.run([*fill, "still"]).stdout) <= 64 << 10
    snapshot.close()
    box.close()


class Shelf(SandboxEnv):
    """Put files on the shelf; every look tells their order and how the folders are linked."""

    suite = "shelf"

    def sandbox_spec(self, task):
        return SandboxSpec(limits=SandboxLimits(disk_mb=16))

    def begin(self, task):
        self.state = {"turns": 0}
        for name in ("one", "two", "three"):
            self.box.write(f"/workspace/box/{name}", b"given")
        return "Put files on the shelf."

    @tool
    def put(self, command: str) -> str:
        """Run a command and look.

        Args:
            command: What to run.
        """
        self.state["turns"] += 1
        look = "ls -U -A . box /tmp; find . -printf '%p %n\\n'"
        return self.box.run(["sh", "-c", f"{command}; {look}"]).stdout.decode()

    def checks(self):
        yield Verdict.of("put", self.state["turns"] > 0, evidence=f"{self.state['turns']} turns")

    @classmethod
    def tasks(cls, split):
        return [Task("shelf", "shelf", split, f"{split}", limits=Limits(max_turns=100))]


SHELVED = (
    "touch a b c d; mkdir -p k/sub",
    "true",
    "touch e f box/four",
    "mkdir k/sub2; rm b; ln a z",
    "true",
    "echo more >> a; mv box/one box/five; mkdir box/in",
    "head -c 6000000 /dev/zero > large",
    "head -c 5000000 /dev/zero > large; touch /tmp/t box/six",
    "rm -r k; mkdir k; touch k/l",
    *(f"touch n{number} box/m{number}; rm -f n{number - 3}" for number in range(30)),
    "true",
    "rm large; touch last",
)


@pytest.mark.parametrize("at", [0, 2, 7, 33])
def test_a_snapshot_changes_nothing_that_programs_can_see(provider, at):
    if os.getuid() != 0:
        pytest.skip("needs root: files forked by copies are listed in another order")
    env, other = Shelf(sandbox=provider.name), Shelf(sandbox=provider.name)
    task = Shelf.tasks(Split.TRAIN)[0]
    actions = [Action.call("put", command=command) for command in SHELVED]

    def play(which, some):
        return [which.step(action)[0] for action in some]

    env.reset(seed=0, options={"task": task})
    straight = play(env, actions)
    env.reset(seed=0, options={"task": task})
    play(env, actions[:at])
    snapshot = env.snapshot()
    assert play(env, actions[at:]) == straight[at:]
    other.restore(snapshot)
    assert play(other, actions[at:]) == straight[at:]
    snapshot.close()
    env.restore(other.snapshot("replay"))
    assert env.progress.turn == len(actions)
    env.close()
    other.close()
