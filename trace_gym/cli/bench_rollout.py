"""`trace-gym bench rollout`: how busy rollouts keep the model, against the bare engine, `generate` and vLLM.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import MissingExtra
from trace_gym.environment.registry import suite
from trace_gym.parts import native_renderer, with_torch

if TYPE_CHECKING:
    from trace_gym.bench.rollout import Report
    from trace_gym.rollout.vllm_fleet import VllmConfig

AtLeastOne = click.IntRange(min=1)


@click.command(
    "rollout",
    epilog="Examples: trace-gym bench rollout | trace-gym bench rollout --policy smollm2 --suite guess "
    "--trajectories 24 --max-tokens 32 --no-vllm --json",
)
@click.option("--policy", default="tiny", show_default=True, help="tiny, smollm2, a model folder or id.")
@click.option("--renderer", help="How the policy speaks; default: the one that suits its name.")
@click.option("--suite", "spec", default="wikihop_compact", show_default=True)
@click.option("--tasks", type=AtLeastOne, default=48, show_default=True)
@click.option("--trajectories", type=AtLeastOne, default=192, show_default=True, help="Forks included.")
@click.option("--workers", type=AtLeastOne, default=96, show_default=True, help="Rollouts at once.")
@click.option("--max-tokens", type=AtLeastOne, default=16, show_default=True, help="Of one turn.")
@click.option("--continuations", type=AtLeastOne, default=2, show_default=True, help="Forks of a prefix.")
@click.option("--vllm/--no-vllm", default=None, help="Through vLLM too; by default where there is one.")
@click.option("--device", help="cuda where there is one, else cpu.")
@click.option("--dtype", type=click.Choice(("float32", "bfloat16")), help="Default: the model's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    policy: str,
    renderer: str | None,
    spec: str,
    tasks: int,
    trajectories: int,
    workers: int,
    max_tokens: int,
    continuations: int,
    vllm: bool | None,
    device: str | None,
    dtype: str | None,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Play TRACE rollouts with forks on a suite, then compute the same requests in other ways."""
    with_torch()
    from trace_gym.bench.rollout import Setting, run
    from trace_gym.policies import find_model
    from trace_gym.warm import WarmConfig

    console = Console(stderr=True)

    def note(text: str) -> None:
        if not as_json:
            console.print(text, style="dim")

    serving, why_not = _vllm(vllm)
    played = suite(spec)
    model = find_model(policy, [played], warm=WarmConfig(), note=note, progress=lambda step: None)
    report = run(
        policy,
        model,
        played,
        setting=Setting(
            tasks=tasks,
            trajectories=trajectories,
            workers=workers,
            renderer=renderer or native_renderer(policy),
            max_tokens=max_tokens,
            continuations=continuations,
            seed=seed,
        ),
        dtype=dtype,  # type: ignore[arg-type]  # click has seen that it is one of the two
        device=device,
        vllm=serving,
        note=note,
    )
    deliver(report.json(), as_json=as_json, out=out, tell=lambda: _tell(report, why_not))


def _vllm(wanted: bool | None) -> tuple[VllmConfig | None, str]:
    """How to serve with vLLM, or why not."""
    if wanted is False:
        return None, "without vLLM, as asked"
    try:
        from trace_gym.rollout.vllm_fleet import VllmConfig
        from trace_gym.rollout.vllm_server import vllm_python

        vllm_python()
        return VllmConfig(), ""
    except (MissingExtra, ModuleNotFoundError) as error:
        if wanted:
            raise MissingExtra(str(error)) from error
        return None, f"without vLLM: {error}"


def _tell(report: Report, why_not: str) -> None:
    title = f"{Path(report.policy).name} ({report.dtype}) on {report.suite}, {report.device}"
    table = folding(title=title)
    for heading in ("way", "tokens", "s", "tok/s", "cpu s", "batch", "outside", "forks", "turns"):
        table.add_column(heading, justify="left" if heading == "way" else "right", overflow="fold")
    for row in report.rows:
        shares = ("-" if part is None else f"{part:.1%}" for part in (row.outside, row.forks, row.turns))
        some = ("-" if number is None else f"{number:.1f}" for number in (row.cpu_seconds, row.batch))
        table.add_row(row.way, f"{row.tokens:,}", f"{row.seconds:.1f}", f"{row.rate:,.0f}", *some, *shares)
    console = output()
    console.print(table)
    console.print(
        "batch: rows in a decoding step; outside: wall time without the model; forks, turns: tokens before "
        "them that were found in the cache"
    )
    for name, (found, goal, reached) in report.verdicts().items():
        console.print(f"{name} {goal:g}: {found:.2f} {'yes' if reached else 'NO'}")
    if why_not:
        console.print(why_not)
