"""A language model of about a million parameters, made here: random weights, a tokenizer of closed words.

Small enough to learn on two CPU cores when its suite speaks in few words. It is an ordinary Llama in an
ordinary Hugging Face folder. Leaves out any training: the weights know nothing of any task.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trace_gym.core.errors import RunFolderError, boundary
from trace_gym.model.induction import ROPE_THETA, slow_slots, write_induction
from trace_gym.model.quiet import quiet

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Padding, the opening of a turn (also the beginning of a sequence), the end of a turn (also the end)."""


def make_tiny(
    folder: Path,
    *,
    vocabulary: Sequence[str],
    seed: int,
    hidden: int = 128,
    layers: int = 3,
    heads: int = 4,
    context_size: int = 2048,
) -> Path:
    """Write a new model into `folder`, which must not exist, and return it.

    Every word of `vocabulary` becomes one token; all other text is spelled in bytes. `seed` alone decides
    the weights: random, with circuits for looking things up written in (`induction.py`). `hidden` is the
    width, three times that the inner width; embeddings are tied. Raises
    ValueError for a word that is not one and as `demand_shape`, RunFolderError where nothing can be written.
    """
    if folder.exists():
        raise RunFolderError(f"{folder} exists already; a new model needs a new folder")
    demand_shape(hidden, heads)
    tokenizer = tiny_tokenizer(vocabulary)
    pad, start, end = (tokenizer.token_to_id(token) for token in CONTROL_TOKENS)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context_size,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        write_induction(model)
    named = dict(zip(("pad_token", "bos_token", "eos_token"), CONTROL_TOKENS, strict=True))
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=context_size, clean_up_tokenization_spaces=False, **named
    )
    with boundary(RunFolderError, OSError, what=f"cannot write a model to {folder}"), quiet():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            model.save_pretrained(Path(scratch) / "model")
            wrapped.save_pretrained(Path(scratch) / "model")
            (Path(scratch) / "model").rename(folder)
    return folder


def demand_shape(hidden: int, heads: int) -> None:
    """Raises ValueError for a width and a number of heads that no such model can have."""
    if hidden % heads or (hidden // heads) % 2:
        raise ValueError(f"hidden must be an even multiple of heads, got {hidden} and {heads}")
    slow_slots(heads, hidden)


def tiny_tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    """One token per word of `vocabulary`, wherever whitespace or an end of the text stands around it, and one
    per byte for all else.

    A word's token includes one space before it. So that a word at the start of a text or of a line is that
    same token, encoding adds a space there, and decoding takes it away: any text comes back exactly.
    """
    bad = [word for word in vocabulary if word.split() != [word] or not _is_text(word)]
    if bad:
        raise ValueError(f"a word of the vocabulary is text without whitespace, got {bad[0]!r}")
    clash = sorted(set(vocabulary) & set(CONTROL_TOKENS))
    if clash:
        raise ValueError(f"{clash[0]!r} is a control token and cannot be a word of the vocabulary")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += [to_bytes.pre_tokenize_str(" " + word)[0][0] for word in dict.fromkeys(vocabulary)]
    vocab = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(" "), normalizers.Replace("\n", "\n ")])
    words = pre_tokenizers.Split(Regex(r" ?\S+|\s"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL_TOKENS])
    return tokenizer


def _is_text(word: str) -> bool:
    """Can it be written in UTF-8 (no lone surrogates)?"""
    return word.encode("utf-8", errors="ignore").decode() == word
