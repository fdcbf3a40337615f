"""Trees and models for this room's tests: small, and deterministic in their seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.task import Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest, RolloutTree

VOCAB = 31


class Gardener:
    """Grows rollout trees turn by turn; a context is a function of tree and parent, so siblings share it."""

    def __init__(self, seed: int = 0, *, tokens: tuple[int, int] = (1, 4)) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokens = tokens
        self.trees: list[RolloutTree] = []

    def plant(self) -> RolloutTree:
        index = len(self.trees)
        task = Task(id=f"t{index}", suite="fake", split=Split.TRAIN, family=f"f{index}")
        self.trees.append(RolloutTree.planted(index, task))
        return self.trees[-1]

    def play(
        self,
        tree: RolloutTree,
        outcome: bool,
        *,
        turns: int = 1,
        anchor: int = 0,
        stop: StopReason = StopReason.TERMINATED,
        actors: Sequence[Actor] = (),
    ) -> list[int]:
        """One rollout; returns the nodes it added."""
        rollout = tree.start(grant=0, anchor=anchor)
        nodes: list[int] = []
        for i in range(turns):
            last = i + 1 == turns
            verdicts = (Verdict.of("goal", last and outcome, evidence=""),)
            actor = actors[i] if i < len(actors) else Actor.POLICY
            parent = tree.rollouts[rollout].tip
            done = last and stop is StopReason.TERMINATED
            nodes.append(tree.append(self.turn(tree, parent, rollout, actor, verdicts, done)))
        tree.stop(rollout, stop)
        return nodes

    def turn(
        self,
        tree: RolloutTree,
        parent: int,
        rollout: int,
        actor: Actor,
        verdicts: tuple[Verdict, ...],
        done: bool,
    ) -> Turn:
        shared = np.random.default_rng([tree.index, parent])
        sampled = self._ids(self.rng)
        return Turn(
            parent,
            rollout,
            actor,
            "seen",
            verdicts=verdicts,
            context_ids=ids(self._ids(shared)),
            action_ids=ids(sampled),
            logprobs=floats([-1.0] * len(sampled)),
            entropy=floats([0.5] * len(sampled)),
            policy_version=0,
            terminated=done,
        )

    def _ids(self, rng: np.random.Generator) -> list[int]:
        low, high = self.tokens
        return [int(i) for i in rng.integers(0, VOCAB, size=int(rng.integers(low, high + 1)))]

    def forest(self, step: int = 0) -> Forest:
        return Forest(step, self.trees)

    def wild(self, *, roots: int = 3, forks: int = 3, turns: int = 4) -> RolloutTree:
        """A tree of random rollouts forked at random nodes that can be continued, both outcomes in it."""
        tree = self.plant()
        for i in range(roots + forks):
            open_nodes = [n for n in tree.anchors() if n > 0]
            anchor = int(self.rng.choice(open_nodes)) if i >= roots and open_nodes else 0
            outcome = bool(self.rng.random() < 0.5) if i > 1 else i == 0
            self.play(tree, outcome, turns=int(self.rng.integers(1, turns + 1)), anchor=anchor)
        return tree


@pytest.fixture
def gardener() -> Gardener:
    return Gardener()


@pytest.fixture
def gardeners() -> type[Gardener]:
    return Gardener


@pytest.fixture
def small_llama() -> Callable[..., LlamaForCausalLM]:
    def make(seed: int = 0, *, hidden: int = 16, tied: bool = True, vocab: int = VOCAB) -> LlamaForCausalLM:
        config = LlamaConfig(
            vocab_size=vocab,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            tie_word_embeddings=tied,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return LlamaForCausalLM(config)

    return make


@pytest.fixture
def small_neox() -> Callable[..., GPTNeoXForCausalLM]:
    """A model that computes in float64 throughout; Llama's norm goes through float32 whatever it is given."""

    def make(seed: int = 0) -> GPTNeoXForCausalLM:
        config = GPTNeoXConfig(
            vocab_size=VOCAB,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=False,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return GPTNeoXForCausalLM(config).double()

    return make
