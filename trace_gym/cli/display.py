"""What people see while a run goes on: a line a step, a live bar with tokens and ETA, tables at the end.

All of it goes to standard error, so that standard output is free for `--json`. On something that is not a
terminal the bar is left out and the lines stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.scheduler import EpisodeDone, Event, GrantFailed
from trace_gym.core.tree import RolloutTree
from trace_gym.evaluate import Report
from trace_gym.statistics import Interval

if TYPE_CHECKING:
    from trace_gym.train.warmstart import CloningStep


class Display:
    """Implements the loop's Reporter. A context manager over `total` steps or `rollouts`."""

    def __init__(self, *, total: int | None = None, rollouts: int | None = None, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._total = total
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._steps: TaskID | None = None
        self._rollouts: TaskID | None = None
        self._warm: TaskID | None = None
        self._ended = self._tokens = self._wins = 0
        if total is not None:
            self._steps = self._bars.add_task("steps", total=total, facts="")
        if rollouts is not None:
            self._rollouts = self._bars.add_task("episodes", total=rollouts, facts="")

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def event(self, tree: RolloutTree, event: Event) -> None:
        """Count it."""
        if isinstance(event, (EpisodeDone, GrantFailed)):
            self._ended += 1
            if isinstance(event, EpisodeDone):
                self._wins += tree.outcome(event.rollout) is True
        else:
            self._tokens += tree.turns[event.node].cost.decoded
        if self._rollouts is not None:
            facts = f"{self._wins} solved  {self._tokens:,} tokens"
            self._bars.update(self._rollouts, completed=self._ended, facts=facts)

    def step_begins(self, step: int, budget: Budget) -> None:
        """A bar for the step's rollouts."""
        self._ended = self._wins = 0
        if self._rollouts is not None:
            self._bars.remove_task(self._rollouts)
        total = budget.limits.get("trajectories")
        self._rollouts = self._bars.add_task(f"step {step + 1}", total=total, facts="")
        if self._steps is not None:
            self._bars.update(self._steps, completed=step)

    def step_done(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line."""
        of = f"/{self._total}" if self._total else ""
        seconds = sum(value for name, value in metrics.items() if name.startswith("seconds_"))
        brier = metrics.get("predictor/brier_prefix")
        constant, counts = (metrics.get(f"predictor/brier_prefix_{of_}") for of_ in ("constant", "counts"))
        predictor = (
            "" if brier is None else f"  Brier {brier:.3f} (const {constant:.3f}, counts {counts:.3f})"
        )
        idle = "  no contrast, no update" if metrics.get("train/skipped") else ""
        self.console.print(
            f"step {step + 1}{of}  success {metrics['success_bare']:.3f}  "
            f"effective {metrics['effective_ratio']:.2f}  leaves {metrics['leaves']:.0f}  "
            f"tokens {metrics['tokens_sampled']:,.0f}{predictor}  {seconds:.1f} s{idle}",
            highlight=False,
            soft_wrap=True,
        )

    def evaluated(self, step: int, report: Report) -> None:
        """One line."""
        text = interval_text(report.success)
        self.console.print(
            f"held-out success after {step} steps: [bold]{text}[/bold]  ({report.episodes} episodes)",
            highlight=False,
            soft_wrap=True,
        )

    def warming(self, step: CloningStep) -> None:
        """Progress of a warm start."""
        if self._warm is None:
            self._warm = self._bars.add_task("warm start", total=100, facts="")
        done = 100 * step.fraction
        self._bars.update(self._warm, completed=round(done), facts=f"{step.loss:.3f} nats a token")

    def costs(self, cost: Cost) -> None:
        """A table of what was spent."""
        table = Table(title="cost", show_header=False)
        for name, value in cost.json().items():
            if value:
                table.add_row(name, f"{value:,.1f}".removesuffix(".0"))
        self.console.print(table)

    def note(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def interval_text(interval: Interval) -> str:
    """`0.412 [0.371, 0.455]`, or a dash where nothing was measured."""
    if interval.mean is None or interval.low is None or interval.high is None:
        return "-"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def print_report(console: Console, report: Report, *, title: str) -> None:
    """An evaluation as tables: success with its interval, checks, cost."""
    table = Table("", "success, 95 %", title=title)
    for name, interval in report.by.items():
        table.add_row(name, interval_text(interval))
    unit = {"family": "families", "task": "tasks"}[report.success.unit]
    clusters = f"{report.success.clusters} {unit}"
    table.add_row("all", f"[bold]{interval_text(report.success)}[/bold]  (clusters: {clusters})")
    for k, value in report.pass_at.items():
        if k > 1:
            table.add_row(f"pass@{k}", f"{value:.3f}")
    console.print(table)
    _print_facts(console, report)
    checks = Table("check", "passed", "of", "rate", title="checks at the end of an episode")
    for name, rate in sorted(report.checks.items()):
        checks.add_row(name, str(rate.passed), str(rate.found), f"{rate.passed / rate.found:.3f}")
    if report.checks:
        console.print(checks)


def _print_facts(console: Console, report: Report) -> None:
    facts = Table(title="episodes and cost", show_header=False)
    facts.add_row("episodes", f"{report.episodes} of {report.tasks} tasks")
    facts.add_row("invalid (not counted)", _listed(report.invalid, report.failures))
    facts.add_row("censored (not counted)", str(report.censored))
    facts.add_row("stopped by", ", ".join(f"{name} {count}" for name, count in sorted(report.stops.items())))
    facts.add_row("turns per episode", f"{report.turns_per_episode:.2f}")
    for name, value in report.cost.items():
        per = report.cost_per_success[name] if report.cost_per_success else None
        each = "no success" if per is None else f"{per:,.2f} per success"
        if value:
            facts.add_row(name, f"{value:,.2f}  ({each})")
    console.print(facts)


def _listed(count: int, causes: Mapping[str, int]) -> str:
    return f"{count}" + (f" ({', '.join(f'{c} {n}' for c, n in sorted(causes.items()))})" if causes else "")
