"""The release of the benchmark that this suite plays: which wheel, and how its modules are loaded.

Leaves out what is inside: `entries`, `documentation` and `backends` read that.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from trace_gym.core.errors import EnvironmentFailed, MissingExtra
from trace_gym.environment.dataset import PackageData

WHEEL = PackageData(
    package="bfcl-eval",
    version="2026.3.23",
    sha256="3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
)


def unpacked() -> Path:
    """The folder of the unpacked wheel, fetched at the first use. Raises DatasetUnavailable."""
    return WHEEL.unpacked()


def load(root: Path, module: str) -> ModuleType:
    """Import `bfcl_eval.<module>` from the unpacked wheel at `root`, which stays off the import path.

    Raises MissingExtra for the one third-party module that it uses (mpmath), and EnvironmentFailed if this
    process has already imported another release of the benchmark.
    """
    name = f"bfcl_eval.{module}"
    sys.path.insert(0, str(root))
    try:
        found = import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != "mpmath":
            raise
        raise MissingExtra("bfcl needs mpmath; install it with: pip install 'trace-gym[bfcl]'") from missing
    finally:
        sys.path.remove(str(root))
    came, due = Path(found.__file__ or ""), root.joinpath(*name.split("."))
    if not due.with_suffix(".py").is_file() or came.read_bytes() != due.with_suffix(".py").read_bytes():
        raise EnvironmentFailed(f"{name} is already imported from {came}, another release than at {root}")
    return found
