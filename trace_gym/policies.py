"""Policies by name: `tiny`, `smollm2`, a Hugging Face id, a model folder, or a run (its newest checkpoint).

A policy comes with the renderer it speaks through, as an agent that can be evaluated and trained. It is
sampled in this process or, named `vllm:MODEL[?key=value&...]`, by vLLM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import torch

from trace_gym.config import RunConfig
from trace_gym.core.errors import BadConfig, MissingExtra, RunFolderError, boundary
from trace_gym.core.policy import Policy
from trace_gym.environment.query import options_of, parameters
from trace_gym.environment.registry import Suite
from trace_gym.model.load import Precision, demand_device, load_model, model_folder, precision_of
from trace_gym.model.tokenize import HFTokenizer
from trace_gym.parts import demand_renderer, make_renderer, native_renderer
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.store import FILE, Store
from trace_gym.train.warmstart import CloningStep
from trace_gym.warm import WarmConfig, demand_warm, warm_tiny

if TYPE_CHECKING:
    from trace_gym.rollout.vllm_fleet import VllmConfig

FACTS_FILE = "trace_gym.json"
SERVED = "vllm:"
"""What the name of a policy begins with that vLLM samples."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How a policy speaks: the renderer (None: the one that suits it), tokens a turn, and how it samples."""

    renderer: str | None = None
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class OpenPolicy:
    """A policy ready to play: the `folder` that its model came from, the `dtype` it computes in, and the
    `device` a trainer beside it takes."""

    policy: Policy
    agent: ModelAgent
    folder: Path
    dtype: str
    device: str
    renderer: str

    def close(self) -> None:
        """Stop its thread, and its server. Idempotent."""
        self.policy.close()


def served(name: str) -> tuple[str, VllmConfig | None]:
    """The model that a policy's name names, and how vLLM serves it, if it does. Raises UnknownName,
    BadConfig, MissingExtra."""
    if not name.startswith(SERVED):
        return name, None
    try:
        from trace_gym.rollout.vllm_fleet import VllmConfig
    except ModuleNotFoundError as error:
        raise MissingExtra(f"policy {name!r} needs {error.name}: pip install 'trace-gym[vllm]'") from error
    model, _, query = name.removeprefix(SERVED).partition("?")
    what = f"policy {name!r}"
    options = options_of(query, parameters(VllmConfig), kind="option of vLLM", what=what)
    with boundary(BadConfig, ValueError, what=what):
        return model, VllmConfig(**options)


def demand_policy(config: RunConfig, suites: Sequence[Suite]) -> None:
    """See that the policy of a run on `suites` can be opened as configured, as far as that can be told before
    anything is loaded. Raises UnknownName, BadConfig, MissingExtra."""
    name = config.policy.model
    model, serving = served(name)
    demand_adapters(name, config.train.lora_rank)
    if config.agent.renderer is not None:
        demand_renderer(config.agent.renderer, "agent.renderer")
    if config.cluster.replicas and config.cluster.address is None:
        raise BadConfig("cluster.replicas samples on a cluster's nodes: set cluster.address, or leave it out")
    if config.cluster.gpus and not config.cluster.replicas:
        raise BadConfig("cluster.gpus are for replicas: set cluster.replicas = true, or leave it out")
    if config.cluster.replicas and serving is not None:
        raise BadConfig(f"policy {name!r} has servers of its own; leave cluster.replicas out")
    if config.policy.device is not None and not config.cluster.replicas:
        demand_device(config.policy.device, "policy.device")
    if model == "tiny":
        demand_warm(suites, WarmConfig(**config.warmstart.model_dump()))


def demand_adapters(name: str, rank: int) -> None:
    """BadConfig unless the policy of that name takes adapters of that `rank` (0: all weights are trained), or
    takes all weights. Raises as `served`."""
    if not _takes_adapters(name):
        return
    from trace_gym.rollout.vllm_dialect import RANKS

    if not rank:
        raise BadConfig(f"policy {name!r} takes adapters; set train.lora_rank, or leave lora=true out")
    if rank > RANKS[-1]:
        raise BadConfig(f"train.lora_rank is {rank}, and vLLM takes adapters of at most {RANKS[-1]}")


def taken_up(name: str, checkpoint: Path) -> Path:
    """The folder of the model that a policy of that name is opened with, to be given that checkpoint next.
    Raises RunFolderError: what its adapter belongs to is gone."""
    if not _takes_adapters(name):
        return checkpoint
    from trace_gym.rollout.vllm_weights import ADAPTER, adapter_base

    with boundary(RunFolderError, OSError, ValueError, what=f"cannot read the adapter in {checkpoint}"):
        base = adapter_base(checkpoint / ADAPTER)
    if base is None or not (base / "config.json").is_file():
        raise RunFolderError(f"{checkpoint} holds an adapter of the model in {base}, which is not there")
    return base


def _takes_adapters(name: str) -> bool:
    serving = served(name)[1]
    return serving is not None and serving.lora


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
    name, _ = served(name)
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
    max_batch: int | None = None,
    folder: Path | None = None,
    elsewhere: Callable[[Path], Policy] | None = None,
    lora_rank: int = 0,
) -> OpenPolicy:
    """Load `model`, found for the policy's `name`, and give it its voice. A server's log goes into `folder`,
    by default a new one among the temporary ones; `elsewhere` makes a policy that is not sampled in this
    process from a model's folder; `lora_rank`: of the adapters it will be given, if any. Raises UnknownName,
    ModelFailed, BadConfig, MissingExtra."""
    plain, serving = served(name)
    demand_adapters(name, lora_rank)
    if serving is not None and elsewhere is not None:
        raise BadConfig(f"policy {name!r} has servers of its own; leave cluster.replicas out")
    here = serving is None and elsewhere is None
    loaded = load_model(model, dtype=dtype, device=device) if here else None
    path = model_folder(model) if loaded is None else loaded.path
    tokenizer = HFTokenizer.from_folder(path) if loaded is None else loaded.tokenizer
    speaks = voice.renderer or _noted_renderer(path) or native_renderer(plain)
    renderer = make_renderer(speaks, tokenizer)
    policy: Policy
    if loaded is not None:
        policy = TorchPolicy(loaded, context_size=context_size, max_batch=max_batch or 192)
        precision, place = str(loaded.model.dtype).removeprefix("torch."), str(loaded.model.device)
    else:
        precision = dtype or str(precision_of(path)).removeprefix("torch.")
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if elsewhere is not None:
        policy = elsewhere(path)
    elif serving is not None:
        from trace_gym.rollout.policy_vllm import VllmPolicy  # needs the extra `vllm`

        policy = VllmPolicy(
            path,
            serving,
            folder=folder or Path(mkdtemp(prefix="trace-gym-vllm-log-")),
            dtype=precision,
            context_size=context_size,
            max_batch=max_batch,
            rank=lora_rank,
        )
    agent = ModelAgent(
        policy,
        renderer,
        tokenizer=tokenizer,
        max_tokens=voice.max_tokens,
        temperature=voice.temperature,
        top_p=voice.top_p,
    )
    return OpenPolicy(policy, agent, path, precision, place, speaks)


def note_renderer(folder: Path, renderer: str) -> None:
    """Keep beside a checkpoint which renderer its policy was trained through."""
    (folder / FACTS_FILE).write_text(json.dumps({"renderer": renderer}))


def _noted_renderer(folder: Path) -> str | None:
    file = folder / FACTS_FILE
    return str(json.loads(file.read_text())["renderer"]) if file.is_file() else None
