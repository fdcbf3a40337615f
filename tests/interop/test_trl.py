"""TRL's own trainer on our rollouts: the example as it stands, and what TRL is given."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.errors import BadConfig
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import RolloutTree
from trace_gym.environment.registry import Suite, suite
from trace_gym.interop.trl import TreeRollouts, branch_of
from trace_gym.model.load import LoadedModel, load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.testing import toy_task
from trace_gym.warm import WarmConfig

ROOT = Path(__file__).parents[2]
EASY = f"{ROOT / 'tests' / 'loop_files' / 'easy.py'}:Easy"
SMALL = WarmConfig(hidden=32, layers=1, demos=60, steps=25, batch_tokens=512, lr=1e-2)


def example() -> Any:
    spec = importlib.util.spec_from_file_location("trl_grpo", ROOT / "examples" / "trl_grpo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.needs("trl")
@pytest.mark.filterwarnings("ignore")
def test_the_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path))
    before, after, forks = example().main(2, EASY, SMALL)
    assert 0.0 <= before <= 1.0
    assert 0.0 <= after <= 1.0
    assert forks > 0


def small(folder: Path, found: Suite) -> LoadedModel:
    words = found.env_class.vocabulary
    return load_model(make_tiny(folder / "tiny", vocabulary=words, seed=0, hidden=32, layers=1))


class Trainer:
    """What a rollout function is given of TRL's trainer."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.accelerator = self

    def unwrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        return model


def test_branches_carry_the_sampled_tokens_and_missing_ones_have_no_reward(tmp_path: Path) -> None:
    found = suite(EASY)
    model = small(tmp_path, found)
    rollouts = TreeRollouts([found], model, renderer="compact", method="uniform?n=3", max_tokens=8)
    model.model.train()
    first, second = (row["prompt"] for row in rollouts.rows()[:2])
    given = rollouts([first] * 4 + [second] * 4, Trainer(model.model))
    assert model.model.training
    lengths = [[len(row) for row in given[name]] for name in ("completion_ids", "logprobs", "env_mask")]
    assert lengths[0] == lengths[1] == lengths[2]
    assert [outcome is None for outcome in given["outcome"]] == [False, False, False, True] * 2
    assert rollouts.reward(outcome=given["outcome"], completions=[]) == given["outcome"]
    assert [sum(mask) for mask in given["env_mask"]][3::4] == [0, 0]
    model.model.eval()
    for row in range(3):
        whole = torch.tensor([given["prompt_ids"][row] + given["completion_ids"][row]])
        with torch.no_grad():
            logits = model.model(input_ids=whole).logits[0, :-1].log_softmax(-1)
        spoken = logits.gather(1, whole[0, 1:, None])[len(given["prompt_ids"][row]) - 1 :, 0]
        mask = torch.tensor(given["env_mask"][row], dtype=torch.bool)
        assert 0 < mask.sum() < len(mask) or len(mask) == mask.sum()
        np.testing.assert_allclose(spoken[mask], torch.tensor(given["logprobs"][row])[mask], atol=1e-4)


def test_a_fork_is_a_branch_with_its_prefix_in_it() -> None:
    tree = RolloutTree.planted(0, toy_task())
    for anchor, tokens in ((0, [5, 6]), (1, [7])):
        rollout = tree.start(grant=len(tree.rollouts), anchor=anchor)
        for number, token in enumerate(tokens):
            actor = Actor.ORACLE if token == 7 else Actor.POLICY
            verdict = Verdict.of("won", token == 6, evidence="")
            turn = Turn(
                tree.rollouts[rollout].tip,
                rollout,
                actor,
                "seen",
                (verdict,),
                context_ids=ids([1, 2]) if anchor == number == 0 else ids([3]),
                action_ids=ids([token]),
                logprobs=floats([-0.5]),
                terminated=token != 5,
            )
            tree.append(turn)
        tree.stop(rollout, StopReason.TERMINATED)
    one, other = (branch_of(tree, leaf, outcome) for leaf, outcome in sorted(tree.outcomes().items()))
    assert (one.prompt_ids, one.completion_ids, one.env_mask) == ([1, 2], [5, 3, 6], [1, 0, 1])
    assert one.outcome == 1.0
    assert (other.completion_ids, other.env_mask, other.outcome) == ([5, 3, 7], [1, 0, 0], 0.0)
    assert one.logprobs == [-0.5, 0.0, -0.5]


def test_a_prompt_that_names_no_task_is_refused(tmp_path: Path) -> None:
    found = suite(EASY)
    model = small(tmp_path, found)
    rollouts = TreeRollouts([found], model, renderer="compact")
    with pytest.raises(BadConfig, match="names a training task, such as 'easy/"):
        rollouts(["Solve it."], Trainer(model.model))
