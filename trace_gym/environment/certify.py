"""The certification that every environment must pass: named findings with evidence, pass or fail.

Leaves out printing, which is the command line's.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from trace_gym.core.errors import EnvironmentFailed, TraceGymError, boundary
from trace_gym.environment import attempts, judgement, laws, probes, registry
from trace_gym.environment.fork import Strategy
from trace_gym.environment.registry import Suite
from trace_gym.environment.trial import Plan, Rejected, Subject

Probe = Callable[[Subject], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found: the evidence says how much was tried, or exactly what was wrong."""

    name: str
    passed: bool
    evidence: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All findings on a suite, in the order they were made."""

    suite: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Did every probe pass?"""
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings against the suite."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def rows(self) -> list[tuple[str, str, str]]:
        """One row per finding: name, `pass` or `FAIL`, evidence."""
        return [(f.name, "pass" if f.passed else "FAIL", f.evidence) for f in self.findings]

    def json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {"suite": self.suite, "passed": self.passed, "findings": [asdict(f) for f in self.findings]}


def certify(
    suite: Suite | str,
    plan: Plan | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
    tell: Callable[[Finding], object] = lambda finding: None,
) -> Report:
    """Put a suite to the test, and `tell` each finding as it is made. Never raises for what the suite does
    wrong; that is a finding.

    Raises UnknownName, BadConfig, MissingExtra where the suite cannot be found. If its tasks are unsound
    nothing else can be tried and that is the only finding.
    """
    found = registry.suite(suite) if isinstance(suite, str) else suite
    subject = Subject(found, plan or Plan.fitting(found), clock)
    findings = [_find("tasks", probes.tasks_are_sound, subject)]
    tell(findings[0])
    for name, probe in _programme(found).items() if findings[0].passed else ():
        findings.append(_find(name, probe, subject))
        tell(findings[-1])
    return Report(found.spec, tuple(findings))


def _programme(suite: Suite) -> dict[str, Probe]:
    """Every probe by name; the last two judge what the others have seen."""
    strategies: tuple[Strategy, ...] = ("replay",)
    if suite.env_class.fork != "replay":
        strategies = (suite.env_class.fork, "replay")
    return {
        "families": probes.families_do_not_straddle,
        "tools": probes.tools_are_sound,
        "gymnasium": probes.gymnasium_agrees,
        "secrets": probes.answers_are_hidden,
        "same seed": laws.same_episode,
        **{f"fork by {way}": partial(laws.fork, strategy=way) for way in strategies},
        "parallel children": laws.parallel_children,
        "fuzz": laws.survives_fuzz,
        "oracle": judgement.oracle_succeeds,
        "no-op": judgement.noop_fails,
        "random": judgement.random_within_chance,
        "repetition": attempts.repetition_fails,
        "answer spam": attempts.spam_fails,
        "forgery": attempts.forgery_fails,
        "flakes": attempts.oracle_is_steady,
        "speed": probes.steps_are_quick,
        "verdicts": judgement.verdicts_speak,
        "vacuous checks": judgement.no_vacuous_check,
    }


def _find(name: str, probe: Probe, subject: Subject) -> Finding:
    """Run one probe; whatever it or the suite raises is evidence."""
    start = subject.clock()
    passed = False
    try:
        with boundary(EnvironmentFailed, Exception, what="unexpected"):
            evidence = probe(subject)
            passed = True
    except Rejected as verdict:
        evidence = f"{verdict}{_origin(verdict)}"
    except TraceGymError as error:
        evidence = f"{type(error).__name__}: {error}{_origin(error)}"
    finally:
        subject.close()
    return Finding(name, passed, evidence, subject.clock() - start)


def _origin(error: BaseException) -> str:
    """Where the first cause was raised, if there is one."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    frames = traceback.extract_tb(cause.__traceback__)
    if cause is error or not frames:
        return ""
    return f" [{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}]"
