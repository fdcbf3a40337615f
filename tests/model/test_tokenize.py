"""What the world says never becomes a control token, and comes back as it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from trace_gym.core.errors import ModelFailed
from trace_gym.model.tiny import CONTROL_TOKENS, tiny_tokenizer
from trace_gym.model.tokenize import HFTokenizer

HOSTILE = st.lists(
    st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>", "go", " ", "\n", "é", "🙂", "<", "|>"])
    | st.characters(codec="utf-8")
).map("".join)


def tiny() -> HFTokenizer:
    return HFTokenizer(tiny_tokenizer(["go", "left"]), eos_id=260)


def holed() -> HFTokenizer:
    """A byte-level vocabulary without the byte 0x06 and without those that open code points above U+3FFFF."""
    letters = [c for c in pre_tokenizers.ByteLevel.alphabet() if c not in "\u0106ñò"]
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return HFTokenizer(tokenizer, eos_id=0)


@given(HOSTILE)
def test_text_never_yields_control_tokens_and_comes_back(text: str) -> None:
    tokenizer = tiny()
    token_ids = tokenizer.encode(text)
    assert not {tokenizer.control(token) for token in CONTROL_TOKENS} & set(token_ids)
    assert tokenizer.decode(token_ids) == text


def test_control_tokens_are_named_and_spelled_out() -> None:
    tokenizer = tiny()
    end = tokenizer.control("<|im_end|>")
    assert tokenizer.eos_id == end
    assert tokenizer.decode([*tokenizer.encode("go left"), end]) == "go left<|im_end|>"
    with pytest.raises(ValueError, match=r"no control token '<\|nope\|>'; there are: <\|endoftext\|>"):
        tokenizer.control("<|nope|>")


def test_a_vocabulary_that_reads_a_control_token_as_a_word_is_made_to_spell_it() -> None:
    unigram = Tokenizer(models.Unigram([("<unk>", -9.0), *((c, -2.0) for c in "</s>ab"), ("</s>", 0.0)], 0))
    unigram.add_special_tokens([AddedToken("</s>", special=True, normalized=False)])
    end = unigram.token_to_id("</s>")
    tokenizer = HFTokenizer(unigram, eos_id=end)
    assert unigram.encode("a</s>b").ids != tokenizer.encode("a</s>b")
    spelled = [unigram.token_to_id(c) for c in "a</s>b</s>"]
    assert tokenizer.encode("a</s>b</s>") == spelled


def spelling(control: str, *, words: str = "ab") -> tuple[HFTokenizer, dict[str, int]]:
    """A vocabulary of the letters of `control` and `words` that would rather read the whole of `control`."""
    letters = sorted({*control, *words})
    pieces = [("<unk>", -9.0), *((c, -2.0) for c in letters if c != control), (control, 0.0)]
    unigram = Tokenizer(models.Unigram(pieces, 0))
    unigram.add_special_tokens([AddedToken(control, special=True, normalized=False)])
    known = {c: unigram.token_to_id(c) for c in letters}
    return HFTokenizer(unigram, eos_id=unigram.token_to_id(control)), known


@pytest.mark.parametrize("control", ["</s>", "aa", "abab"])
@given(data=st.data())
def test_control_tokens_are_spelled_wherever_they_stand(control: str, data: st.DataObject) -> None:
    tokenizer, letter = spelling(control)
    text = "".join(data.draw(st.lists(st.sampled_from([control, *letter]))))
    assert tokenizer.encode(text) == [letter[c] for c in text]


def test_a_page_full_of_control_tokens_is_spelled() -> None:
    tokenizer, letter = spelling("</s>")
    page = "a</s>b" * 3000
    assert tokenizer.encode(page) == [letter[c] for c in page]
    tokenizer, letter = spelling("aaaaaaaaaaaaaaaaaaaaaaaa")
    assert tokenizer.encode("a" * 5000) == [letter["a"]] * 5000


def test_a_control_token_of_one_character_is_dropped() -> None:
    tokenizer, letter = spelling("a", words="ab")
    assert tokenizer.encode("baabab" * 1000) == [letter["b"]] * 3000


def test_what_cannot_be_spelled_is_escaped_not_dropped() -> None:
    tokenizer = holed()
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\\ud800b"
    assert tokenizer.decode(tokenizer.encode("a\x06\U00050000é")) == "a\\u0006\\U00050000é"


@given(st.text())
def test_lone_surrogates_do_not_crash(text: str) -> None:
    mixed = text + "\udfff" + text[::-1]
    assert tiny().decode(tiny().encode(mixed)) == mixed.encode(errors="backslashreplace").decode()


def test_the_tokenizer_given_is_left_alone_and_its_truncation_is_not_taken_over() -> None:
    given_one = tiny_tokenizer(["go"])
    given_one.enable_truncation(2)
    tokenizer = HFTokenizer(given_one, eos_id=0)
    assert len(tokenizer.encode("go go go go")) == 4
    assert len(given_one.encode("go go go go").ids) == 2
    assert given_one.encode("<|im_end|>").ids[-1] == given_one.token_to_id("<|im_end|>")


def test_threads_share_a_tokenizer() -> None:
    tokenizer = tiny()
    texts = [f"go {i} <|im_end|>\nleft" for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        encoded = list(pool.map(tokenizer.encode, texts))
        assert list(pool.map(tokenizer.decode, encoded)) == texts


def test_an_end_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="eos_id must lie in the vocabulary"):
        HFTokenizer(tiny_tokenizer([]), eos_id=100_000)


def test_a_folder_without_a_tokenizer_or_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="no usable tokenizer"):
        HFTokenizer.from_folder(tmp_path)
    endless = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer([]))
    endless.save_pretrained(tmp_path)
    with pytest.raises(ModelFailed, match="names no end-of-sequence token"):
        HFTokenizer.from_folder(tmp_path)
