"""Recorded episodes, one by one, and as JSON lines. Leaves out the gold answers in a task's payload."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Episode, Turn


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """An ended rollout and where it stands: `nodes` are those of its path, the root first."""

    step: int
    tree: int
    rollout: int
    grant: int
    anchor: int
    nodes: tuple[int, ...]
    episode: Episode


def episode_record(stored: StoredEpisode) -> dict[str, Any]:
    """An episode as JSON data. `cost` is that of its whole path, a shared prefix included."""
    episode, task = stored.episode, stored.episode.task
    turns = zip(stored.nodes, episode.turns, strict=True)
    return {
        "step": stored.step,
        "tree": stored.tree,
        "rollout": stored.rollout,
        "grant": stored.grant,
        "anchor": stored.anchor,
        "task": {
            "key": task.key,
            "suite": task.suite,
            "split": task.split,
            "family": task.family,
            "subset": task.subset,
            "seed": task.seed,
        },
        "stop": episode.stop,
        "failure": episode.failure,
        "detail": episode.detail,
        "success": episode.success,
        "cost": episode.cost.json(),
        "turns": [_turn(node, turn) for node, turn in turns],
    }


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON data."""
    return {
        "name": verdict.name,
        "status": verdict.status,
        "score": verdict.score,
        "weight": verdict.weight,
        "required": verdict.required,
        "evidence": verdict.evidence,
    }


def _turn(node: int, turn: Turn) -> dict[str, Any]:
    return {
        "node": node,
        "actor": turn.actor,
        "action": None if turn.action is None else turn.action.json(),
        "text": turn.text,
        "observation": turn.observation,
        "verdicts": [verdict_record(verdict) for verdict in turn.verdicts],
        "reward": turn.reward,
        "terminated": turn.terminated,
        "truncated": turn.truncated,
        "policy_version": turn.policy_version,
        "context_ids": turn.context_ids.tolist(),
        "action_ids": turn.action_ids.tolist(),
        "logprobs": turn.logprobs.tolist(),
        "cost": turn.cost.json(),
    }


def write_jsonl(episodes: Iterable[StoredEpisode], stream: TextIO) -> int:
    """Write one episode a line; returns how many."""
    count = 0
    for stored in episodes:
        stream.write(json.dumps(episode_record(stored)) + "\n")
        count += 1
    return count
