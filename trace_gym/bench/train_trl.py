"""TRL's GRPOTrainer on given branches, for `bench train` and as an oracle; the only importer of trl.

Its own loss code computes what is compared: `_compute_loss` gets the batches that its generation would have
made, with everything but the policy's tokens masked. Leaves out generation and its optimiser.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from trace_gym.core.episode import Actor
from trace_gym.model.quiet import quiet
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Branch, Credit


class TRL:
    """A GRPOTrainer around a copy of a model (it changes what it is given), used as a context manager.

    `options` are GRPOConfig's: the loss and its clips. Every branch weighs the same; its advantage is that of
    its last turn.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        credits_: Sequence[Credit],
        config: TrainConfig,
        *,
        token_budget: int,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = copy.deepcopy(model)
        self._credits = credits_
        self._config = config
        self._token_budget = token_budget
        self._options = {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, **(options or {})}
        self._stack = ExitStack()
        self.batches: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        with quiet():
            self.trainer = GRPOTrainer(
                model=self.model,
                reward_funcs=lambda completions, **_: [0.0] * len(completions),
                args=GRPOConfig(
                    output_dir=folder,
                    report_to=[],
                    beta=0.0,
                    bf16=False,
                    use_cpu=self.model.device.type == "cpu",
                    per_device_train_batch_size=8,
                    num_generations=8,
                    steps_per_generation=1,
                    **self._options,
                ),
                train_dataset=Dataset.from_list([{"prompt": "a"}]),
                processing_class=_tokenizer(),
            )
        self.trainer.current_gradient_accumulation_steps = 1
        self.batches = self._batches()
        self.model.train(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.model.train(False)
        self._stack.close()

    @property
    def computed(self) -> int:
        """Tokens that go through the model, padding included."""
        return sum(b["prompt_ids"].numel() + b["completion_ids"].numel() for b in self.batches)

    @property
    def terms(self) -> int:
        """Tokens whose logits are computed: all of the completions, padding included."""
        return sum(b["completion_ids"].numel() for b in self.batches)

    def once(self) -> None:
        """Forward and backward over all branches."""
        for batch in self.batches:
            self.loss(batch).backward()  # type: ignore[no-untyped-call]

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """TRL's loss of one of `batches`."""
        device = self.model.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self._config.dtype == "bfloat16"):
            found: Tensor = self.trainer._compute_loss(self.model, batch)
        return found

    def _batches(self) -> list[dict[str, Any]]:
        """Branches of like length together, padded as TRL pads: prompts left, completions right."""
        branches = [(credit, branch) for credit in self._credits for branch in credit.branches]
        branches.sort(key=lambda pair: -len(pair[0].tree.tokens(pair[1].leaf)))
        spelled = [_spelled(*pair) for pair in branches]
        items = torch.tensor(float(sum(int(mask.sum()) for _, _, mask, _ in spelled)))
        groups: list[list[Any]] = []
        width = 0
        for entry in spelled:
            length = len(entry[0]) + len(entry[1])
            if not groups or width * (len(groups[-1]) + 1) > self._token_budget:
                groups.append([])
                width = length
            groups[-1].append(entry)
        return [self._batch(group, items) for group in groups]

    def _batch(self, group: Sequence[Any], items: Tensor) -> dict[str, Any]:
        prompts, completions, masks, gains = zip(*group, strict=True)
        device = self.model.device
        flipped = [torch.from_numpy(prompt[::-1].copy()) for prompt in prompts]
        prompt_ids = pad_sequence(flipped, batch_first=True).flip(1)
        prompt_mask = pad_sequence([torch.ones_like(f) for f in flipped], batch_first=True).flip(1)
        completion = [torch.from_numpy(c) for c in completions]
        return {
            "prompt_ids": prompt_ids.to(device),
            "prompt_mask": prompt_mask.to(device),
            "completion_ids": pad_sequence(completion, batch_first=True).to(device),
            "completion_mask": pad_sequence([torch.ones_like(c) for c in completion], batch_first=True).to(
                device
            ),
            "tool_mask": pad_sequence([torch.from_numpy(m) for m in masks], batch_first=True).to(device),
            "advantages": torch.tensor(gains, dtype=torch.float32, device=device),
            "num_items_in_batch": items.to(device),
        }


def _spelled(
    credit: Credit, branch: Branch
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], float]:
    """A branch as prompt, completion, what of the completion the policy sampled, and its advantage."""
    turns = [credit.tree.turns[node] for node in branch.nodes]
    parts, masks = [], []
    for number, turn in enumerate(turns):
        if number:
            parts.append(turn.context_ids)
            masks.append(np.zeros(len(turn.context_ids), dtype=np.int64))
        parts.append(turn.action_ids)
        masks.append(np.full(len(turn.action_ids), turn.actor is Actor.POLICY, dtype=np.int64))
    completion = np.concatenate(parts).astype(np.int64)
    gain = float(branch.advantages[-1])
    return turns[0].context_ids.astype(np.int64), completion, np.concatenate(masks), gain


def _tokenizer() -> PreTrainedTokenizerFast:
    """One that TRL can be built with; nothing is ever spelled with it."""
    words = Tokenizer(WordLevel({"a": 0, "<pad>": 1}, unk_token="a"))
    ends = {"pad_token": "<pad>", "eos_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **ends)  # type: ignore[no-untyped-call]
