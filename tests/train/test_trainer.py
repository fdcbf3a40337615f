"""The trainer: what an update reports, leaves alone, learns, saves and resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.errors import BadConfig, RunFolderError, UnknownName
from trace_gym.core.tokens import floats
from trace_gym.core.tree import Forest
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.pack import Layout, pack
from trace_gym.train.trainer import Trainer


def wild(gardeners: Any, seed: int = 0, *, trees: int = 4) -> Forest:
    garden = gardeners(seed)
    for _ in range(trees):
        garden.wild()
    forest: Forest = garden.forest()
    return forest


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """To the last bit?"""
    return left.keys() == right.keys() and all(
        left[n].numpy().tobytes() == right[n].numpy().tobytes() for n in left
    )


@pytest.mark.parametrize("outcome", [True, False])
def test_without_contrast_no_step_is_made(gardener: Any, small_llama: Any, outcome: bool) -> None:
    for _ in range(2):
        tree = gardener.plant()
        for _ in range(3):
            gardener.play(tree, outcome, turns=2)
    gardener.plant()
    trainer = Trainer(small_llama(), TrainConfig(lr=0.1, weight_decay=0.1))
    before = weights(trainer)
    metrics = trainer.update(gardener.forest())
    assert metrics["skipped"] == 1.0
    assert metrics["optimiser_steps"] == 0.0
    assert metrics["contrast_trees"] == 0.0
    assert metrics["trees"] == 2.0
    assert same(before, weights(trainer))
    assert trainer.version == 0
    assert not any(value != value for value in metrics.values())


def test_lr_zero_leaves_weights_bit_identical(gardeners: Any, small_llama: Any) -> None:
    trainer = Trainer(small_llama(), TrainConfig(lr=0.0, weight_decay=0.1, epochs=2))
    before = weights(trainer)
    metrics = trainer.update(wild(gardeners))
    assert metrics["grad_norm"] > 0
    assert metrics["optimiser_steps"] == 2.0
    assert same(before, weights(trainer))


def test_metrics_by_hand(gardener: Any, small_llama: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2)
    gardener.play(tree, False, turns=1, anchor=1)
    gardener.play(gardener.plant(), True)
    gardener.play(gardener.plant(), True, stop=StopReason.CENSORED)
    trainer = Trainer(
        small_llama(), TrainConfig(lr=0.01, epochs=2), clock=iter([10.0, 12.5, 0.0, 0.0]).__next__
    )
    metrics = trainer.update(gardener.forest())
    sampled = sum(len(turn.action_ids) for turn in tree.turns)
    assert metrics["seconds"] == 2.5
    assert metrics["trees"] == 2.0
    assert metrics["contrast_trees"] == 1.0
    assert metrics["branches"] == 3.0
    assert metrics["trained_tokens"] == sampled
    assert metrics["entropy"] == 0.5
    assert metrics["stale_share"] == 0.0
    assert metrics["skipped"] == 0.0
    assert metrics["tokens_unique"] < metrics["tokens_raw"]
    assert metrics["lr"] == 0.01
    assert trainer.version == 1
    assert trainer.update(gardener.forest())["stale_share"] == 1.0


def test_a_success_becomes_likelier_and_a_failure_less_likely(gardener: Any, small_llama: Any) -> None:
    tree = gardener.plant()
    (won,), (lost,) = gardener.play(tree, True), gardener.play(tree, False)
    trainer = Trainer(small_llama(), TrainConfig(lr=0.01, epochs=1))
    batches, _ = pack(credit([tree]), Layout())

    def logprob(node: int) -> float:
        with torch.no_grad():
            found = LogprobKernel(trainer.model)(batches[0])
        chosen = batches[0].plus > 0 if node == won else batches[0].minus < 0
        return float(found[chosen].sum())

    before = logprob(won), logprob(lost)
    trainer.update(gardener.forest())
    assert logprob(won) > before[0]
    assert logprob(lost) < before[1]


def test_turns_of_others_are_not_trained(gardener: Any, small_llama: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2, actors=[Actor.ORACLE, Actor.AGENT])
    gardener.play(tree, False, turns=2, actors=[Actor.ORACLE, Actor.AGENT])
    trainer = Trainer(small_llama(), TrainConfig(lr=0.1))
    before = weights(trainer)
    assert trainer.update(gardener.forest())["skipped"] == 1.0
    assert same(before, weights(trainer))


@pytest.mark.parametrize("old_logprobs", ["recompute", "behaviour"])
@pytest.mark.parametrize("minibatches", [1, 2])
def test_gap_is_what_lies_between_sampler_and_trainer(
    gardeners: Any, small_llama: Any, old_logprobs: str, minibatches: int
) -> None:
    """With the trainer's own log-probs as behaviour the gap vanishes; shifted by 1/4 it is 1/4."""
    for shift in (0.0, 0.25):
        forest = wild(gardeners)
        config = TrainConfig(
            lr=0.01,
            epochs=1,
            minibatches=minibatches,
            old_logprobs=old_logprobs,  # type: ignore[arg-type]
            dtype="float32",
        )
        trainer = Trainer(small_llama(), config)
        kernel = LogprobKernel(trainer.model)
        for tree in forest.trees:
            for node in range(1, len(tree.turns)):
                turn = tree.turns[node]
                tree.turns[node] = replace(turn, logprobs=floats(_logprobs(kernel, tree, node) + shift))
        metrics = trainer.update(forest)
        assert metrics["logprob_gap"] == pytest.approx(shift, abs=1e-5)
        assert metrics["logprob_gap_max"] == pytest.approx(shift, abs=1e-5)


