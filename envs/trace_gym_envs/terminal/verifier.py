"""Judging a terminal task: its tests run on a copy of the agent's files, in a sandbox that only judges.

As Harbor does it: collect hooks first, then `/tests/test.sh`, which writes `/logs/verifier/reward.json` (a
number, or numbers by name) or `reward.txt`. Whatever the agent left in `/tests` and `/logs` is removed
before, and once more after the hooks, which may run its programs; when the tests begin, none of its
processes lives. Leaves out when to judge.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import FileSnapshot, Sandbox
from trace_gym_envs.parcel import stream
from trace_gym_envs.terminal.harbor import HarborTask
from trace_gym_envs.terminal.steady import steady

TESTS: Final = "/tests"
LOGS: Final = "/logs"
_REWARD: Final = f"{LOGS}/verifier/reward.json"
_TEXT: Final = f"{LOGS}/verifier/reward.txt"
_EVIDENCE: Final = f"{LOGS}/verifier/evidence.json"
_SHOWN: Final = 300
_REFUSED: Final = 97

# Empties the folders of tests and logs; most often there is nothing in them.
_CLEAN: Final = """shopt -s nullglob dotglob
for folder in /tests /logs; do
  [ -r $folder ] && [ -w $folder ] && [ -x $folder ] || chmod u+rwx $folder
  left=($folder/*)
  [ ${#left[@]} -gt 0 ] || continue
  find $folder -mindepth 1 -type d -exec chmod u+rwx {} +
  find $folder -mindepth 1 -delete
  left=($folder/*)
  [ ${#left[@]} -eq 0 ] || exit 97
done
mkdir -p /logs/verifier /logs/agent /logs/artifacts || exit 97
"""
# What hooks have collected stays; all else that they left beside it goes.
_KEEP: Final = f"""rm -rf /tmp/.collected; mv /logs/artifacts /tmp/.collected || mkdir -p /tmp/.collected
{_CLEAN}rmdir /logs/artifacts && mv /tmp/.collected /logs/artifacts || exit 97
"""
_TEST: Final = """tar -x -p -f - -C /tests || exit 97
exec bash /tests/test.sh < /dev/null
"""


@dataclass(frozen=True, slots=True)
class Reward:
    """What the tests gave: `value` is the task's reward in [0, 1], `parts` are further rewards by name,
    `evidence` says why, by name where there is a name, else under the empty one."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)

    def why(self, name: str = "") -> str:
        """The evidence for a part, or for the whole."""
        return self.evidence.get(name) or f"reward {self.parts.get(name, 0.0) if name else self.value:g}"


def verify(box: Sandbox, task: HarborTask, files: FileSnapshot) -> Reward:
    """Run the tests of a task on a snapshot of the agent's files. What the tests cannot cope with is the
    agent's failure: reward 0 with the reason. Raises SandboxFailed."""
    box.restore(files)
    env = {**task.recipe.env, **task.verifier_env}
    workdir = task.recipe.workdir
    before = _CLEAN
    if task.collect:
        box.run(["bash", "-c", _CLEAN], cwd="/")
        for hook in task.collect:
            box.run(["bash", "-c", hook.command], cwd=workdir, env=env, timeout_s=hook.timeout_s)
        before = _KEEP
    script = f"{before}cd {shlex.quote(workdir)} || exit {_REFUSED}\n{_TEST}"
    ended = box.run(
        ["bash", "-c", script], stdin=stream(task.tests()), cwd="/", env=env, timeout_s=task.verifier_s
    )
    said = steady((ended.stdout + ended.stderr).decode(errors="replace"), time.time()).strip()[-_SHOWN:]
    if ended.timed_out:
        return Reward(0.0, evidence={"": f"the tests ran out of time: {said}"})
    reward = None if ended.exit_code == _REFUSED else _numbers(box)
    if reward is None:
        return Reward(0.0, evidence={"": f"the tests gave no reward (exit code {ended.exit_code}): {said}"})
    value = reward.get("reward", min(reward.values(), default=0.0))
    parts = {name: _bounded(number) for name, number in reward.items() if name != "reward"}
    return Reward(_bounded(value), parts, _evidence(box, parts, said))


def _numbers(box: Sandbox) -> dict[str, float] | None:
    """The rewards by name; None where no file holds any."""
    try:
        data: Any = json.loads(box.read(_REWARD))
    except (PathRefused, ValueError, RecursionError):
        try:
            data = float(box.read(_TEXT))
        except (PathRefused, ValueError):
            return None
    numbers = data if isinstance(data, dict) else {"reward": data}
    sound = numbers and all(isinstance(v, (int, float)) and math.isfinite(v) for v in numbers.values())
    return {str(name): float(value) for name, value in numbers.items()} if sound else None


def _evidence(box: Sandbox, parts: Mapping[str, float], said: str) -> dict[str, str]:
    """What the tests say about each part, and about the whole."""
    held = sum(number >= 1.0 for number in parts.values())
    found = {"": f"{held} of {len(parts)} checks hold" if parts else said}
    try:
        data = json.loads(box.read(_EVIDENCE))
    except (PathRefused, ValueError, RecursionError):
        return found
    if isinstance(data, dict):
        now = time.time()
        found |= {str(name): steady(str(text)[:_SHOWN], now) for name, text in data.items() if name}
    return found


def _bounded(number: float) -> float:
    return min(1.0, max(0.0, number))
