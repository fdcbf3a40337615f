"""TRL's GRPOTrainer on rollouts that our scheduler allocates: half of each group are forks that TRACE placed.

    python examples/trl_grpo.py 20          # optimiser steps; needs pip install 'trace-gym[trl]'

Prints success on held-out tasks before and after. The model is the tiny one, warm-started by imitation.
"""

import asyncio
import sys
from tempfile import TemporaryDirectory

from datasets import Dataset
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from trace_gym.environment.registry import suite
from trace_gym.evaluate import EvalConfig, evaluate
from trace_gym.interop.trl import TreeRollouts
from trace_gym.model.load import load_model
from trace_gym.parts import make_predictor
from trace_gym.policies import Voice, open_policy
from trace_gym.warm import WarmConfig, warm_tiny


def held_out(folder: str, suites: list, tasks: int) -> float | None:
    opened = open_policy("tiny", folder, Voice(max_tokens=8))
    try:
        return asyncio.run(evaluate(suites, opened.agent, config=EvalConfig(tasks=tasks))).success.mean
    finally:
        opened.close()


WARM = WarmConfig(noise=0.4, clumsy=True)


def main(steps: int, spec: str = "wikihop_compact", warm: WarmConfig = WARM) -> tuple:
    suites = [suite(spec)]
    folder = warm_tiny(suites, warm, note=print, progress=lambda step: None)
    model = load_model(folder)
    beta = make_predictor("beta", {}, seed=0)
    rollouts = TreeRollouts(suites, model, renderer="compact", predictor=beta, max_tokens=8)
    with TemporaryDirectory() as out:
        trainer = GRPOTrainer(
            model=model.model,
            reward_funcs=rollouts.reward,
            rollout_func=rollouts,
            train_dataset=Dataset.from_list(rollouts.rows()),
            processing_class=AutoTokenizer.from_pretrained(folder),
            args=GRPOConfig(
                output_dir=out,
                max_steps=steps,
                learning_rate=1e-4,
                per_device_train_batch_size=64,  # completions: eight tasks, each with a group of eight
                num_generations=8,
                bf16=False,
                gradient_checkpointing=False,
                report_to=[],
                save_strategy="no",
                logging_steps=1,
            ),
        )
        before = held_out(str(folder), suites, 100)
        trainer.train()
        trainer.save_model(f"{out}/model")
        after = held_out(f"{out}/model", suites, 100)
    forks = sum(not tree.bare(i) for tree in rollouts.forest.trees for i in range(len(tree.rollouts)))
    print(f"held-out success {before} -> {after}; {forks} forks in the last step")
    return before, after, forks


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
