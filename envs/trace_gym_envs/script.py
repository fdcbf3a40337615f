"""Running an agent's Python script in its sandbox, and saying what came of it in text that does not vary.

What a script did wrong (errors, endless loops, floods of output, too much memory) is part of that text.
Leaves out the sandbox itself, and what a script draws from the clock or the system's random source: no text
can be the same twice then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trace_gym.core.sandbox import WORKSPACE, ExecResult, Sandbox, SandboxLimits

PYTHON: Final = ("python3", "-B")
SCRIPT_ENV: Final = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
HEAD, TAIL = 1500, 500

_INSIDE: Final = Path(__file__).with_name("script_inside.py").read_text(encoding="utf-8")
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]+\b")
_TEMPORARY = re.compile(r"(?<=/tmp/)tmp\w{8}\b")


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What a script did: `text` for the agent, and whether it ended by itself without an error."""

    text: str
    ok: bool


def run_script(box: Sandbox, code: str, *, timeout_s: float, modules: tuple[str, ...] = ()) -> ScriptRun:
    """Run `code` as `main.py` in the workspace; the public names of `modules` there are at hand in it.

    The value of a last line that is an expression is shown, as in a notebook. Raises SandboxFailed,
    PathRefused (the workspace is full).
    """
    box.write(f"{WORKSPACE}/main.py", code.encode("utf-8", "replace"))
    command = [*PYTHON, "-c", _INSIDE, "main.py", *modules]
    result = box.run(command, cwd=WORKSPACE, env=SCRIPT_ENV, timeout_s=timeout_s)
    return ScriptRun(described(result, box.spec.limits, timeout_s=timeout_s), result.ok)


def described(result: ExecResult, limits: SandboxLimits, *, timeout_s: float) -> str:
    """Output, errors and how it ended, shortened; of a program that was stopped only the first lines, since
    how far it came is chance."""
    stopped = result.timed_out or result.out_of_memory
    shown = [steady(stream.decode("utf-8", "replace")).rstrip() for stream in (result.stdout, result.stderr)]
    parts = [_shortened(text, stopped=stopped) for text in shown if text]
    ending = ended(result, limits, timeout_s=timeout_s)
    if ending and (stopped or result.exit_code != 1 or not parts):
        parts.append(f"[{ending}]")
    return "\n".join(parts) or "[no output]"


def ended(result: ExecResult, limits: SandboxLimits, *, timeout_s: float) -> str:
    """How a program ended, in words; empty where it ended well."""
    if result.timed_out:
        return f"stopped after {timeout_s:g} s"
    if result.out_of_memory:
        return f"stopped: it used more than {limits.memory_mb} MB"
    if result.exit_code > 128:
        return f"ended by signal {result.exit_code - 128}"
    return f"exit code {result.exit_code}" if result.exit_code else ""


def steady(text: str) -> str:
    """The text without what differs from run to run: memory addresses and names of temporary files."""
    return _TEMPORARY.sub("tmp…", _ADDRESS.sub("0x…", text))


def _shortened(text: str, *, stopped: bool) -> str:
    if stopped:
        return text if len(text) <= TAIL else f"{text[:TAIL]}…"
    if len(text) <= HEAD + TAIL:
        return text
    return f"{text[:HEAD]}\n[… {len(text) - HEAD - TAIL} characters left out …]\n{text[-TAIL:]}"
