"""The model made here: its tokenizer, its size, its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from trace_gym.core.errors import RunFolderError
from trace_gym.model.quiet import quiet
from trace_gym.model.tiny import make_tiny, tiny_tokenizer
from trace_gym.model.tokenize import HFTokenizer

WORDS = ["search", "read", "born_in", "12", "1", "->", "Zoë"]


def test_a_word_is_one_token_wherever_it_stands() -> None:
    tokenizer = HFTokenizer(tiny_tokenizer(WORDS), eos_id=0)
    (word,) = tokenizer.encode("born_in")
    assert tokenizer.encode("born_in 12 ->")[0] == word
    assert tokenizer.encode("12 born_in")[1:] == [word]
    assert tokenizer.encode("read\nborn_in\n")[2] == word
    assert len(tokenizer.encode("search 12 -> Zoë 1")) == 5


def test_a_word_inside_another_is_spelled_in_bytes() -> None:
    tokenizer = HFTokenizer(tiny_tokenizer(WORDS), eos_id=0)
    words = {tokenizer.encode(word)[0] for word in WORDS}
    assert not words & set(tokenizer.encode("searching born_in, 121 pre->"))


@given(
    st.lists(st.sampled_from([*WORDS, " ", "  ", "\n", "\t", "x", "é"]) | st.text(max_size=4)).map("".join)
)
def test_any_text_comes_back_exactly(text: str) -> None:
    tokenizer = HFTokenizer(tiny_tokenizer(WORDS), eos_id=0)
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode(errors="backslashreplace").decode()


@pytest.mark.parametrize("word", ["", "two words", "line\n", "\ud800", "<|im_end|>"])
def test_what_is_no_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"a word of the vocabulary|is a control token"):
        tiny_tokenizer([*WORDS, word])


def test_repeated_words_count_once() -> None:
    assert tiny_tokenizer([*WORDS, *WORDS]).get_vocab_size() == 256 + len(WORDS) + 3


def test_an_ordinary_folder_of_about_a_million_parameters(tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(300)]
    folder = make_tiny(tmp_path / "tiny", vocabulary=words, seed=7)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder)
        loaded = AutoTokenizer.from_pretrained(folder)
    assert 600_000 <= model.num_parameters() <= 1_200_000
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert loaded.eos_token == "<|im_end|>"
    assert model.config.eos_token_id == loaded.eos_token_id
    assert len(loaded) == model.config.vocab_size == 256 + 300 + 3
    ours = HFTokenizer.from_folder(folder)
    assert ours.encode("word7 word8\nword9") == loaded.encode("word7 word8\nword9", add_special_tokens=False)
    assert ours.eos_id == loaded.eos_token_id
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = make_tiny(tmp_path / name, vocabulary=WORDS, seed=seed, hidden=32, layers=1)
        with quiet():
            weights.append(AutoModelForCausalLM.from_pretrained(folder).lm_head.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunFolderError, match="exists already"):
        make_tiny(tmp_path / "mine", vocabulary=WORDS, seed=0)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot write a model"):
        make_tiny(tmp_path / "file" / "tiny", vocabulary=WORDS, seed=0)


def test_a_width_that_heads_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even multiple of heads"):
        make_tiny(tmp_path / "tiny", vocabulary=WORDS, seed=0, hidden=30, heads=4)