def _logprobs(kernel: LogprobKernel, tree: Any, node: int) -> Any:
    path = torch.tensor(tree.tokens(node).tolist())
    with torch.no_grad():
        logits = kernel.model(input_ids=path[None]).logits[0]
    found = logits.log_softmax(-1)[:-1].gather(1, path[1:, None])[:, 0]
    return found[-len(tree.turns[node].action_ids) :].numpy()


def test_the_first_ratio_is_one_whatever_the_sampler_said(gardeners: Any, small_llama: Any) -> None:
    first = Trainer(small_llama(), TrainConfig(lr=0.0, epochs=2, minibatches=3)).update(wild(gardeners))
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-6)
    assert first["logprob_gap"] > 0.1
    config = TrainConfig(lr=0.0, epochs=1, old_logprobs="behaviour")
    second = Trainer(small_llama(), config).update(wild(gardeners))
    assert abs(second["ratio_mean"] - 1.0) > 0.1


def test_gradients_that_are_not_numbers_are_not_applied(gardeners: Any, small_llama: Any) -> None:
    forest = wild(gardeners)
    for tree in forest.trees:
        for node in range(1, len(tree.turns)):
            lowest = floats([-1e30] * len(tree.turns[node].action_ids))
            tree.turns[node] = replace(tree.turns[node], logprobs=lowest)
    trainer = Trainer(small_llama(), TrainConfig(lr=0.1, epochs=2, old_logprobs="behaviour"))
    before = weights(trainer)
    metrics = trainer.update(forest)
    assert metrics["nonfinite_steps"] == 2.0
    assert metrics["optimiser_steps"] == 0.0
    assert trainer.version == 0
    assert same(before, weights(trainer))


