"""TRL's GRPOTrainer on our rollouts: a `rollout_func` that a scheduler of ours allocates, and its rewards.

    rollouts = TreeRollouts([suite("wikihop_compact")], model, renderer="compact", method="uniform+trace?n=4")
    GRPOTrainer(
        model=model.model,
        reward_funcs=rollouts.reward,
        rollout_func=rollouts,
        train_dataset=Dataset.from_list(rollouts.rows(512)),
        ...
    ).train()

`examples/trl_grpo.py` is a whole program. TRL decides which tasks are played and how many completions a task
has (`num_generations`); the scheduler decides where they begin: that many trajectories a task are its budget.
Every branch of a tree, from its root to a leaf, is a completion; what the environment said in it is masked
(`env_mask`). A task that got fewer branches than TRL wants is filled up with masked rows without a reward,
which TRL leaves out of its baseline; of more, an even selection is taken. The weights are TRL's own, as they
are.

Leaves out everything that TRL does with completions: it weighs a shared prefix once for each branch, and its
baseline is the mean over a task's branches. One process, no vLLM: TRL's own flags for those do nothing here.
Nothing here imports trl.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.episode import Actor
from trace_gym.core.errors import BadConfig
from trace_gym.core.predictor import Predictor
from trace_gym.core.task import Split, Task
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import Suite
from trace_gym.model.load import LoadedModel
from trace_gym.parts import make_renderer, make_scheduler
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.schedule.catalogue import spelled


@dataclass(frozen=True, slots=True)
class Branch:
    """A completion: from a tree's root to a leaf, or a row that is there for its place alone."""

    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float]
    env_mask: list[int]
    outcome: float | None


class TreeRollouts:
    """A `rollout_func` for TRL. Lifecycle: called once per generation by the trainer, in its own thread.

    `model` holds the model that the trainer trains, and its tokenizer. `method` is a scheduler as `bench
    schedulers` spells them, with options; `predictor` learns from every generation. `forest` is what was last
    played, `metrics` what scheduler and predictor said of it.
    """

    def __init__(
        self,
        suites: Sequence[Suite],
        model: LoadedModel,
        *,
        renderer: str,
        method: str = "uniform+trace?n=4&continuations=1",
        predictor: Predictor | None = None,
        max_tokens: int = 256,
        temperature: float = 1.0,
        workers: int = 64,
        seed: int = 0,
    ) -> None:
        """Raises UnknownName, BadConfig."""
        self._makers = {suite.name: suite.make for suite in suites}
        self._tasks = {task.key: task for suite in suites for task in suite.tasks(Split.TRAIN)}
        if not self._tasks:
            raise BadConfig("there is no training task in " + (", ".join(self._makers) or "no suites"))
        self._model = model
        self._renderer = make_renderer(renderer, model.tokenizer)
        name, options = spelled(method)
        self._scheduler = make_scheduler(name, options, seed=seed)
        self._predictor = predictor
        self._max_tokens, self._temperature = max_tokens, temperature
        self._config = CollectorConfig(seed=seed, workers=workers, turn_tokens=max_tokens)
        self._rng = np.random.default_rng(seed)
        self._step = 0
        self.forest = Forest(0, [])
        self.metrics: Mapping[str, float] = {}

    def rows(self, count: int | None = None) -> list[dict[str, str]]:
        """A data set for TRL: a row names a task. `count` draws that many tasks instead of taking all."""
        keys = list(self._tasks)
        if count is not None and count < len(keys):
            keys = [keys[i] for i in sorted(self._rng.choice(len(keys), count, replace=False))]
        return [{"prompt": key} for key in keys]

    def reward(self, *, outcome: Sequence[float | None], **_: Any) -> list[float | None]:
        """The reward function for TRL: the environment's verdict on each branch."""
        return list(outcome)

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Play the tasks that the prompts name, each as often as it is named, with the trainer's weights.

        Raises BadConfig for a prompt that names no task.
        """
        counts: dict[str, int] = {}
        for key in prompts:
            if key not in self._tasks:
                known = next(iter(self._tasks))
                raise BadConfig(f"a prompt names a training task, such as {known!r}; got {key!r}")
            counts[key] = counts.get(key, 0) + 1
        self.forest = self._played([self._tasks[key] for key in counts], len(prompts), trainer)
        if trainer.model.training:
            self._learn()
        trees = {tree.task.key: tree for tree in self.forest.trees}
        branches = {key: iter(self._chosen(trees.get(key), wanted)) for key, wanted in counts.items()}
        found = [next(branches[key]) for key in prompts]
        return {name: [getattr(each, name) for each in found] for name in Branch.__dataclass_fields__}

    def _played(self, tasks: Sequence[Task], trajectories: int, trainer: Any) -> Forest:
        """A step of the scheduler over the tasks. The policy is made anew, for what it caches ages."""
        model = trainer.accelerator.unwrap_model(trainer.model)
        training = model.training
        model.eval()
        loaded = LoadedModel(model, self._model.tokenizer, self._model.path)
        try:
            with TorchPolicy(loaded, version=self._step) as policy:
                agent = ModelAgent(
                    policy,
                    self._renderer,
                    tokenizer=loaded.tokenizer,
                    max_tokens=self._max_tokens,
                    temperature=self._temperature,
                )
                return asyncio.run(self._collected(agent, tasks, trajectories))
        finally:
            model.train(training)

    async def _collected(self, agent: ModelAgent, tasks: Sequence[Task], trajectories: int) -> Forest:
        async with Collector(
            self._makers,
            agent,
            self._scheduler,
            predictor=self._predictor,
            reader=agent,
            config=self._config,
        ) as collector:
            forest = await collector.collect(self._step, tasks, Budget(trajectories=trajectories))
        self._step += 1
        return forest

    def _learn(self) -> None:
        told = dict(self._scheduler.learn(self.forest))
        if self._predictor is not None:
            told |= self._predictor.learn(self.forest)
        self.metrics = told

    def _chosen(self, tree: RolloutTree | None, wanted: int) -> list[Branch]:
        """As many branches of a tree as are wanted, and rows without a reward for those that are missing."""
        outcomes = tree.outcomes() if tree is not None else {}
        leaves = sorted(outcomes)
        if len(leaves) > wanted:
            leaves = [leaves[i] for i in np.linspace(0, len(leaves) - 1, wanted).round().astype(int)]
        found = [branch_of(tree, leaf, outcomes[leaf]) for leaf in leaves] if tree is not None else []
        pad = self._model.tokenizer.eos_id
        return [*found, *[Branch([pad], [pad], [0.0], [0], None)] * (wanted - len(found))]


def branch_of(tree: RolloutTree, leaf: int, outcome: float) -> Branch:
    """The path to a leaf as TRL takes completions: the task's prompt, then all that followed."""
    first, *rest = [tree.turns[node] for node in tree.path(leaf)]
    branch = Branch(first.context_ids.tolist(), [], [], [], outcome)
    for turn in (first, *rest):
        if turn is not first:
            branch.completion_ids.extend(turn.context_ids.tolist())
            branch.logprobs.extend([0.0] * len(turn.context_ids))
            branch.env_mask.extend([0] * len(turn.context_ids))
        branch.completion_ids.extend(turn.action_ids.tolist())
        branch.logprobs.extend(turn.logprobs.tolist())
        branch.env_mask.extend([int(turn.actor is Actor.POLICY)] * len(turn.action_ids))
    return branch
