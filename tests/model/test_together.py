"""Short prompts read together: what is laid out, and the same hidden states as one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MptConfig,
    PreTrainedModel,
    Qwen2MoeConfig,
)

from tests.model.test_engine import engine, model, play, rows  # noqa: F401  (a fixture)
from trace_gym.core.tokens import IntArray, ids
from trace_gym.model.outlook import last_outlook
from trace_gym.model.row import Row
from trace_gym.model.together import AT_ONCE, PACK, SHORT, laid_out, read_together


def prompts(count: int, *, seed: int, alphabet: int = 3, longest: int = 20) -> list[IntArray]:
    """Few different tokens, so that many prompts begin alike, and some are alike."""
    rng = np.random.default_rng(seed)
    return [ids(rng.integers(5, 5 + alphabet, rng.integers(1, longest)).tolist()) for _ in range(count)]


def test_a_pack_holds_what_is_shared_once() -> None:
    (pack,) = laid_out([ids([1]), ids([1, 2, 3]), ids([1, 2, 3]), ids([1, 2, 4, 5]), ids([7])])
    assert pack.tokens == [1, 2, 3, 4, 5, 7]
    assert pack.depths == [0, 1, 2, 2, 3, 0]
    assert pack.until == [5, 5, 3, 5, 5, 6]
    assert pack.ends == [(0, 0), (1, 2), (2, 2), (3, 4), (4, 5)]


def test_packs_stay_small_and_lose_nobody() -> None:
    asked = sorted((p.tolist() for p in prompts(400, seed=1)), key=list)
    packs = laid_out([ids(prompt) for prompt in asked])
    assert len(packs) > 1
    assert max(len(pack.tokens) for pack in packs) <= PACK
    assert [number for pack in packs for number, _ in pack.ends] == list(range(400))
    for pack in packs:
        for number, end in pack.ends:
            path = [t for place, t in enumerate(pack.tokens) if place <= end < pack.until[place]]
            assert path == asked[number]


@torch.inference_mode()
@pytest.mark.parametrize(
    ("shuffled", "threads"), [(False, None), (True, None), (True, 1), (True, 2), (True, 3)]
)
def test_states_are_those_of_every_prompt_alone(
    model: PreTrainedModel,  # noqa: F811
    shuffled: bool,
    threads: int | None,
) -> None:
    asked = prompts(300, seed=2)
    if not shuffled:
        asked.sort(key=lambda prompt: prompt.tolist())
    packs = laid_out(asked)
    assert len(packs) > 2 * AT_ONCE
    found = read_together(model, packs, threads=threads)
    assert found is not None
    for prompt, state in zip(asked, found, strict=True):
        alone = last_outlook(model, input_ids=torch.from_numpy(prompt.copy()).long()[None], use_cache=False)
        assert alone.hidden is not None
        assert torch.allclose(state, alone.hidden[0], atol=1e-5, rtol=1e-4)


SMALL = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES = {
    "llama": LlamaConfig(**SMALL, intermediate_size=32),
    "neox": GPTNeoXConfig(**SMALL, intermediate_size=32),
    "mixture": Qwen2MoeConfig(
        **SMALL, intermediate_size=32, num_key_value_heads=2, moe_intermediate_size=16, num_experts=4
    ),
    "gpt2": GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2),
}
"""Two whose layers are called otherwise, one whose feed-forward part is a mixture."""


@torch.inference_mode()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_feed_forward_part_sees_the_ends_alone(family: str) -> None:
    """What comes out is the same; GPT-2's layers are not found, so all of it is computed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(FAMILIES[family], attn_implementation="sdpa").eval()
    asked = sorted(prompts(40, seed=3), key=lambda prompt: prompt.tolist())
    layers = getattr(model.base_model, "layers", None) or model.base_model.h
    seen: list[int] = []
    hook = layers[-1].mlp.register_forward_hook(lambda *given: seen.append(given[1][0].shape[:-1].numel()))
    packs = laid_out(asked)
    found = read_together(model, packs)
    hook.remove()
    whole = len(packs) * max(len(pack.tokens) for pack in packs)
    assert sum(seen) == (whole if family == "gpt2" else len(asked))
    assert found is not None
    for prompt, state in zip(asked, found, strict=True):
        alone = last_outlook(model, input_ids=torch.from_numpy(prompt.copy()).long()[None], use_cache=False)
        assert alone.hidden is not None
        assert torch.allclose(state, alone.hidden[0], atol=1e-5, rtol=1e-4)


def test_a_model_that_counts_places_reads_prompts_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    """MPT penalises distances in the row, not those of positions: as a trie neighbours would change what is
    said of a prompt."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        odd = AutoModelForCausalLM.from_config(
            MptConfig(vocab_size=64, d_model=16, n_layers=2, n_heads=2, max_seq_len=64, initializer_range=0.3)
        ).eval()
    asked = sorted(prompts(40, seed=3), key=lambda prompt: prompt.tolist())
    found = engine(odd).read(asked)
    assert "reads prompts one by one" in caplog.text
    for prompt, state in zip(asked, found, strict=True):
        with torch.inference_mode():
            given = torch.from_numpy(prompt.copy()).long()[None]
            alone = last_outlook(odd, input_ids=given, use_cache=False)
        assert alone.hidden is not None
        assert state == pytest.approx(alone.hidden[0].numpy(), abs=1e-5, rel=1e-4)


def test_an_engine_reads_among_rows_that_sample(model: PreTrainedModel) -> None:  # noqa: F811
    lengths = (1, 5, SHORT, SHORT + 1, 5, 1)
    rng = np.random.default_rng(4)
    readers = [Row(ids(rng.integers(0, 300, n).tolist()), limit=0) for n in lengths]
    alone = [Row(row.prompt_ids, limit=1, seed=1) for row in readers]
    sampling = rows(6, seed=5)
    together = engine(model, max_batch=32)
    mixed = [row for pair in itertools.zip_longest(readers, sampling) for row in pair if row is not None]
    assert sorted(map(id, play(together, mixed))) == sorted(map(id, [*readers, *sampling]))
    play(engine(model, max_batch=32), alone)
    for row, same in zip(readers, alone, strict=True):
        assert row.hidden is not None
        assert row.hidden == pytest.approx(same.hidden, abs=1e-5, rel=1e-4)
    assert together.throughput.fresh >= sum(lengths)
