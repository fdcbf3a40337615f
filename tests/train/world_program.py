"""A short training, to be run by one process or by several that torchrun started: updates, a save, more
updates by a trainer that was resumed from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trace_gym.core.tree import Forest
from trace_gym.testing.trees import grow_tree
from trace_gym.train.config import TrainConfig
from trace_gym.train.trainer import Trainer
from trace_gym.train.world import World, launched

CASES: dict[str, dict[str, Any]] = {
    "plain": {"epochs": 2, "minibatches": 2},
    "replay": {"epochs": 2, "minibatches": 2, "replay": 1, "old_logprobs": "behaviour"},
    "everything": {
        **{"epochs": 2, "minibatches": 2, "loss": "gspo", "clip_low": 0.05, "clip_high": 0.05, "kl": 0.1},
        **{"correction": "geometric", "correction_low": 0.02, "correction_high": 50.0, "lean": True},
    },
}
SHAPES = (
    ("0 3 2 +", "0 3 1 -", "1 2 2 -", "1 4 +", "3 2 -"),
    ("0 2 5 -", "0 1 1 +", "1 3 +"),
    ("0 4 +", "0 6 -", "0 2 2 -"),
    ("0 2 2 2 -", "2 3 +", "1 1 1 +"),
)


def model() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def forest(step: int) -> Forest:
    trees = [grow_tree(*lines, index=i, context=2 + step, vocab=61) for i, lines in enumerate(SHAPES)]
    return Forest(step, trees)


def run(case: str, folder: Path) -> list[dict[str, float]]:
    """Metrics of each update; `first` and `last` in `folder` are what was saved."""
    config = TrainConfig(lr=0.01, eps=1e-3, token_budget=40, seed=3, **CASES[case])
    trainer = Trainer(model(), config)
    found = [trainer.update(forest(step)) for step in range(2)]
    trainer.save(folder / "first")
    trainer = Trainer.resume(folder / "first")
    found += [trainer.update(forest(step)) for step in range(2, 4)]
    trainer.save(folder / "last")
    return found


def main() -> None:
    case, folder = sys.argv[1], Path(sys.argv[2])
    with launched():
        found = run(case, folder)
        if World.current().rank == 0:
            (folder / "metrics.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