def test_gradients_are_cut_to_a_length_or_not_at_all(gardeners: Any, small_llama: Any) -> None:
    """Bounds of 0 and of more than any length are the same; with a large `eps` a cut gradient is another."""
    weights = []
    for longest in (0.0, 1e9, 1e-3):
        trainer = Trainer(small_llama(), TrainConfig(lr=0.01, epochs=2, max_grad_norm=longest, eps=1e-3))
        garden = gardeners(0)
        garden.wild()
        assert trainer.update(garden.forest())["grad_norm"] > 1e-3
        weights.append(torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_kl_holds_the_policy_near_where_it_began(gardeners: Any, small_llama: Any) -> None:
    (batch,), _ = pack(credit(wild(gardeners).trees), Layout())
    apart = []
    for kl in (0.0, 10.0):
        trainer = Trainer(small_llama(), TrainConfig(lr=0.005, epochs=4, kl=kl))
        kernel = LogprobKernel(trainer.model)
        before = kernel(batch).detach()
        for _ in range(5):
            trainer.update(wild(gardeners))
        apart.append(float((kernel(batch).detach() - before).square().mean()))
    assert apart[1] < 0.3 * apart[0]


@pytest.mark.parametrize("loss", ["dapo", "gspo"])
def test_trees_deeper_than_a_sliding_window_are_computed_by_branches(gardeners: Any, loss: str) -> None:
    """Beside shallow ones that are packed, in steps that are those of leaf-by-leaf training."""
    found = []
    for packed in (True, False):
        config = MistralConfig(
            **{"vocab_size": 31, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2},
            **{"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.3},
            sliding_window=16,
        )
        torch.manual_seed(0)
        options = {"loss": loss, "minibatches": 2, "packed": packed, "lr": 0.01, "eps": 1e-3}
        trainer = Trainer(MistralForCausalLM(config), TrainConfig(**options))
        garden = gardeners(0)
        for turns in (2, 9, 2, 9):
            tree = garden.plant()
            first = garden.play(tree, True, turns=turns)
            garden.play(tree, False, turns=turns)
            garden.play(tree, False, turns=1, anchor=first[0])
        metrics = trainer.update(garden.forest())
        weights = torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()])
        found.append((metrics, weights))
    (mixed, now), (leaves, then) = found
    assert mixed["tokens_computed"] < leaves["tokens_computed"]
    assert mixed["grad_norm"] == pytest.approx(leaves["grad_norm"], rel=1e-4)
    assert torch.allclose(now, then, atol=1e-5)


def test_rows_of_trees_stay_within_what_a_model_sees_of_a_row(gardeners: Any) -> None:
    """GPT-Neo's local layers count places in the row; longer trees go branch by branch, in steps that are
    those of leaf-by-leaf training."""
    found = []
    for packed in (True, False):
        config = GPTNeoConfig(
            **{"vocab_size": 31, "hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2},
            **{"attention_types": [[["global", "local"], 1]], "window_size": 40, "initializer_range": 0.3},
            max_position_embeddings=64,
        )
        torch.manual_seed(0)
        trainer = Trainer(GPTNeoForCausalLM(config), TrainConfig(packed=packed, lr=0.01, eps=1e-3))
        garden = gardeners(0)
        for turns in (2, 5, 2, 5):
            tree = garden.plant()
            first = garden.play(tree, True, turns=turns)
            for anchor in (0, 0, first[0]):
                garden.play(tree, False, turns=turns, anchor=anchor)
        metrics = trainer.update(garden.forest())
        found.append((metrics, torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()])))
    (mixed, now), (leaves, then) = found
    assert mixed["tokens_unique"] < mixed["tokens_computed"] < leaves["tokens_computed"]
    assert mixed["grad_norm"] == pytest.approx(leaves["grad_norm"], rel=1e-4)
    assert torch.allclose(now, then, atol=1e-5)


def test_trees_are_dealt_whole_and_at_most_one_step_each(gardeners: Any, small_llama: Any) -> None:
    trainer = Trainer(small_llama(), TrainConfig(lr=0.01, epochs=2, minibatches=10))
    assert trainer.update(wild(gardeners, trees=3))["optimiser_steps"] == 6.0


def test_warmup_raises_the_rate(gardeners: Any, small_llama: Any) -> None:
    trainer = Trainer(small_llama(), TrainConfig(lr=0.1, epochs=1, warmup_steps=4))
    rates = [trainer.update(wild(gardeners))["lr"] for _ in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_decay_lowers_the_rate_to_a_tenth_after_the_warmup(gardeners: Any, small_llama: Any) -> None:
    trainer = Trainer(small_llama(), TrainConfig(lr=0.1, epochs=1, warmup_steps=2, decay_steps=3))
    rates = [trainer.update(wild(gardeners))["lr"] for _ in range(7)]
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.07, 0.04, 0.01, 0.01])


def test_length_normalised_loss_divides_by_tasks_and_longest_response(
    gardeners: Any, small_llama: Any
) -> None:
    norms = []
    for name, length in (("drgrpo", 50), ("drgrpo", 100), ("ppo", 50)):
        config = TrainConfig(lr=0.0, epochs=1, loss=name, response_tokens=length, max_grad_norm=1e9)
        norms.append(Trainer(small_llama(), config).update(wild(gardeners))["grad_norm"])
    assert norms[0] == pytest.approx(2 * norms[1], rel=1e-5)
    forest = wild(gardeners)
    mass = sum(
        float(c.weight[n]) * len(t.action_ids)
        for c in credit(forest.trees)
        for n, t in enumerate(c.tree.turns)
    )
    assert norms[2] == pytest.approx(norms[0] * 50 * len(forest.trees) / mass, rel=1e-5)


