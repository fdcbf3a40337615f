"""Does a policy keep its protocol? Asks it small questions and looks at the answers' form.

Leaves out what it says, and whether it samples from the distribution it claims.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from trace_gym.core.errors import ContextExceeded
from trace_gym.core.policy import Completion, Finish, Policy, SampleRequest
from trace_gym.core.tokens import IntArray, ids
from trace_gym.testing.demand import demand


async def check_policy(
    policy: Policy, *, prompt: IntArray | None = None, stop_ids: tuple[int, ...] = (), tolerance: float = 1e-3
) -> None:
    """Ask `policy` to go on from `prompt` (token ids it knows; default 1, 2, 3) and close it;
    AssertionError says what is wrong.

    Demanded: the seed alone decides the draw, whoever asks at the same time and whatever `cached` hints
    at; log-probabilities and entropies, one a token, agree within `tolerance` between two ways of asking;
    at most `max_tokens`, `stop` exactly where the last token is one of `stop_ids` and none before it;
    temperature 0 is greedy; the version is the policy's; a prompt that fills the context is refused;
    `close` may be called twice.
    """
    start = ids([1, 2, 3]) if prompt is None else prompt
    asked = [SampleRequest(start, 8, seed, stop_ids) for seed in range(4)]
    alone = [await policy.sample(request) for request in asked]
    for request, completion in zip(asked, alone, strict=True):
        _form(policy, request, completion)
    crowd = [*asked, SampleRequest(ids([*start, *start]), 5, 99, stop_ids)]
    together = await asyncio.gather(*(policy.sample(request) for request in crowd))
    hinted = [await policy.sample(replace(request, cached=len(start) - 1)) for request in asked]
    for mine, crowded, cached in zip(alone, together[:-1], hinted, strict=True):
        _same(mine, crowded, tolerance, "asked together with others")
        _same(mine, cached, tolerance, "told that the prompt is cached")
    greedy = [await policy.sample(replace(request, temperature=0.0)) for request in asked]
    for completion in greedy[1:]:
        _same(greedy[0], completion, tolerance, "asked greedily with another seed")
    await _limits(policy, start, stop_ids)
    states = await policy.encode([start, ids([*start, *start])])
    demand(len(states) == 2, f"encode gave {len(states)} states for 2 prompts")
    policy.close()
    policy.close()


def _form(policy: Policy, request: SampleRequest, completion: Completion) -> None:
    tokens, count = completion.token_ids.tolist(), len(completion.token_ids)
    demand(1 <= count <= request.max_tokens, f"{count} tokens sampled, {request.max_tokens} allowed")
    sizes = (len(completion.logprobs), len(completion.entropy))
    demand(sizes == (count, count), f"{count} tokens have {sizes[0]} log-probs and {sizes[1]} entropies")
    demand(bool(np.all(completion.logprobs <= 1e-5)), f"a log-prob is positive: {completion.logprobs}")
    demand(bool(np.all(completion.entropy >= -1e-5)), f"an entropy is negative: {completion.entropy}")
    demand(not set(tokens[:-1]) & set(request.stop_ids), f"sampled beyond a stop token: {tokens}")
    stopped = tokens[-1] in request.stop_ids
    demand((completion.finish is Finish.STOP) == stopped, f"{tokens} finished with {completion.finish}")
    demand(stopped or count == request.max_tokens, f"{count} tokens without a stop, of {request.max_tokens}")
    version = completion.version
    demand(version == policy.version, f"a completion of version {version} from version {policy.version}")
    read = completion.fresh + completion.cached
    demand(read == len(request.prompt_ids), f"{read} prompt tokens were counted of {len(request.prompt_ids)}")


def _same(left: Completion, right: Completion, tolerance: float, how: str) -> None:
    same = left.token_ids.tolist() == right.token_ids.tolist()
    demand(same, f"{how}, it said {right.token_ids.tolist()} and not {left.token_ids.tolist()}")
    for name in ("logprobs", "entropy"):
        gap = float(np.max(np.abs(getattr(left, name) - getattr(right, name))))
        demand(gap <= tolerance, f"{how}, its {name} differ by {gap:.2g}")


async def _limits(policy: Policy, start: IntArray, stop_ids: tuple[int, ...]) -> None:
    short = await policy.sample(SampleRequest(start, 1, 0, stop_ids))
    demand(len(short.token_ids) == 1, f"{len(short.token_ids)} tokens sampled, 1 allowed")
    full = ids(np.resize(start, policy.context_size))
    try:
        await policy.sample(SampleRequest(full, 1, 0, stop_ids))
    except ContextExceeded:
        return
    raise AssertionError(f"a prompt of {len(full)} tokens, the whole context, was not refused")
