"""Processes with sandboxes are killed at random moments, and nothing of them remains after a reaping.

`trace-gym bench leaks` plays the same drill for as long as is wanted.
"""

from __future__ import annotations

from trace_gym.bench.leaks import Drill, run
from trace_gym.core.sandbox import SandboxProvider


def test_a_killed_process_leaves_nothing(provider: SandboxProvider) -> None:
    told: list[Drill] = []
    drill = run(provider.name, episodes=40, seed=1, tell=told.append)
    assert drill.remains == ()
    assert told[-1] == drill
    assert len(told) == drill.kills
    assert drill.episodes >= 40
    assert drill.kills >= 3