def test_a_model_that_cannot_pack_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(BadConfig, match="packed = false"):
        Trainer(model, TrainConfig())
    Trainer(model, TrainConfig(packed=False))


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_resume_is_bit_equal(gardeners: Any, small_llama: Any, tmp_path: Path, kl: float) -> None:
    config = TrainConfig(lr=0.01, epochs=2, minibatches=2, warmup_steps=10, weight_decay=0.01, kl=kl, seed=7)
    straight = Trainer(small_llama(), config)
    for seed in range(2):
        straight.update(wild(gardeners, seed))
    checkpoint = straight.save(tmp_path / "step-2")
    assert checkpoint.version == 2
    resumed = Trainer.resume(checkpoint.path)
    assert resumed.config == config
    assert same(weights(straight), weights(resumed))
    for seed in range(2, 5):
        left, right = straight.update(wild(gardeners, seed)), resumed.update(wild(gardeners, seed))
        assert {k: v for k, v in left.items() if k != "seconds"} == {
            k: v for k, v in right.items() if k != "seconds"
        }
    assert same(weights(straight), weights(resumed))
    assert (straight.version, straight.steps) == (resumed.version, resumed.steps)


def test_a_checkpoint_is_an_ordinary_model_folder(small_llama: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors", "notes.md"):
        (source / name).write_text(name)
    trainer = Trainer(small_llama(), TrainConfig(), source=source)
    trainer.save(tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert "notes.md" not in names
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 1000
    assert "trace_gym" not in (tmp_path / "out" / "config.json").read_text()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    token_ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(token_ids).logits, trainer.model(token_ids).logits)


def test_saving_replaces_checkpoints_and_nothing_else(small_llama: Any, tmp_path: Path) -> None:
    trainer = Trainer(small_llama(), TrainConfig())
    place = tmp_path / "deep" / "checkpoint"
    trainer.save(place)
    (place / "stale").write_text("")
    (place.parent / ".checkpoint.part").mkdir()
    trainer.save(place)
    assert not (place / "stale").exists()
    assert [file.name for file in place.parent.iterdir()] == ["checkpoint"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("all of it")
    with pytest.raises(RunFolderError, match="nothing was overwritten"):
        trainer.save(mine)
    assert (mine / "thesis.tex").read_text() == "all of it"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        trainer.save(tmp_path / "file" / "checkpoint")


def test_resuming_from_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no checkpoint"):
        Trainer.resume(tmp_path)
    (tmp_path / "trainer.pt").write_bytes(b"torn")
    with pytest.raises(RunFolderError, match="cannot read"):
        Trainer.resume(tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"advantage": "tree_po"}, "did you mean 'treepo'"),
        ({"token_weight": "leafsum"}, "did you mean 'leaf_sum'"),
        ({"loss": "dap"}, "did you mean 'dapo'"),
        ({"dtype": "bf16"}, "did you mean 'bfloat16'"),
        ({"old_logprobs": "recomputed"}, "did you mean 'recompute'"),
    ],
)
def test_unknown_choices_name_the_nearest(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UnknownName, match=told):
        TrainConfig(**options)


@pytest.mark.parametrize("loss", ["cispo", "dppo"])
def test_a_dual_clip_that_changes_nothing_is_refused(loss: str) -> None:
    with pytest.raises(ValueError, match=f"dual_clip changes nothing about the loss '{loss}'"):
        TrainConfig(loss=loss, dual_clip=3.0)
    assert TrainConfig(loss=loss).clip.dual is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lora_alpha": 8.0}, "lora_alpha weighs adapters; set lora_rank"),
        ({"correction_low": 0.5}, "bound a correction; set correction"),
        ({"correction_high": 2.0}, "bound a correction; set correction"),
    ],
)
def test_an_option_of_what_is_off_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -1.0},
        {"epochs": 0},
        {"minibatches": 0},
        {"token_budget": 0},
        {"temperature": 0.0},
        {"betas": (0.9, 1.0)},
        {"clip_low": 2.0},
        {"kl": float("nan")},
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).partition("_")[0]):
        TrainConfig(**options)
