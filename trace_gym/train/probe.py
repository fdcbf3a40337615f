"""Probes: prompts of a step, to be sampled anew and scored by the trainer, whose log-probs must then agree.

Leaves out what a difference means (`watchdog.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.episode import Actor
from trace_gym.core.policy import Completion, Policy, SampleRequest
from trace_gym.core.tokens import IntArray, ids
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.train.row import STREAMS, Row


def probe_prompts(forest: Forest, count: int, *, longest: int, seed: int = 0) -> list[IntArray]:
    """Up to `count` prompts that the policy was given, each from another tree, shorter than `longest` tokens;
    drawn by `seed`. Empty where the policy played no such turn."""
    rng = np.random.default_rng([seed, forest.step])
    found: list[IntArray] = []
    for index in rng.permutation(len(forest.trees)):
        tree = forest.trees[index]
        played = [n for n, turn in enumerate(tree.turns) if turn.actor is Actor.POLICY]
        for node in rng.permutation(played):
            prompt = _prompt(tree, int(node))
            if 0 < len(prompt) < longest:
                found.append(prompt)
                break
        if len(found) == count:
            break
    return found


async def probed(
    forest: Forest, policy: Policy, *, count: int, max_tokens: int, temperature: float
) -> tuple[list[tuple[IntArray, IntArray]], list[Completion]]:
    """What the policy answers to probe prompts of `forest` now: prompts with the tokens sampled, and the
    completions. Raises ModelFailed."""
    prompts = probe_prompts(forest, count, longest=policy.context_size)
    requests = [
        SampleRequest(prompt, max_tokens, seed=number, temperature=temperature)
        for number, prompt in enumerate(prompts)
    ]
    completions = await asyncio.gather(*(policy.sample(request) for request in requests))
    return [(prompt, c.token_ids) for prompt, c in zip(prompts, completions, strict=True)], completions


def scored_row(prompt: IntArray, completion: IntArray) -> Row:
    """A sequence whose completion is to be scored."""
    tokens = np.concatenate([prompt, completion]).astype(np.int64)
    size = len(tokens)
    return Row(
        tokens=tokens,
        positions=np.arange(size),
        end=np.full(size, size),
        parent=np.arange(-1, size - 1),
        trained=np.arange(len(prompt), size),
        streams=np.zeros((STREAMS, len(completion))),
    )


def parity(
    completions: Sequence[Completion], scored: Sequence[NDArray[np.float64]], *, version: int
) -> dict[str, float]:
    """How far the sampler's log-probs are from the trainer's, mean and greatest in nats, and how many
    versions the farthest completion is off."""
    gaps = [np.abs(c.logprobs - s) for c, s in zip(completions, scored, strict=True) if len(s)]
    if not gaps:
        return {}
    flat = np.concatenate(gaps)
    return {
        "parity_gap": float(flat.mean()),
        "parity_gap_max": float(flat.max()),
        "parity_version_gap": float(max(abs(version - c.version) for c in completions)),
    }


def _prompt(tree: RolloutTree, node: int) -> IntArray:
    turn = tree.turns[node]
    return ids(np.concatenate([tree.tokens(turn.parent), turn.context_ids]))
