"""The embedded policy: what callers see of the running batch, of new weights, of failures and of its end."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from trace_gym.core.errors import BadConfig, ContextExceeded, ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, Finish, Policy, SampleRequest
from trace_gym.core.tokens import ids
from trace_gym.model.load import LoadedModel, load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.rollout.policy_torch import TorchPolicy

WORDS = [f"word{i}" for i in range(60)]
CONTEXT = 128


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of one shape, and one of another."""
    root = tmp_path_factory.mktemp("models")
    shapes = {"old": (1, 32), "new": (2, 32), "wide": (3, 64)}
    return {
        name: make_tiny(
            root / name, vocabulary=WORDS, seed=seed, hidden=hidden, layers=2, context_size=CONTEXT
        )
        for name, (seed, hidden) in shapes.items()
    }


@pytest.fixture
def loaded(folders: dict[str, Path]) -> LoadedModel:
    return load_model(folders["old"], device="cpu")


@pytest.fixture
def policy(loaded: LoadedModel) -> Iterator[TorchPolicy]:
    with TorchPolicy(loaded, max_batch=8) as policy:
        yield policy


def request(seed: int, *, length: int = 20, max_tokens: int = 6, **options: float) -> SampleRequest:
    prompt = np.random.default_rng(seed % 5).integers(0, 300, length)
    return SampleRequest(ids(prompt.tolist()), max_tokens, seed, **options)  # type: ignore[arg-type]


async def sample_all(policy: Policy, requests: list[SampleRequest]) -> list[Completion]:
    return await asyncio.gather(*(policy.sample(asked) for asked in requests))


@torch.no_grad()
def teacher(loaded: LoadedModel, asked: SampleRequest, tokens: list[int]) -> list[float]:
    """Log-probs of `tokens` after the prompt in one plain pass, as a trainer computes them."""
    whole = torch.tensor([[*asked.prompt_ids.tolist(), *tokens]])
    logits = loaded.model(input_ids=whole).logits[0, len(asked.prompt_ids) - 1 : -1] / asked.temperature
    return logits.log_softmax(-1).gather(-1, whole[0, len(asked.prompt_ids) :, None])[:, 0].tolist()


def test_many_requests_agree_with_the_trainer(policy: TorchPolicy, loaded: LoadedModel) -> None:
    requests = [request(i, length=3 + 7 * (i % 11), temperature=0.5 + 0.25 * (i % 4)) for i in range(60)]
    for asked, got in zip(requests, asyncio.run(sample_all(policy, requests)), strict=True):
        assert got.logprobs == pytest.approx(teacher(loaded, asked, got.token_ids.tolist()), abs=1e-5)
        assert (got.finish, got.version, len(got.token_ids)) == (Finish.LENGTH, 0, 6)
        assert got.fresh + got.cached == len(asked.prompt_ids)
        assert (got.entropy > 0).all()
        assert got.seconds > 0
    assert policy.throughput.decoded == 60 * 5


def test_the_seed_alone_decides(loaded: LoadedModel) -> None:
    requests = [request(i) for i in range(20)]
    with TorchPolicy(loaded, max_batch=20) as wide, TorchPolicy(loaded, max_batch=1, cache_bytes=0) as narrow:
        together = asyncio.run(sample_all(wide, requests))
        alone = asyncio.run(sample_all(narrow, requests[::-1]))[::-1]
    for one, other in zip(together, alone, strict=True):
        assert one.token_ids.tolist() == other.token_ids.tolist()
    assert len({one.token_ids.tobytes() for one in together}) == 20


def test_a_later_turn_reuses_its_prefix(policy: TorchPolicy, loaded: LoadedModel) -> None:
    async def turns() -> None:
        first = request(1, length=30)
        said = await policy.sample(first)
        assert (said.fresh, said.cached) == (30, 0)
        follow = SampleRequest(ids([*first.prompt_ids, *said.token_ids, 5, 6, 7]), 4, 9, cached=36)
        again = await policy.sample(follow)
        assert (again.fresh, again.cached) == (39 - 32, 32)
        assert again.logprobs == pytest.approx(teacher(loaded, follow, again.token_ids.tolist()), abs=1e-5)

    asyncio.run(turns())


def test_nobody_waits_for_company_when_nothing_runs(loaded: LoadedModel) -> None:
    """However patient it is: those who run are what it is patient with."""

    async def turns(policy: TorchPolicy) -> None:
        for seed in range(3):
            await asyncio.wait_for(policy.sample(request(seed)), timeout=60)

    with TorchPolicy(loaded, join_every=10**6, crowd=math.inf) as policy:
        asyncio.run(turns(policy))


