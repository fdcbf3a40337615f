"""Every key that a training run can be configured with: its type, its bounds, its default.

Leaves out what the values do: each section says whose they are. Options of schedulers and predictors are
checked by those, when they are made.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trace_gym.config.keys import (
    AtLeastOne,
    Fraction,
    Listed,
    NotNegative,
    Options,
    Positive,
    Section,
    Specs,
    spelled_out,
)


class RunSection(Section):
    """The loop: `steps` of training, `pool` candidates a step (None: what the scheduler asks for), `workers`
    rollouts played at once, `keep` checkpoints kept, `out` the run folder (None: named by the caller).
    `max_staleness` steps are played ahead of the one that is trained (0: one thing at a time, exactly
    reproducible). `tool_latency_s` is charged for every turn on top of what its environment took; `pace`:
    seconds in place of these and the clock's, for a step, a sampled and an added context token.
    `tensorboard`: write metrics for it too; `screenshots`: pictures of turns, of suites that draw."""

    seed: Annotated[int, Field(ge=0)] = 0
    steps: AtLeastOne = 20
    pool: AtLeastOne | None = None
    workers: AtLeastOne = 64
    keep: AtLeastOne = 2
    max_staleness: Annotated[int, Field(ge=0)] = 0
    tool_latency_s: NotNegative = 0.0
    pace: Annotated[tuple[NotNegative, NotNegative, NotNegative], Listed] | None = None
    tensorboard: bool = False
    screenshots: bool = False
    out: str | None = None


class SuiteSection(Section):
    """A suite: its `spec` as the registry reads it, its `share` of the candidates relative to the
    others', and `floor`, the least part of candidates and of granted roots that it keeps in any case. `only`
    is a file of the ids of the training tasks that it is restricted to, one a line (None: all)."""

    spec: Annotated[str, Field(min_length=1)]
    share: Positive = 1.0
    floor: Fraction = 0.0
    only: str | None = None


class AgentSection(Section):
    """How the policy speaks: `renderer` by name (None: the model's own), tokens a turn may sample,
    sampling."""

    renderer: str | None = None
    max_tokens: AtLeastOne = 64
    temperature: NotNegative = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


class PolicySection(Section):
    """Whose weights: `model` is `tiny`, `smollm2`, a folder or a Hugging Face id, or `vllm:` and one of those
    with options after a question mark (`rollout.vllm_fleet.VllmConfig`). None leaves precision, device and
    context length to the model and the machine."""

    model: Annotated[str, Field(min_length=1)] = "tiny"
    dtype: Literal["float32", "bfloat16"] | None = None
    device: str | None = None
    context: AtLeastOne | None = None


class SchedulerSection(Options):
    """Who spends the budget."""

    name: Annotated[str, Field(min_length=1)] = "trace"


class PredictorSection(Options):
    """Who predicts success, for the scheduler."""

    name: Annotated[str, Field(min_length=1)] = "value_head"


class BudgetSection(Section):
    """Limits of the run, and with `step_` of one step; None: no limit. Trajectories and sampled tokens
    are hard limits, seconds and money soft."""

    trajectories: AtLeastOne | None = None
    tokens: AtLeastOne | None = None
    seconds: Positive | None = None
    usd: Positive | None = None
    step_trajectories: AtLeastOne | None = None
    step_tokens: AtLeastOne | None = None
    step_seconds: Positive | None = None
    step_usd: Positive | None = None


class ClusterSection(Section):
    """A Ray cluster on whose nodes environments live: its `address` ("auto": the one that this machine is in;
    "local": one started here; None: no cluster). `replicas`: the policy is sampled there too, a replica on
    every node that has `gpus` for it."""

    address: Annotated[str, Field(min_length=1)] | None = None
    replicas: bool = False
    gpus: NotNegative = 0.0


class TrainSection(Section):
    """The choices of the trainer; `train.config.TrainConfig` says what each does. The seed and the
    temperature come from `run` and `agent`."""

    lr: NotNegative = 1e-5
    betas: Annotated[tuple[float, float], Listed] = (0.9, 0.99)
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay_steps: Annotated[int, Field(ge=0)] = 0
    epochs: AtLeastOne = 3
    minibatches: AtLeastOne = 1
    max_grad_norm: NotNegative = 1.0
    advantage: Literal[
        "drgrpo", "grpo", "rloo", "treepo", "treepo_mean", "treegrpo", "gigpo", "node", "node_loo", "checks"
    ] = "drgrpo"
    discount: Fraction = 0.5
    token_weight: Literal["path", "node", "leaf_sum", "train_once"] = "path"
    whiten: bool | None = None
    balance: bool = False
    loss: Literal["ppo", "grpo", "dapo", "drgrpo", "gspo", "cispo", "dppo"] = "dapo"
    clip_low: Fraction | None = None
    clip_high: NotNegative | None = None
    dual_clip: Annotated[float, Field(gt=1.0)] | None = None
    kl: NotNegative = 0.0
    response_tokens: AtLeastOne = 1024
    correction: Literal["none", "tis", "icepop", "geometric"] = "none"
    correction_low: NotNegative | None = None
    correction_high: NotNegative | None = None
    old_logprobs: Literal["recompute", "behaviour"] = "recompute"
    packed: bool = True
    token_budget: AtLeastOne = 4096
    term_budget: AtLeastOne | None = None
    row_tokens: AtLeastOne = 512
    lean: bool = False
    lora_rank: Annotated[int, Field(ge=0)] = 0
    lora_alpha: Positive | None = None
    noise: bool = False
    replay: Annotated[int, Field(ge=0)] = 0
    replay_gains: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"

    @field_validator("betas")
    @classmethod
    def _decaying(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError("both must lie in [0, 1)")
        return betas


Watched = Literal["off", "warn", "stop"]
"""What a watchdog does."""


class WatchSection(Section):
    """What is watched during training and what happens then; `train.watchdog.WatchConfig` says what each
    looks at."""

    parity: Watched = "stop"
    parity_limit: NotNegative | None = None
    probes: AtLeastOne = 4
    probe_tokens: AtLeastOne = 8
    drift: Watched = "warn"
    drift_limit: NotNegative | None = None
    stale: Watched = "stop"
    stale_limit: Fraction = 0.0
    barren: Watched = "warn"
    barren_limit: AtLeastOne = 5
    nonfinite: Watched = "stop"
    entropy: Watched = "warn"
    entropy_limit: NotNegative = 0.1
    kl: Watched = "warn"
    kl_limit: NotNegative = 1.0
    truncated: Watched = "warn"
    truncated_limit: Fraction = 0.9
    spike: Watched = "warn"
    spike_limit: NotNegative = 20.0
    gamed: Watched = "warn"
    gamed_limit: NotNegative = 0.1


class EvalSection(Section):
    """Held-out evaluation before and after the run, and every `every` steps (0: not in between): `suites` by
    spec (none: those of training), `k` attempts at each of at most `tasks` tasks a suite (None: all). `split`
    "train" plays training tasks instead, for tuning."""

    suites: Specs = ()
    k: AtLeastOne = 1
    every: Annotated[int, Field(ge=0)] = 0
    tasks: AtLeastOne | None = None
    split: Literal["test", "train"] = "test"


class WarmstartSection(Section):
    """How `tiny` is made: its shape (`hidden` size, `layers`, attention `heads`), and `steps` of
    behaviour cloning, `batch_tokens` each at `lr`, from `demos` oracle episodes in which a part `noise`
    of the actions is random; with `clumsy` those are imitated too. `suites` are those it is shown, by spec
    (none: those of the run), `shares` their parts of the episodes, relative to the others' (none: equal)."""

    hidden: AtLeastOne = 128
    layers: AtLeastOne = 3
    heads: AtLeastOne = 4
    demos: AtLeastOne = 2500
    noise: Fraction = 0.1
    clumsy: bool = False
    steps: AtLeastOne = 100
    batch_tokens: AtLeastOne = 3072
    lr: Positive = 1e-3
    seed: Annotated[int, Field(ge=0)] = 0
    suites: Specs = ()
    shares: Annotated[tuple[Positive, ...], Listed] = ()


class RunConfig(Section):
    """All that a training run is configured with. `suites` may be given as a spec, a list of specs or of
    tables, or a table of shares by spec."""

    suites: Annotated[tuple[SuiteSection, ...], Field(strict=False, min_length=1)]
    run: RunSection = RunSection()
    agent: AgentSection = AgentSection()
    policy: PolicySection = PolicySection()
    scheduler: SchedulerSection = SchedulerSection()
    predictor: PredictorSection = PredictorSection()
    budget: BudgetSection = BudgetSection()
    cluster: ClusterSection = ClusterSection()
    train: TrainSection = TrainSection()
    watch: WatchSection = WatchSection()
    eval: EvalSection = EvalSection()
    warmstart: WarmstartSection = WarmstartSection()

    @field_validator("suites", mode="before")
    @classmethod
    def _as_tables(cls, suites: object) -> object:
        return spelled_out(suites)

    @model_validator(mode="after")
    def _suites_agree(self) -> Self:
        specs = [suite.spec for suite in self.suites]
        twice = [spec for spec in specs if specs.count(spec) > 1]
        if twice:
            raise ValueError(f"suite {twice[0]!r} is listed twice")
        floors = sum(suite.floor for suite in self.suites)
        if floors > 1.0 + 1e-9:
            raise ValueError(f"the floors of the suites add up to {floors:g}, more than everything")
        return self
