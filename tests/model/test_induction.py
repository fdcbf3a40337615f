"""The written circuit, before any training: a lookup is answered from the context."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trace_gym.model.induction import ROPE_THETA, slow_slots, write_induction


def model(hidden=128, heads=4, kv_heads=4, layers=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=80,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        )
        made = LlamaForCausalLM(config)
        write_induction(made)
    return made


@torch.no_grad()
def test_an_untrained_model_looks_symbols_up():
    made, right = model(), 0
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        keys = torch.randperm(40, generator=generator)[:5]
        values = 40 + torch.randperm(40, generator=generator)[:5]
        asked = int(torch.randint(4, (1,), generator=generator))
        sequence = torch.stack([keys, values], dim=1).reshape(-1)
        logits = made(torch.cat([sequence, keys[asked : asked + 1]])[None]).logits[0, -1]
        right += int(logits[values].argmax()) == asked
    assert right >= 35, "chance is 10 of 50"


@torch.no_grad()
def test_the_first_heads_look_one_and_two_tokens_back():
    made = model()
    made.set_attn_implementation("eager")
    attended = made(torch.randperm(80)[:60][None], output_attentions=True).attentions[0][0]
    for head, back in ((0, 1), (1, 2)):
        assert torch.diagonal(attended[head], offset=-back).min() > 0.9


@torch.no_grad()
def test_an_untrained_model_can_be_sure():
    made = model()
    symbols = made.model.embed_tokens.weight
    surest = made.lm_head(made.model.norm(symbols)).softmax(-1).diagonal()
    assert surest.min() > 0.9, "a state that is a symbol's alone says that symbol"


def test_models_without_room_are_refused():
    with pytest.raises(ValueError, match="no room for induction heads"):
        model(heads=1, kv_heads=1)
    with pytest.raises(ValueError, match="no room for induction heads"):
        model(kv_heads=2)


@pytest.mark.parametrize("heads", range(1, 9))
@pytest.mark.parametrize("size", [2, 4, 6, 8, 32, 64])
def test_there_is_room_in_three_heads_of_four_features_as_the_refusal_says(heads, size):
    if heads >= 3 and size >= 4:
        slots = slow_slots(heads, heads * size)
        assert slots == sorted({*slots}), "each feature once"
        assert heads * size - 2 * len(slots) > max(size, len(slots)), "both symbols before fit beside one"
        assert max(slots) < size
    else:
        with pytest.raises(ValueError, match="it takes 3 heads or more, of 4 features or more"):
            slow_slots(heads, heads * size)