def test_a_stop_token_ends_the_turn_and_is_kept(policy: TorchPolicy) -> None:
    free = asyncio.run(policy.sample(request(3, max_tokens=10)))
    stop = int(free.token_ids[4])
    length = free.token_ids.tolist().index(stop) + 1
    asked = SampleRequest(request(3).prompt_ids, 10, 3, stop_ids=(stop, 0))
    stopped = asyncio.run(policy.sample(asked))
    assert stopped.finish is Finish.STOP
    assert stopped.token_ids.tolist() == free.token_ids[:length].tolist()


def test_hidden_states_are_those_of_the_prompts_end(policy: TorchPolicy, loaded: LoadedModel) -> None:
    requests = [request(i, length=5 + i) for i in range(4)]
    prompts = [asked.prompt_ids for asked in requests]
    encoded = asyncio.run(policy.encode(prompts))
    sampled = asyncio.run(sample_all(policy, requests))
    for asked, hidden, completion in zip(prompts, encoded, sampled, strict=True):
        with torch.no_grad():
            out = loaded.model(
                input_ids=torch.from_numpy(asked.copy()).long()[None], output_hidden_states=True
            )
        expected = out.hidden_states[-1][0, -1].numpy()
        assert hidden is not None
        assert hidden == pytest.approx(expected, abs=1e-5)
        assert completion.hidden == pytest.approx(expected, abs=1e-5)
        assert hidden.dtype == np.float32


