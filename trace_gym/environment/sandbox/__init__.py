"""Finding the sandbox of this machine: Docker, bubblewrap, or a sentence that says how to get one.

Leaves out how each works; a kind is loaded only when it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from threading import Lock
from typing import Literal, TypeAlias

from trace_gym.core.errors import SandboxUnavailable, unknown
from trace_gym.core.sandbox import SandboxProvider

Kind: TypeAlias = Literal["auto", "docker", "bwrap"]

_MODULES = {
    "docker": "trace_gym.environment.sandbox.docker",
    "bwrap": "trace_gym.environment.sandbox.bwrap",
}
KINDS = tuple(_MODULES)
"""What there is, the first choice first."""


_FINDING = Lock()
# A cache alone does not keep threads that ask at once from making a provider each.


def missing(kind: str) -> str | None:
    """Why this machine has no sandbox of a kind, in one sentence that says how to get it; None: it has."""
    if kind not in _MODULES:
        raise unknown("sandbox", kind, list(_MODULES))
    reason: str | None = import_module(_MODULES[kind]).missing()
    return reason


def provider(kind: str = "auto") -> SandboxProvider:
    """The provider of a kind, one per process; `auto` takes Docker where its daemon answers, else bubblewrap.

    May be called from several threads at once. Raises SandboxUnavailable (with what to install), UnknownName.
    """
    with _FINDING:
        return _provider(kind)


@cache
def _provider(kind: str) -> SandboxProvider:
    reasons = []
    for name in _MODULES if kind == "auto" else (kind,):
        reason = missing(name)
        if reason is None:
            found: SandboxProvider = import_module(_MODULES[name]).make()
            return found
        reasons.append(reason)
    raise SandboxUnavailable(
        f"There is no sandbox for programs here. {' '.join(reasons)} "
        "`trace-gym doctor` tells which suites work without one."
    )
