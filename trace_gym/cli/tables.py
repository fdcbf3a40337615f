"""Tables that hide nothing, and what an evaluation found in such. What the numbers mean is told in
`evaluate.report`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_gym.evaluate import Report
from trace_gym.statistics import Interval, TurnRow

TURNS_SHOWN = 12
UNBOUNDED = 10_000
"""Columns of a line in a file or a pipe."""


def output() -> Console:
    """Standard output; what is no terminal has no width, so that nothing is broken there or cut. Brackets and
    colons are what they are: names of runs, checks and subsets hold them."""
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    return console


def folding(*heads: str, title: str | None = None, show_header: bool = True) -> Table:
    """A table whose cells are broken in a narrow terminal, never cut: two runs must not look alike."""
    table = Table(*heads, title=title, show_header=show_header)
    for column in table.columns:
        column.overflow = "fold"
    return table


def interval_text(interval: Interval) -> str:
    """`0.412 [0.371, 0.455]`, or a dash where nothing was measured."""
    if interval.mean is None or interval.low is None or interval.high is None:
        return "-"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _bold(interval: Interval) -> Text:
    return Text.assemble((interval_text(interval), "bold"))


def print_report(console: Console, report: Report, *, title: str) -> None:
    """An evaluation as tables: success with its interval, episodes and cost, checks, turns."""
    table = folding("", "success, 95 %", title=title)
    for name, interval in report.by.items():
        table.add_row(name, interval_text(interval))
    table.add_row("all tasks", _bold(report.success).append(f"  ({_clusters(report.success)})"))
    if report.score is not None:
        table.add_row("mean of the parts", _bold(report.score))
    if report.possible is not None and report.missing:
        low, high = report.possible
        lost = f"{report.missing} attempts without an outcome"
        table.add_row("possible", f"{low:.3f} to {high:.3f}, had {lost} failed or succeeded")
    for name, passes in (("pass@", report.pass_at), ("pass^", report.pass_all)):
        for k, interval in passes.items():
            if k > 1:
                table.add_row(f"{name}{k}", interval_text(interval))
    console.print(table)
    if report.adaptive is not None and report.success.mean is not None:
        console.print(_adaptively(report.adaptive), highlight=False)
    _print_facts(console, report)
    _print_checks(console, report)
    _print_turns(console, report.survival)


def _adaptively(facts: Mapping[str, Any]) -> str:
    """What an adaptive evaluation saved, in words."""
    low, high = facts["anytime"]
    uniform, best = (f"{facts[name]:,.0f}" for name in ("uniform_would_spend", "best_would_spend"))
    rounds = f"{facts['rounds']} round{'' if facts['rounds'] == 1 else 's'}"
    return (
        f"{rounds}, {facts['spent']:,.0f} {facts['unit']}; for the same interval, as many "
        f"attempts at every task would spend about {uniform}, the best allocation {best}. "
        f"Had you stopped it because of what you saw: [{low:.3f}, {high:.3f}]."
    )


def _clusters(interval: Interval) -> str:
    """What carries an interval, in words."""
    if interval.unit == "attempt":
        return "of this fixed set of tasks"
    if interval.unit == "task":
        return f"{interval.clusters} tasks; too few families to cluster by"
    return f"clustered by {interval.clusters} families"


def _print_facts(console: Console, report: Report) -> None:
    facts = folding("", "", title="episodes and cost", show_header=False)
    of = "" if report.planned == report.tasks else f" (of {report.planned} planned)"
    facts.add_row("episodes", f"{report.episodes} of {report.tasks} tasks{of}")
    facts.add_row("invalid (not counted)", listed(report.invalid, report.failures))
    facts.add_row("censored (not counted)", str(report.censored))
    if report.undecided:
        facts.add_row("undecided (not counted)", str(report.undecided))
    facts.add_row("stopped by", ", ".join(f"{name} {count}" for name, count in sorted(report.stops.items())))
    if report.turns_per_episode is not None:
        facts.add_row("turns per episode", f"{report.turns_per_episode:.2f}")
    for name, value in report.cost.items():
        if value:
            facts.add_row(name, f"{amount(value)}{_per_success(report, name)}")
    console.print(facts)


def _per_success(report: Report, name: str) -> str:
    if report.adaptive is not None:
        return ""
    if report.cost_per_success is None:
        return "  (no success)"
    ratio = report.cost_per_success[name]
    known = ratio.low is not None and ratio.high is not None
    bounds = f" [{amount(ratio.low or 0.0)}, {amount(ratio.high or 0.0)}]" if known else ""
    return f"  ({amount(ratio.mean or 0.0)}{bounds} per success)"


def amount(value: float) -> str:
    """A cost in few digits: whole where it is, never 0.00 where it is little."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _print_checks(console: Console, report: Report) -> None:
    if not report.checks:
        return
    checks = folding("check", "passed", "of", "rate, 95 %", title="checks at the end of an episode")
    for name, rate in sorted(report.checks.items()):
        checks.add_row(name, str(rate.passed), str(rate.found), interval_text(rate.rate))
    console.print(checks)


def _print_turns(console: Console, rows: tuple[TurnRow, ...]) -> None:
    """The turns at which episodes ended, thinned out where there are many."""
    if len(rows) < 2:
        return
    places = range(len(rows))
    if len(rows) > TURNS_SHOWN:
        places = range(0, len(rows), -(-len(rows) // TURNS_SHOWN))
    table = folding("after turn", "at risk", "still playing, 95 %", "solved", "failed", title="turn by turn")
    for row in [rows[place] for place in sorted({*places, len(rows) - 1})]:
        bounds = "" if row.low is None or row.high is None else f" [{row.low:.3f}, {row.high:.3f}]"
        shares = (f"{row.playing:.3f}{bounds}", f"{row.solved_by:.3f}", f"{row.failed_by:.3f}")
        table.add_row(str(row.turn), str(row.at_risk), *shares)
    console.print(table)


def listed(count: int, causes: Mapping[str, int]) -> str:
    """`12 (environment 9, model 3)`."""
    return f"{count}" + (f" ({', '.join(f'{c} {n}' for c, n in sorted(causes.items()))})" if causes else "")
