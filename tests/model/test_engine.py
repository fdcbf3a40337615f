"""The running batch against the bare model, one sequence at a time; and the architectures it serves."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from trace_gym.core.errors import ModelFailed
from trace_gym.core.tokens import ids
from trace_gym.model.engine import STRIDE, Engine
from trace_gym.model.load import load_model
from trace_gym.model.memory import memory_for
from trace_gym.model.outlook import Outlook
from trace_gym.model.recompute import Recompute
from trace_gym.model.replay import Pass
from trace_gym.model.row import Row
from trace_gym.model.slots import BLOCK, Slots
from trace_gym.model.tiny import make_tiny

WORDS = [f"word{i}" for i in range(100)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    folder = tmp_path_factory.mktemp("engine") / "tiny"
    make_tiny(folder, vocabulary=WORDS, seed=3, hidden=32, layers=2)
    loaded = load_model(folder).model
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():  # weights large enough that attention decides what is said, and no larger
        for weight in loaded.parameters():
            if weight.dim() > 1:
                weight.copy_(0.08 * torch.randn(weight.shape, generator=generator))
            else:
                weight.fill_(4.0)
    return loaded


def engine(model: PreTrainedModel, **options: Any) -> Engine:
    """An engine whose clock ticks once a reading."""
    settings = {"max_batch": 8, "slot_bytes": 1 << 26, "block_bytes": 1 << 24, "prefill_tokens": 256}
    ticks = itertools.count()
    return Engine(model, **{**settings, **options}, clock=lambda: float(next(ticks)))


def rows(count: int, *, seed: int = 0, longest: int = 60) -> list[Row]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, count)
    return [
        Row(ids(rng.integers(0, 300, n).tolist()), limit=int(rng.integers(1, 12)), seed=seed * 1000 + i)
        for i, n in enumerate(lengths)
    ]


def play(machine: Engine, waiting: list[Row]) -> list[Row]:
    """Let the rows join as they fit and run until all are done."""
    done: list[Row] = []
    while waiting or machine.rows:
        joining = waiting[: machine.room(waiting)]
        waiting = waiting[len(joining) :]
        if joining:
            done += machine.join(joining)
        if machine.rows:
            done += machine.step()
    return done


@torch.no_grad()
def check(model: PreTrainedModel, row: Row) -> None:
    """Log-probs, entropy and hidden state as one teacher-forced pass over the whole sequence gives them."""
    whole = torch.from_numpy(row.ids[: row.length]).long()[None]
    out = model(input_ids=whole, output_hidden_states=True)
    start = len(row.prompt_ids)
    log_p = out.logits[0, start - 1 : -1].log_softmax(-1)
    expected = log_p.gather(-1, whole[0, start:, None])[:, 0]
    assert row.logprobs == pytest.approx(expected.tolist(), abs=1e-5)
    assert row.entropy == pytest.approx((-log_p.exp() * log_p).sum(-1).tolist(), abs=1e-5)
    assert row.hidden is not None
    assert row.hidden == pytest.approx(out.hidden_states[-1][0, start - 1].numpy(), abs=1e-5, rel=1e-4)


def test_mixed_lengths_that_come_and_go_are_computed_exactly(model: PreTrainedModel) -> None:
    machine = engine(model)
    asked = rows(40)
    done = play(machine, asked)
    assert sorted(map(id, done)) == sorted(map(id, asked))
    for row in done:
        assert len(row.logprobs) == len(row.ids) - len(row.prompt_ids)
        check(model, row)
    assert machine.throughput.occupancy > 4


def test_later_turns_find_their_prefix_and_stay_exact(model: PreTrainedModel) -> None:
    machine = engine(model)
    asked = rows(10)
    for turn in range(3):
        for row in play(machine, list(asked)):
            check(model, row)
            if turn:
                assert row.cached >= BLOCK * ((len(row.prompt_ids) - 6) // BLOCK)
        asked = [
            Row(ids([*row.ids[: row.length], 5, 6, 7, 8, 9]), limit=7, seed=row.seed + 1) for row in asked
        ]


def test_forks_share_the_prefix_and_differ_in_what_follows(model: PreTrainedModel) -> None:
    machine = engine(model)
    prompt = ids(list(range(40)))
    play(machine, [Row(prompt, limit=4, seed=0)])
    forks = [Row(ids([*prompt, *range(50, 50 + i)]), limit=4, seed=i) for i in range(1, 7)]
    for row in play(machine, forks):
        check(model, row)
        assert row.cached == 32


def test_equal_prompts_are_computed_once(model: PreTrainedModel) -> None:
    machine = engine(model, block_bytes=0)
    prompt = ids(list(range(30)))
    asked = [Row(prompt, limit=5, seed=i) for i in range(6)]
    play(machine, list(asked))
    assert [row.cached for row in asked] == [0, 30, 30, 30, 30, 30]
    assert machine.throughput.fresh == 30
    for row in asked:
        check(model, row)
    assert len({row.sampled.tobytes() for row in asked}) > 1


@pytest.mark.parametrize(("blocks", "spared"), [(0, 0), (3, 7 * 48), (1000, 7 * 96 + 3 * 64)])
def test_what_prompts_begin_with_is_computed_once_however_many_come_at_once(
    model: PreTrainedModel, blocks: int, spared: int
) -> None:
    """All share 100 tokens, half of them 60 more, of which whole blocks can be remembered."""
    rng = np.random.default_rng(4)
    start, more = rng.integers(0, 300, 100).tolist(), rng.integers(0, 300, 60).tolist()
    tails = [rng.integers(0, 300, 5 + i).tolist() for i in range(8)]
    asked = [
        Row(ids([*start, *(more if i % 2 else []), *tail]), limit=3, seed=i) for i, tail in enumerate(tails)
    ]
    machine = engine(model)
    play(machine, rows(1))
    machine = engine(model, block_bytes=blocks * BLOCK * machine._memory.token_bytes, prefill_tokens=4096)
    play(machine, list(asked))
    assert machine.throughput.fresh == sum(len(row.prompt_ids) for row in asked) - spared
    for row in asked:
        check(model, row)


def test_the_seed_decides_whatever_else_runs(model: PreTrainedModel) -> None:
    together, alone, reversed_order = rows(12), rows(12), rows(12)
    play(engine(model), list(together))
    for row in alone:
        play(engine(model, block_bytes=0), [row])
    play(engine(model, max_batch=3), reversed_order[::-1])
    for row, other, third in zip(together, alone, reversed_order, strict=True):
        assert row.sampled.tolist() == other.sampled.tolist() == third.sampled.tolist()
        assert row.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_a_long_prompt_is_read_in_strides_and_exactly(model: PreTrainedModel) -> None:
    machine = engine(model)
    rng = np.random.default_rng(1)
    asked = [
        Row(ids(rng.integers(0, 300, n).tolist()), limit=3, seed=n) for n in (2 * STRIDE + 7, 70, STRIDE)
    ]
    for row in play(machine, list(asked)):
        check(model, row)


def test_stop_tokens_end_a_row_and_are_kept(model: PreTrainedModel) -> None:
    free = Row(ids([1, 2, 3]), limit=30, seed=5)
    play(engine(model), [free])
    stop = int(free.sampled[7])
    first = free.sampled.tolist().index(stop)
    stopped = Row(ids([1, 2, 3]), limit=30, seed=5, stop_ids=frozenset([stop]))
    play(engine(model), [stopped])
    assert stopped.stopped
    assert stopped.sampled.tolist() == free.sampled[: first + 1].tolist()


def test_greedy_is_what_the_library_generates(model: PreTrainedModel) -> None:
    row = Row(ids([10, 20, 30, 40]), limit=20, temperature=0.0)
    play(engine(model), [row])
    given = torch.tensor([[10, 20, 30, 40]])
    expected = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=20, do_sample=False, eos_token_id=None
    )
    assert row.ids.tolist() == expected[0].tolist()
    assert set(row.logprobs) == {0.0}


def test_a_row_without_a_limit_to_sample_gives_its_hidden_state(model: PreTrainedModel) -> None:
    machine = engine(model)
    asked = [Row(row.prompt_ids, limit=0) for row in rows(5)]
    assert len(play(machine, list(asked))) == 5
    for row in asked:
        check(model, row)
    assert machine.throughput.steps == 0


def test_prompts_are_read_without_slots_as_they_would_be_by_themselves(model: PreTrainedModel) -> None:
    machine = engine(model)
    common = list(range(40, 60))
    several = enumerate(rows(5, longest=30))
    asked = [Row(ids([*common[: 3 * i], *row.prompt_ids]), limit=0) for i, row in several]
    for row, state in zip(asked, machine.read([row.prompt_ids for row in asked]), strict=True):
        row.hidden = state
        check(model, row)
    assert machine.throughput.fresh == sum(len(row.prompt_ids) for row in asked)
    assert not machine.rows


def test_little_memory_means_smaller_batches_not_other_results(model: PreTrainedModel) -> None:
    plenty, scarce = rows(20, longest=200), rows(20, longest=200)
    play(engine(model), list(plenty))
    token_bytes = 2 * 2 * 32 * 4  # keys and values, layers, width, bytes
    machine = engine(model, slot_bytes=400 * token_bytes, block_bytes=5 * BLOCK * token_bytes)
    play(machine, list(scarce))
    for row, other in zip(plenty, scarce, strict=True):
        assert row.sampled.tolist() == other.sampled.tolist()
        check(model, other)
    assert machine.throughput.occupancy < 6


def test_a_dropped_row_leaves_the_others_alone(model: PreTrainedModel) -> None:
    machine = engine(model)
    kept = [Row(row.prompt_ids, limit=9, seed=row.seed) for row in rows(5)]
    machine.join(kept)
    machine.step()
    machine.drop(kept[1])
    while machine.rows:
        machine.step()
    assert len(kept[1].logprobs) == 2
    for row in kept:
        check(model, row)


def test_seconds_are_shared_out_completely(model: PreTrainedModel) -> None:
    machine = engine(model)
    asked = rows(10)
    play(machine, list(asked))
    spent = machine.throughput.prefill_seconds + machine.throughput.decode_seconds
    assert sum(row.seconds for row in asked) == pytest.approx(spent)


def test_logits_that_are_not_numbers_are_a_failure(model: PreTrainedModel) -> None:
    machine = engine(model)
    weight = model.get_input_embeddings().weight
    good = weight[7].clone()
    with torch.no_grad():
        weight[7] = torch.nan
    try:
        with pytest.raises(ModelFailed, match="not numbers"):
            machine.join([Row(ids([7]), limit=1)])
    finally:
        with torch.no_grad():
            weight[7] = good
    machine.clear()
    play(machine, [row := Row(ids([7, 8, 9]), limit=3)])
    check(model, row)


SMALL: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
GATED: dict[str, Any] = {"intermediate_size": 64, "num_key_value_heads": 2}
ARCHITECTURES: dict[str, tuple[dict[str, Any], type]] = {
    "gpt2": ({}, Slots),
    "qwen2": (GATED, Slots),
    "qwen3": ({**GATED, "head_dim": 8}, Slots),
    "mistral": ({**GATED, "sliding_window": 8}, Slots),
    "gemma2": ({**GATED, "head_dim": 8, "sliding_window": 8}, Slots),
    "gemma3_text": ({**GATED, "head_dim": 8, "sliding_window": 8, "sliding_window_pattern": 2}, Slots),
    "phi": ({"intermediate_size": 64}, Slots),
    "bloom": ({}, Recompute),
    "mamba": ({"state_size": 8}, Recompute),
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_architectures(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Positions learnt or rotary, sliding windows (some layers or all), soft-capped and eager attention,
    grouped heads; and two whose memory slots cannot hold."""
    extra, memory = ARCHITECTURES[kind]
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](
        **{**SMALL, **extra, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    )
    attention = "eager" if kind == "gemma2" else None
    with caplog.at_level(logging.WARNING):
        other = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        with torch.no_grad():
            for weight in other.parameters():
                weight += 0.1 * torch.randn_like(weight)
        assert type(memory_for(other, slot_bytes=1 << 26, block_bytes=1 << 20)) is memory
        asked = rows(6, longest=30)
        common = ids(range(40, 60))
        read = [Row(ids([*common[: 3 * i], *row.prompt_ids]), limit=0) for i, row in enumerate(asked)]
        machine = engine(other, max_batch=12)
        play(machine, asked)
        for row, state in zip(read, machine.read([row.prompt_ids for row in read]), strict=True):
            row.hidden = state
    assert ("sampled slowly" in caplog.text) == (memory is Recompute)
    for row in [*asked, *read]:
        check(other, row)


def test_the_loaded_folder_is_in_half_precision_only_if_asked(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "tiny", vocabulary=WORDS, seed=3, hidden=32, layers=2)
    half = load_model(folder, dtype="bfloat16").model
    assert half.dtype == torch.bfloat16
    row = Row(ids([1, 2, 3, 4]), limit=10, seed=1)
    play(engine(half), [row])
    exact = load_model(folder).model
    whole = torch.from_numpy(row.ids).long()[None]
    with torch.no_grad():
        log_p = exact(input_ids=whole).logits[0, 3:-1].log_softmax(-1)
    expected = log_p.gather(-1, whole[0, 4:, None])[:, 0]
    assert row.logprobs == pytest.approx(expected.tolist(), abs=0.05)


def test_memory_that_grows_by_and_by_is_moved_seldom_and_whole(model: PreTrainedModel) -> None:
    slots = Slots(model, slot_bytes=1 << 28, block_bytes=0)
    prompt = np.arange(1, 9, dtype=np.int32)
    slots.reserve(1, len(prompt))
    slots.forward([prompt], starts=[0], first=0)
    before = slots.forward([np.append(prompt, 9)], starts=[8], first=0)
    places: set[tuple[int, int]] = set()
    for count in range(1, 200):
        slots.reserve(count, 5 * count)
        keys, _ = slots._memory[0]
        places.add((keys.shape[0], keys.shape[2]))
        assert keys.shape[0] >= count
        assert keys.shape[2] >= 5 * count
    assert len(places) < 14
    after = slots.forward([np.append(prompt, 9)], starts=[8], first=0)
    assert torch.equal(before.logits, after.logits)


def test_memory_that_may_not_double_is_made_to_measure(model: PreTrainedModel) -> None:
    slots = Slots(model, slot_bytes=1 << 28, block_bytes=0)
    slots.reserve(16, 32)
    slots.forward([np.arange(1, 9, dtype=np.int32)], starts=[0], first=0)
    tight = Slots(model, slot_bytes=20 * 48 * slots.token_bytes, block_bytes=0)
    tight.reserve(16, 32)
    tight.forward([np.arange(1, 9, dtype=np.int32)], starts=[0], first=0)
    tight.reserve(20, 48)
    assert tight._memory[0][0].shape[::2] == (20, 48)


def test_replayed_steps_are_computed_exactly_while_memory_grows(model: PreTrainedModel) -> None:
    """What fills a recording up to its shape harms nobody; recordings do not outlive the memory they use."""
    taken: list[int] = []

    def record(once: Pass) -> Pass:
        def again() -> Outlook:
            taken.append(len(taken))
            return once()

        return again

    machine = engine(model, max_batch=40, recorder=lambda: record)
    for seed, longest in enumerate((20, 60, 300)):
        for row in play(machine, rows(30, seed=seed, longest=longest)):
            check(model, row)
    assert len(taken) == machine.throughput.steps


def test_a_model_that_cannot_be_recorded_is_sampled_all_the_same(
    model: PreTrainedModel, caplog: pytest.LogCaptureFixture
) -> None:
    def record(once: Pass) -> Pass:
        raise RuntimeError("operation not permitted when stream is capturing")

    with torch.inference_mode():
        slots, plain = (
            Slots(model, slot_bytes=1 << 26, block_bytes=1 << 20, recorder=how)
            for how in (lambda: record, None)
        )
        found = []
        for memory in (slots, plain):
            memory.reserve(2, 9)
            one, two = ids([1, 2, 3, 4]), ids([5, 6])
            memory.forward([one[:3], two[:1]], starts=[0, 0], first=0)
            found.append(memory.forward([one, two], starts=[3, 1], first=0).logits)
    assert torch.equal(*found)
    assert "cannot be recorded" in caplog.text


@pytest.mark.needs("cuda")
def test_decoding_steps_replayed_as_cuda_graphs_are_exact(tmp_path: Path) -> None:
    """Of a model that attends strongly, in float32, with rows that come and go and memory that moves."""
    make_tiny(tmp_path / "tiny", vocabulary=WORDS, seed=3, hidden=64, layers=3)
    model = load_model(tmp_path / "tiny", device="cuda").model
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)
    assert isinstance(memory_for(model, slot_bytes=1 << 26, block_bytes=0), Slots)
    machine = engine(model, max_batch=64, padding=4096)
    for seed, longest in enumerate((20, 60, 300)):
        for row in play(machine, rows(50, seed=seed, longest=longest)):
            whole = torch.from_numpy(row.ids[: row.length]).long()[None].to("cuda")
            with torch.no_grad():
                log_p = model(input_ids=whole).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
            expected = log_p.gather(-1, whole[0, len(row.prompt_ids) :, None])[:, 0]
            assert row.logprobs == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("wanted", "seen"), [(None, {1}), (2, {2}), (3, {3})])
def test_a_small_model_computes_with_one_thread_and_leaves_them_as_they_were(
    model: PreTrainedModel, wanted: int | None, seen: set[int]
) -> None:
    machine, found = engine(model, threads=wanted), set()
    hook = model.register_forward_pre_hook(lambda *given: found.add(torch.get_num_threads()))
    play(machine, rows(4))
    hook.remove()
    assert found == seen
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("wanted", "readers"), [(None, 2), (1, 1)])
def test_prompts_are_read_by_as_many_threads_as_are_allowed(
    model: PreTrainedModel, wanted: int | None, readers: int
) -> None:
    """Copies of the modules, which have the hooks of their originals, read beside the model itself."""
    machine, found = engine(model, threads=wanted), set()
    hook = model.register_forward_pre_hook(lambda *given: found.add(threading.get_ident()))
    rng = np.random.default_rng(6)
    machine.read([ids(rng.integers(0, 300, 60).tolist()) for _ in range(40)])
    hook.remove()
    assert len(found) == readers
