"""Parts of the machine that tests need: sandboxes, a browser, an inference engine.

A test says what it needs with `@pytest.mark.needs("docker")` (several names: all of them), a parametrised
or shared fixture with the `require` fixture: `require("docker")`. Where the part is there the test runs.
Where it is missing the test is skipped and says why, unless the environment variable TRACE_GYM_REQUIRE, a
list of parts with commas between, names the part: then the test fails. So `TRACE_GYM_REQUIRE=docker,bwrap`
turns a machine that has lost its Docker from green with skips into red.

A new part is one more entry in `PARTS`: a function that gives None, or one sentence why the part cannot be
used here.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec

import pytest

from trace_gym.core.errors import MissingExtra
from trace_gym.environment.sandbox import missing
from trace_gym.rollout.vllm_server import vllm_python

Require = Callable[..., None]


def _chromium() -> str | None:
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install playwright"
    if shutil.which("chromium") is None:
        return "there is no chromium on the path: apt-get install chromium"
    return None


def _vllm() -> str | None:
    if find_spec("httpx") is None:
        return "httpx is not installed: pip install 'trace-gym[vllm]'"
    try:
        python = vllm_python()
    except MissingExtra as error:
        return str(error)
    look = "import sys; from importlib.util import find_spec; sys.exit(find_spec('vllm') is None)"
    found = subprocess.run([python, "-c", look], capture_output=True, timeout=120)
    return None if found.returncode == 0 else f"{python} has no vLLM"


def _cuda() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "there is no CUDA device"


def _trl() -> str | None:
    return None if find_spec("trl") is not None else "trl is not installed: pip install trl"


def _peft() -> str | None:
    return None if find_spec("peft") is not None else "peft is not installed: pip install 'trace-gym[lora]'"


def _ray() -> str | None:
    return None if find_spec("ray") is not None else "ray is not installed: pip install 'trace-gym[cluster]'"


PARTS: Mapping[str, Callable[[], str | None]] = {
    "docker": lambda: missing("docker"),
    "bwrap": lambda: missing("bwrap"),
    "chromium": _chromium,
    "vllm": _vllm,
    "cuda": _cuda,
    "trl": _trl,
    "peft": _peft,
    "ray": _ray,
}


@cache
def absence(part: str) -> str | None:
    """Why a part cannot be used here; asked once per session. An unknown part is an error of the test."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r}; known: {', '.join(PARTS)}")
    return PARTS[part]()


def demand_parts(*parts: str, required: str, absent: Callable[[str], str | None] = absence) -> None:
    """Skip the test that runs if one of the parts is missing, or fail it if `required`, the value of
    TRACE_GYM_REQUIRE, names that part."""
    named = {word.strip() for word in required.split(",") if word.strip()}
    if named - set(PARTS):
        raise ValueError(f"TRACE_GYM_REQUIRE names {sorted(named - set(PARTS))}; known: {', '.join(PARTS)}")
    for part in parts:
        reason = absent(part)
        if reason is None:
            continue
        if part in named:
            pytest.fail(f"TRACE_GYM_REQUIRE names {part}, but: {reason}", pytrace=False)
        pytest.skip(f"needs {part}: {reason}")


@pytest.fixture(scope="session")
def require() -> Require:
    """`require("docker")` inside a test or fixture: see the top of this file."""

    def called(*parts: str) -> None:
        demand_parts(*parts, required=os.environ.get("TRACE_GYM_REQUIRE", ""))

    return called


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Looks at the `needs` markers before any fixture of the test is made."""
    for mark in item.iter_markers("needs"):
        demand_parts(*mark.args, required=os.environ.get("TRACE_GYM_REQUIRE", ""))
