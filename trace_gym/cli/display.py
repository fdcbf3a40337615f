"""What people see while a run goes on: a line a step, a live bar with tokens and ETA, tables at the end.

All of it goes to standard error, so that standard output is free for `--json`. On something that is not a
terminal the bar is left out and the lines stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from trace_gym.cli.tables import amount, folding, interval_text
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.scheduler import EpisodeDone, Event, GrantFailed
from trace_gym.core.tree import RolloutTree
from trace_gym.evaluate import Report

if TYPE_CHECKING:
    from trace_gym.train.warmstart import CloningStep

SUITE_METRICS = ("effective_ratio", "trajectories", "tokens_sampled", "share_tokens", "env_seconds")
"""What a line on a suite of a mixed step says, beside success."""


class Display:
    """Implements the loop's Reporter. A context manager over `total` steps or `rollouts`."""

    def __init__(
        self,
        *,
        total: int | None = None,
        rollouts: int | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = Console(stderr=True, quiet=quiet, markup=False, emoji=False)
        self._clock = clock
        self._begun = clock()
        self._all, self._done, self._told = rollouts, 0, 0
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
        if rollouts is not None or total is None:
            self._rollouts = self._bars.add_task("episodes", total=rollouts, facts="")

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def taken_up(self, done: int) -> None:
        """So many of the rollouts had ended before."""
        self._done = self._told = done

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
            self._bars.update(self._rollouts, completed=self._done + self._ended, facts=facts)
            self._tell(facts)

    def _tell(self, facts: str) -> None:
        """Where there is no bar: a line for every tenth of the episodes, with the time that is left."""
        ended = self._done + self._ended
        if self.console.is_terminal or self._all is None or ended < self._told + max(1, self._all // 10):
            return
        self._told = ended
        left = (self._clock() - self._begun) / self._ended * (self._all - ended)
        self.note(f"{ended}/{self._all} episodes  {facts}  about {max(0.0, left):,.0f} s left")

    def step_begins(self, step: int, budget: Budget) -> None:
        """A bar for the step's rollouts."""
        self._ended = self._wins = 0
        self._all, self._done = None, 0
        if self._rollouts is not None:
            self._bars.remove_task(self._rollouts)
        total = budget.limits.get("trajectories")
        self._rollouts = self._bars.add_task(f"step {step}", total=total, facts="")
        if self._steps is not None:
            self._bars.update(self._steps, completed=step)

    def step_done(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line."""
        of = f" ({step + 1}/{self._total})" if self._total else ""
        seconds = sum(value for name, value in metrics.items() if name.startswith("seconds_"))
        brier = metrics.get("predictor/brier_prefix")
        constant, counts = (metrics.get(f"predictor/brier_prefix_{of_}") for of_ in ("constant", "counts"))
        predictor = (
            "" if brier is None else f"  Brier {brier:.3f} (const {constant:.3f}, counts {counts:.3f})"
        )
        idle = "  no contrast, no update" if metrics.get("train/skipped") else ""
        self.console.print(
            f"step {step}{of}  success {_mean(metrics, 'success_bare')}  "
            f"effective {metrics['effective_ratio']:.2f}  leaves {metrics['leaves']:.0f}  "
            f"tokens {metrics['tokens_sampled']:,.0f}{predictor}  {seconds:.1f} s{idle}",
            highlight=False,
            soft_wrap=True,
        )
        for name in (key.split("/")[1] for key in metrics if key.endswith("/share_tokens")):
            of_suite = {key: metrics[f"suite/{name}/{key}"] for key in SUITE_METRICS}
            self.console.print(
                f"    {name}: success {_mean(metrics, f'suite/{name}/success_bare')}  "
                f"effective {of_suite['effective_ratio']:.2f}  trajectories {of_suite['trajectories']:.0f}  "
                f"tokens {of_suite['tokens_sampled']:,.0f} ({100 * of_suite['share_tokens']:.0f} %)  "
                f"environment {of_suite['env_seconds']:.1f} s",
                highlight=False,
                soft_wrap=True,
            )

    def evaluated(self, step: int, report: Report) -> None:
        """One line."""
        found = (interval_text(report.success), "bold")
        told = (f"held-out success after {step} steps: ", found, f"  ({report.episodes} episodes)")
        self.console.print(
            Text.assemble(*told),
            highlight=False,
            soft_wrap=True,
        )
        suites = {name: interval for name, interval in report.by.items() if ":" not in name}
        for name, interval in suites.items() if len(suites) > 1 else ():
            self.console.print(f"    {name}: {interval_text(interval)}", highlight=False, soft_wrap=True)

    def warming(self, step: CloningStep) -> None:
        """Progress of a warm start."""
        if self._warm is None:
            self._warm = self._bars.add_task("warm start", total=100, facts="")
        done = 100 * step.fraction
        self._bars.update(self._warm, completed=round(done), facts=f"{step.loss:.3f} nats a token")

    def costs(self, cost: Cost) -> None:
        """A table of what was spent."""
        table = folding("", "", title="cost", show_header=False)
        for name, value in cost.json().items():
            if value:
                table.add_row(name, amount(value))
        self.console.print(table)

    def note(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, soft_wrap=True)


def _mean(metrics: Mapping[str, float], name: str) -> str:
    """A mean, which a step has only where something was scored."""
    return f"{metrics[name]:.3f}" if name in metrics else "-"
