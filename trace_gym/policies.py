"""Policies by name: `tiny`, `smollm2`, a Hugging Face id, a model folder, or a run (its newest checkpoint).

A policy comes with the renderer it speaks through, as an agent that can be evaluated and trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_gym.core.errors import RunFolderError
from trace_gym.environment.registry import Suite
from trace_gym.model.load import LoadedModel, Precision, load_model
from trace_gym.parts import make_renderer, native_renderer
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.store import FILE, Store
from trace_gym.train.warmstart import CloningStep
from trace_gym.warm import WarmConfig, warm_tiny

FACTS_FILE = "trace_gym.json"


@dataclass(frozen=True, slots=True)
class Voice:
    """How a policy speaks: the renderer (None: the one that suits it), tokens a turn, and how it samples."""

    renderer: str | None = None
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class OpenPolicy:
    """A policy ready to play. `loaded` is the model that `policy` computes with."""

    policy: TorchPolicy
    agent: ModelAgent
    loaded: LoadedModel
    renderer: str

    def close(self) -> None:
        """Stop its thread. Idempotent."""
        self.policy.close()


def find_model(
    name: str,
    suites: Sequence[Suite],
    *,
    warm: WarmConfig,
    cache: Path | None = None,
    note: Callable[[str], None],
    progress: Callable[[CloningStep], None],
) -> str | Path:
    """What `load_model` takes for a policy's name; makes and warms up `tiny` if the cache has none.

    Raises RunFolderError for a run without a checkpoint, and what `warm_tiny` raises.
    """
    if name == "tiny":
        return warm_tiny(suites, warm, cache=cache, note=note, progress=progress)
    folder = Path(name).expanduser()
    if not (folder / FILE).is_file():
        return name
    with Store.open(folder, read_only=True) as store:
        saved = store.checkpoints()
    if not saved:
        raise RunFolderError(f"run {folder} has no checkpoint yet; resume it, or name a model")
    return saved[-1][1].path


def open_policy(
    name: str,
    model: str | Path,
    voice: Voice,
    *,
    dtype: Precision | None = None,
    context_size: int | None = None,
    device: str | None = None,
    max_batch: int = 192,
) -> OpenPolicy:
    """Load `model`, found for the policy's `name`, and give it its voice. Raises UnknownName, ModelFailed,
    BadConfig."""
    loaded = load_model(model, dtype=dtype, device=device)
    renderer = voice.renderer or _noted_renderer(loaded.path) or native_renderer(name)
    policy = TorchPolicy(loaded, context_size=context_size, max_batch=max_batch)
    agent = ModelAgent(
        policy,
        make_renderer(renderer, loaded.tokenizer),
        tokenizer=loaded.tokenizer,
        max_tokens=voice.max_tokens,
        temperature=voice.temperature,
        top_p=voice.top_p,
    )
    return OpenPolicy(policy, agent, loaded, renderer)


def note_renderer(folder: Path, renderer: str) -> None:
    """Keep beside a checkpoint which renderer its policy was trained through."""
    (folder / FACTS_FILE).write_text(json.dumps({"renderer": renderer}))


def _noted_renderer(folder: Path) -> str | None:
    file = folder / FACTS_FILE
    return str(json.loads(file.read_text())["renderer"]) if file.is_file() else None
