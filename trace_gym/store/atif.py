"""Recorded episodes in the Agent Trajectory Interchange Format (ATIF, version 1.7, of the Harbor project).

One episode is one trajectory: the task as the first, a user's step, then an agent's step a turn with its
calls, what the environment observed and what it cost. Verdicts, rewards and how the episode ended are in
`extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import IntArray
from trace_gym.store.export import StoredEpisode, verdict_record

SCHEMA = "ATIF-v1.7"


def atif_record(stored: StoredEpisode, *, run: str, agent: str, version: str) -> dict[str, Any]:
    """An episode as a trajectory of the session `run`, played by `agent` under `version` of trace-gym."""
    episode = stored.episode
    task, turns = episode.task, episode.turns
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": turns[0].observation}]
    prompt: list[IntArray] = []
    for turn in turns[1:]:
        prompt.append(turn.context_ids)
        steps.append(_step(len(steps) + 1, turn, np.concatenate(prompt)))
        prompt.append(turn.action_ids)
    cost = episode.cost
    return {
        "schema_version": SCHEMA,
        "session_id": run,
        "trajectory_id": f"{stored.step}-{stored.tree}-{stored.rollout}",
        "agent": {"name": agent, "version": version},
        "steps": steps,
        "final_metrics": {
            "total_prompt_tokens": cost.fresh + cost.cached,
            "total_completion_tokens": cost.decoded,
            "total_cached_tokens": cost.cached,
            "total_cost_usd": cost.usd,
            "total_steps": len(steps),
        },
        "extra": {
            "task": {"key": task.key, "suite": task.suite, "split": str(task.split), "family": task.family},
            "stop": str(episode.stop),
            "failure": None if episode.failure is None else str(episode.failure),
            "success": episode.success,
        },
    }


def _step(number: int, turn: Turn, prompt: IntArray) -> dict[str, Any]:
    action = turn.action
    calls = () if action is None else action.calls
    ids = [f"call_{number}_{place}" for place in range(len(calls))]
    message = turn.text or (action.message if action is not None else None) or ""
    result: dict[str, Any] = {"content": turn.observation}
    if len(ids) == 1:
        result = {"source_call_id": ids[0], **result}
    step: dict[str, Any] = {
        "step_id": number,
        "source": "agent",
        "message": message,
        "observation": {"results": [result]},
        "extra": {
            "actor": str(turn.actor),
            "reward": turn.reward,
            "verdicts": [verdict_record(verdict) for verdict in turn.verdicts],
        },
    }
    if calls:
        step["tool_calls"] = [
            {"tool_call_id": id_, "function_name": call.name, "arguments": dict(call.arguments)}
            for id_, call in zip(ids, calls, strict=True)
        ]
    if turn.actor is Actor.POLICY:
        step["metrics"] = _metrics(turn, prompt)
    return step


def _metrics(turn: Turn, prompt: IntArray) -> Mapping[str, Any]:
    return {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(turn.action_ids),
        "cached_tokens": turn.cost.cached,
        "cost_usd": turn.cost.usd,
        "prompt_token_ids": prompt.tolist(),
        "completion_token_ids": turn.action_ids.tolist(),
        "logprobs": turn.logprobs.tolist(),
    }
