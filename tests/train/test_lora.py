"""Adapters: what is trained, what is saved, and that a resumed run goes on to the last bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from trace_gym.core.errors import RunFolderError
from trace_gym.core.tree import Forest
from trace_gym.model.threads import threads_of_torch
from trace_gym.train.config import TrainConfig
from trace_gym.train.lora import fingerprint
from trace_gym.train.trainer import Trainer

pytestmark = pytest.mark.needs("peft")
TOKENS = torch.tensor([[1, 2, 3, 5, 8]])


def wild(gardeners: Any, seed: int) -> Forest:
    garden = gardeners(seed)
    for _ in range(4):
        garden.wild()
    forest: Forest = garden.forest()
    return forest


@pytest.fixture
def base(tmp_path: Path, small_llama: Any) -> Path:
    folder = tmp_path / "base"
    small_llama(hidden=32).save_pretrained(folder)
    return folder


def started(base: Path, **options: Any) -> Trainer:
    return Trainer.load(base, TrainConfig(**{"lr": 0.02, "epochs": 2, "lora_rank": 4, **options}))


def test_only_adapters_are_trained_and_at_first_they_change_nothing(gardeners: Any, base: Path) -> None:
    trainer = started(base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        assert torch.equal(trainer.model(TOKENS).logits, plain(TOKENS).logits)
    before = {name: w.detach().clone() for name, w in trainer.model.named_parameters()}
    metrics = trainer.update(wild(gardeners, 0))
    assert metrics["optimiser_steps"] == 2.0
    assert trainer.mask_free
    moved = {n for n, w in trainer.model.named_parameters() if not torch.equal(w, before[n])}
    assert moved == {n for n in before if "lora_" in n}
    assert moved


def test_weights_that_are_kept_transposed_are_merged_so(gardeners: Any, tmp_path: Path) -> None:
    """GPT-2 keeps its matrices the other way round, the square ones too."""
    shape = {"vocab_size": 31, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
    GPT2LMHeadModel(GPT2Config(**shape)).save_pretrained(tmp_path / "base")
    trainer = started(tmp_path / "base")
    trainer.update(wild(gardeners, 0))
    saved = trainer.save(tmp_path / "step")
    merged = AutoModelForCausalLM.from_pretrained(saved.path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    with torch.no_grad():
        found, wanted, before = (m(TOKENS).logits for m in (merged, trainer.model, plain))
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(before, wanted, atol=1e-3)


def test_a_checkpoint_is_the_merged_model_with_the_adapters_beside_it(gardeners: Any, base: Path) -> None:
    trainer = started(base)
    trainer.update(wild(gardeners, 0))
    folder = trainer.save(base.parent / "step").path
    merged = AutoModelForCausalLM.from_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        now = trainer.model(TOKENS).logits
        torch.testing.assert_close(merged(TOKENS).logits, now, rtol=1e-4, atol=1e-5)
        assert float((plain(TOKENS).logits - now).abs().max()) > 1e-2
    assert set(load_file(folder / "model.safetensors")) == set(load_file(base / "model.safetensors"))
    again = Trainer.resume(folder).save(base.parent / "later").path
    for saved in (folder, again):
        config = json.loads((saved / "adapter" / "adapter_config.json").read_text())
        assert (config["r"], config["base_model_name_or_path"]) == (4, str(base))


@pytest.mark.filterwarnings("ignore")
def test_other_programs_can_load_the_adapters(gardeners: Any, base: Path) -> None:
    from peft import PeftModel

    trainer = started(base)
    trainer.update(wild(gardeners, 0))
    folder = trainer.save(base.parent / "step").path
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(loaded(TOKENS).logits, trainer.model(TOKENS).logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_resume_is_bit_equal(gardeners: Any, base: Path, kl: float) -> None:
    straight = started(base, kl=kl, minibatches=2)
    for seed in range(2):
        straight.update(wild(gardeners, seed))
    resumed = Trainer.resume(straight.save(base.parent / "step").path)
    for seed in (2, 3):
        left, right = straight.update(wild(gardeners, seed)), resumed.update(wild(gardeners, seed))
        assert {k: v for k, v in left.items() if k != "seconds"} == {
            k: v for k, v in right.items() if k != "seconds"
        }
    again = Trainer.resume(resumed.save(base.parent / "later").path)
    mine = dict(straight.model.named_parameters())
    for other in (resumed, again):
        assert all(torch.equal(w, mine[n]) for n, w in other.model.named_parameters())


def test_the_reference_is_the_model_without_its_adapters(gardeners: Any, base: Path) -> None:
    """A strong KL term holds the policy near its base, as a full copy of the base would."""
    apart = []
    for kl in (0.0, 10.0):
        trainer = started(base, kl=kl, lr=0.005, epochs=4)
        for _ in range(5):
            trainer.update(wild(gardeners, 0))
        with torch.no_grad():
            now = trainer.model(TOKENS).logits.log_softmax(-1)
            then = AutoModelForCausalLM.from_pretrained(base)(TOKENS).logits.log_softmax(-1)
        apart.append(float((now - then).abs().mean()))
    assert apart[1] < 0.5 * apart[0]


def test_another_base_or_none_is_refused(gardeners: Any, base: Path, small_llama: Any) -> None:
    trainer = started(base)
    folder = trainer.save(base.parent / "step").path
    small_llama(seed=1, hidden=32).save_pretrained(base)
    with pytest.raises(RunFolderError, match="is not the one"):
        Trainer.resume(folder)
    base.rename(base.with_name("elsewhere"))
    with pytest.raises(RunFolderError, match="not there any more"):
        Trainer.resume(folder)


def test_base_weights_are_told_apart_to_the_last_bit(small_llama: Any) -> None:
    model = small_llama(hidden=32)
    before = fingerprint(model.parameters())
    assert fingerprint(small_llama(hidden=32).parameters()) == before
    with torch.no_grad():
        least = next(w for name, w in model.named_parameters() if name.endswith("embed_tokens.weight"))
        least[3, 5] = torch.nextafter(least[3, 5], torch.tensor(1.0))
    assert fingerprint(model.parameters()) != before


def test_a_run_goes_on_with_another_number_of_threads(tmp_path: Path, small_llama: Any) -> None:
    """Over weights of many magnitudes a sum in floating point depends on how it is shared out."""
    model = small_llama(vocab=32000)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10.0 ** (2 - torch.arange(32000) % 11)[:, None])
    model.save_pretrained(tmp_path / "base")
    with threads_of_torch(1):
        folder = started(tmp_path / "base").save(tmp_path / "step").path
    for count in (2, 3, 4):
        with threads_of_torch(count):
            Trainer.resume(folder)


def test_a_checkpoint_with_a_plain_sum_of_its_base_is_resumed(base: Path, small_llama: Any) -> None:
    folder = started(base).save(base.parent / "step").path
    state = torch.load(folder / "trainer.pt", weights_only=True)
    total = sum(w.double().sum().item() for w in small_llama(hidden=32).parameters())
    state["base"]["sum"] = total + 1e-12
    torch.save(state, folder / "trainer.pt")
    again = Trainer.resume(folder).save(base.parent / "later").path
    assert isinstance(torch.load(again / "trainer.pt", weights_only=True)["base"]["sum"], str)
    state["base"]["sum"] = total + 1e-3
    torch.save(state, folder / "trainer.pt")
    with pytest.raises(RunFolderError, match="is not the one"):
        Trainer.resume(folder)


def test_a_run_goes_on_from_another_folder(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base.parent)
    trainer = started(Path(base.name))
    (base.parent / "elsewhere").mkdir()
    monkeypatch.chdir(base.parent / "elsewhere")
    folder = trainer.save(base.parent / "step").path
    again = Trainer.resume(folder).save(base.parent / "later").path
    for saved in (folder, again):
        assert torch.load(saved / "trainer.pt", weights_only=True)["base"]["folder"] == str(base)


@pytest.mark.parametrize(("before", "after"), [(4, 0), (0, 4), (4, 8)])
def test_another_rank_is_refused(gardeners: Any, base: Path, before: int, after: int) -> None:
    trainer = started(base, lora_rank=before)
    trainer.update(wild(gardeners, 0))
    folder = trainer.save(base.parent / "step").path
    with pytest.raises(RunFolderError, match=f"lora_rank = {before} and cannot go on with {after}"):
        Trainer.resume(folder, config=TrainConfig(lora_rank=after))
