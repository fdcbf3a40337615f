"""Linear layers that multiply through oneDNN compute what they did."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from trace_gym.model.products import WORK, QuickLinear, quicken


def _pair(inner: int, outer: int, *, bias: bool = False) -> tuple[nn.Linear, QuickLinear]:
    torch.manual_seed(0)
    plain, quick = nn.Linear(inner, outer, bias=bias), QuickLinear(inner, outer, bias=bias)
    quick.load_state_dict(plain.state_dict())
    return plain, quick


@pytest.mark.parametrize(
    ("shape", "inner", "outer"), [((96,), 128, 384), ((3, 40), 384, 128), ((2, 5, 30), 96, 50)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_products_and_gradients_are_those_in_double_precision(
    shape: tuple[int, ...], inner: int, outer: int, bias: bool
) -> None:
    plain, quick = _pair(inner, outer, bias=bias)
    exact = nn.Linear(inner, outer, bias=bias).double()
    exact.load_state_dict(plain.state_dict())
    x, up = torch.randn(*shape, inner), torch.randn(*shape, outer)
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    found, wanted = quick(ours), exact(theirs)
    found.backward(up)
    wanted.backward(up.double())
    assert ours.grad is not None
    assert theirs.grad is not None
    pairs = [(found, wanted), (ours.grad, theirs.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(quick.parameters(), exact.parameters(), strict=True)]
    for got, right in pairs:
        assert got.dtype == torch.float32
        assert got.shape == right.shape
        torch.testing.assert_close(got.double(), right, rtol=1e-5, atol=2e-4)


def test_without_gradients_it_is_the_same_product() -> None:
    _, quick = _pair(128, 384)
    x = torch.randn(2, 48, 128)
    with_gradients = quick(x)
    with torch.no_grad():
        torch.testing.assert_close(quick(x), with_gradients, rtol=0, atol=0)


def test_small_products_narrow_ones_and_autocast_are_left_to_torch() -> None:
    plain, quick = _pair(128, 128)
    small = torch.randn(WORK // 128 // 128 - 1, 128)
    assert torch.equal(quick(small), plain(small))
    large = torch.randn(512, 128)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quick(large), plain(large))
    assert quick.double()(large.double()).dtype == torch.float64
    assert quick.bfloat16()(large.bfloat16()).dtype == torch.bfloat16


def test_only_what_need_not_be_computed_has_no_gradient() -> None:
    _, quick = _pair(128, 128)
    quick.weight.requires_grad_(False)
    x = torch.randn(128, 128, requires_grad=True)
    quick(x).sum().backward()
    assert x.grad is not None
    assert quick.weight.grad is None


def test_a_model_keeps_its_weights_names_ties_and_outputs() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, tie_word_embeddings=True, **sizes)).eval()
    tokens = torch.arange(256)[None]
    before, names = model(tokens).logits, list(model.state_dict())
    quicken(model, wanted=True)
    assert list(model.state_dict()) == names
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(type(m) is QuickLinear for m in model.modules() if isinstance(m, nn.Linear))
    torch.testing.assert_close(model(tokens).logits, before, rtol=1e-4, atol=1e-5)


def test_unwanted_nothing_is_changed() -> None:
    layers = nn.Sequential(nn.Linear(8, 8))
    quicken(layers, wanted=False)
    assert type(layers[0]) is nn.Linear