def test_the_context_ends_where_positions_become_unsteady(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Up to there a request is answered the same in any company, across the lengths of both."""
    config = copy.deepcopy(loaded.model.config)
    scaling = {"short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 4.0, 5.0], "factor": 2.0}
    config.rope_parameters = {
        **{"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 64},
        **scaling,
    }
    torch.manual_seed(0)
    stretched = LoadedModel(LlamaForCausalLM(config).eval(), loaded.tokenizer, loaded.path)
    requests = [request(1, length=20), request(2, length=60, max_tokens=50)]
    with TorchPolicy(stretched) as policy:
        assert policy.context_size == 64
        together = asyncio.run(sample_all(policy, requests))
    assert "the context is cut to 64 of 128 tokens" in caplog.text
    assert [len(each.token_ids) for each in together] == [6, 4]
    for asked, got in zip(requests, together, strict=True):
        assert got.logprobs == pytest.approx(teacher(stretched, asked, got.token_ids.tolist()), abs=1e-5)
    with pytest.raises(BadConfig, match="a context of 65 tokens is too large: beyond 64"):
        TorchPolicy(stretched, context_size=65)
    with TorchPolicy(stretched, context_size=32) as policy:
        assert policy.context_size == 32


def test_the_context_bounds_prompt_and_completion(policy: TorchPolicy) -> None:
    assert policy.context_size == CONTEXT
    nearly = asyncio.run(policy.sample(request(1, length=CONTEXT - 3, max_tokens=50)))
    assert (len(nearly.token_ids), nearly.finish) == (3, Finish.LENGTH)
    with pytest.raises(ContextExceeded, match="128 tokens in a context of 128"):
        asyncio.run(policy.sample(request(1, length=CONTEXT)))
    with pytest.raises(ContextExceeded, match="has 129 tokens"):
        asyncio.run(policy.encode([request(1, length=CONTEXT + 1).prompt_ids]))


def test_what_cannot_be_asked_is_refused_and_harms_nobody(policy: TorchPolicy) -> None:
    async def mixed() -> list[Completion | BaseException]:
        bad = SampleRequest(ids([1, 100_000]), 3, 0)
        return await asyncio.gather(
            policy.sample(request(1)),
            policy.sample(bad),
            policy.sample(request(1, temperature=-1.0)),
            policy.sample(request(1, top_p=0.0)),
            return_exceptions=True,
        )

    good, *refused = asyncio.run(mixed())
    assert isinstance(good, Completion)
    assert [type(error) for error in refused] == [ValueError] * 3


def test_new_weights_answer_everything_asked_after_them(
    folders: dict[str, Path], policy: TorchPolicy
) -> None:
    requests = [request(i, max_tokens=20) for i in range(12)]

    async def around() -> tuple[list[Completion], list[Completion]]:
        before = [asyncio.create_task(policy.sample(asked)) for asked in requests]
        await asyncio.wait(before, return_when=asyncio.FIRST_COMPLETED)
        loading = asyncio.create_task(policy.load(Checkpoint(folders["new"], 7)))
        await asyncio.sleep(0)
        after = [asyncio.create_task(policy.sample(asked)) for asked in requests]
        await loading
        assert policy.version == 7
        return await asyncio.gather(*before), await asyncio.gather(*after)

    old, new = asyncio.run(around())
    assert {completion.version for completion in old} == {0}
    assert {completion.version for completion in new} == {7}
    for name, found in (("old", old), ("new", new)):
        fresh = load_model(folders[name], device="cpu")
        for asked, got in zip(requests, found, strict=True):
            assert got.logprobs == pytest.approx(teacher(fresh, asked, got.token_ids.tolist()), abs=1e-5)


@pytest.mark.parametrize("wrong", ["wide", "missing"])
def test_weights_that_do_not_fit_leave_the_old_ones(
    folders: dict[str, Path], policy: TorchPolicy, wrong: str
) -> None:
    before = asyncio.run(policy.sample(request(1)))
    checkpoint = Checkpoint(folders.get(wrong, Path("no/such/folder")), 1)
    with pytest.raises(ModelFailed, match=r"is of another shape|cannot load the model"):
        asyncio.run(policy.load(checkpoint))
    after = asyncio.run(policy.sample(request(1)))
    assert (after.version, after.token_ids.tolist()) == (0, before.token_ids.tolist())
    assert after.logprobs == pytest.approx(before.logprobs, abs=1e-6)


def test_a_failure_reaches_all_who_wait_and_the_policy_goes_on(
    policy: TorchPolicy, loaded: LoadedModel
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    async def failing() -> list[Completion | BaseException]:
        asked = [policy.sample(request(i)) for i in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    hook = loaded.model.register_forward_pre_hook(broken)
    failures = asyncio.run(failing())
    hook.remove()
    for failure in failures:
        assert isinstance(failure, ModelFailed)
        assert "RuntimeError: out of memory" in str(failure)
        assert isinstance(failure.__cause__, RuntimeError)
    assert len(set(map(id, failures))) == 5
    assert len(asyncio.run(policy.sample(request(1))).token_ids) == 6


def test_a_cancelled_request_leaves_and_the_others_stay(policy: TorchPolicy, loaded: LoadedModel) -> None:
    async def cancelling() -> list[Completion]:
        requests = [request(i, max_tokens=100) for i in range(6)]
        tasks = [asyncio.create_task(policy.sample(asked)) for asked in requests]
        quick = asyncio.create_task(policy.sample(request(9, max_tokens=2)))
        await quick
        tasks[2].cancel()
        kept = await asyncio.gather(*tasks[:2], *tasks[3:])
        with pytest.raises(asyncio.CancelledError):
            await tasks[2]
        for asked, got in zip(requests[:2] + requests[3:], kept, strict=True):
            assert got.logprobs == pytest.approx(teacher(loaded, asked, got.token_ids.tolist()), abs=1e-5)
        return kept

    assert len(asyncio.run(cancelling())) == 5


def test_loops_may_come_and_go(policy: TorchPolicy) -> None:
    first, second = (asyncio.run(policy.sample(request(4))) for _ in range(2))
    assert first.token_ids.tolist() == second.token_ids.tolist()

    async def abandoned() -> None:
        task = asyncio.create_task(policy.sample(request(5, max_tokens=100)))
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(abandoned())
    assert asyncio.run(policy.sample(request(4))).token_ids.tolist() == first.token_ids.tolist()


def test_closing_ends_every_wait(loaded: LoadedModel) -> None:
    policy = TorchPolicy(loaded, max_batch=2)

    async def closing() -> list[Completion | BaseException]:
        tasks = [asyncio.create_task(policy.sample(request(i, max_tokens=100))) for i in range(20)]
        await asyncio.sleep(0)
        policy.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ended = asyncio.run(closing())
    assert isinstance(ended[-1], ModelFailed)
    assert "closed" in str(ended[-1])
    policy.close()
    with pytest.raises(ModelFailed, match="the policy is closed"):
        asyncio.run(policy.sample(request(1)))


def test_settings_that_make_no_sense_are_refused(loaded: LoadedModel) -> None:
    with pytest.raises(ValueError, match="join_every must be positive, got"):
        TorchPolicy(loaded, max_batch=0)
