"""Pytest plugin: certification of suites from an author's own tests. It is loaded in every pytest run once
installed, so it imports nothing heavy until it is used.

In a test file, two lines::

    def test_certified(certify_suite):
        certify_suite("my-suite")

or without any: `pytest --trace-gym-suite my-suite` (may be given several times) adds a test per suite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from trace_gym.environment.certify import Report
    from trace_gym.environment.trial import Plan


class NotCertified(AssertionError):
    """The suite failed certification; the text lists every finding against it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--trace-gym-suite`."""
    parser.getgroup("trace-gym").addoption(
        "--trace-gym-suite",
        action="append",
        default=[],
        metavar="SUITE",
        help="also certify this suite (NAME[:SUBSET][?key=value] or path/to/module.py:ClassName)",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for every suite named on the command line."""
    for spec in config.getoption("--trace-gym-suite"):
        items.append(SuiteItem.from_parent(session, name=f"certify[{spec}]", spec=spec))


@pytest.fixture(scope="session")
def certify_suite() -> Callable[..., Report]:
    """A function that certifies a suite (a name or a Suite, maybe a Plan) and fails the test if it does not
    pass; returns the report."""
    return _certified


class SuiteItem(pytest.Item):
    """The certification of one suite as a test."""

    def __init__(self, *, spec: str, **base: Any) -> None:
        super().__init__(**base)
        self._spec = spec

    def runtest(self) -> None:
        """Certify."""
        _certified(self._spec)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:
        """The findings alone where certification failed, else pytest's own report."""
        if isinstance(excinfo.value, NotCertified):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where pytest says the test is."""
        return self.path, None, self.name


def _certified(suite: Any, plan: Plan | None = None) -> Report:
    from trace_gym.environment.certify import certify

    report = certify(suite, plan)
    if not report.passed:
        lines = [f"  {finding.name}: {finding.evidence}" for finding in report.failures]
        raise NotCertified("\n".join([f"suite {report.suite!r} is not certified:", *lines]))
    return report
