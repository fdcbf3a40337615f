"""What the requests to a sandbox's agent hold, and how its replies read: the same for every kind of sandbox.

Leaves out how they travel (`channel.py`) and what the agent does with them (`channel_agent.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.environment.sandbox.channel import Reply

_OPEN_FILES = 1024
_TOO_LARGE = 128 + 25  # ended by SIGXFSZ


def run_fields(
    spec: SandboxSpec,
    command: Sequence[str],
    *,
    cwd: str | None,
    env: Mapping[str, str] | None,
    timeout_s: float | None,
) -> dict[str, Any]:
    """The fields of a `run` request. Raises ValueError for arguments that no program can be given."""
    words = [*command, *(env or {}), *(env or {}).values(), cwd or ""]
    if isinstance(command, str) or not command or not command[0]:
        raise ValueError(f"a command is a sequence of words, the program first; got {command!r}")
    if any("\0" in word for word in words) or any("=" in name or not name for name in env or {}):
        raise ValueError("a command, its folder and its environment cannot hold a null character")
    if timeout_s is not None and timeout_s <= 0:
        raise ValueError(f"timeout_s must be positive, got {timeout_s}")
    start = spec.writable[0] if spec.writable else "/"
    return {
        "argv": list(command),
        "cwd": start if cwd is None else absolute(cwd),
        "env": environment(spec.writable, {**spec.env, **(env or {})}),
        "timeout_s": min(timeout_s or spec.limits.timeout_s, spec.limits.timeout_s),
    }


def absolute(path: str) -> str:
    """The path itself. Raises ValueError where it is not one inside a sandbox."""
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"paths are absolute inside the sandbox, got {path!r}")
    return path


def accepted(reply: Reply, path: str) -> Reply:
    """The reply to a file operation. Raises PathRefused where it was refused."""
    if reply.status == 0 and not reply.timed_out:
        return reply
    said = reply.stderr.decode("utf-8", "replace").strip()
    if reply.timed_out:
        said = "it took too long"
    elif reply.status == _TOO_LARGE:
        said = "the disk limit is reached"
    elif reply.status > 128:
        said = said or "it was killed at a limit of the sandbox"
    raise PathRefused(f"{path}: {said or 'refused'}")


def listed(pairs: bytes) -> dict[str, int]:
    """The files that the agent listed, with their sizes."""
    parts = os.fsdecode(pairs).split("\0")
    return dict(sorted(zip(parts[0:-1:2], map(int, parts[1:-1:2]), strict=True)))


def request(op: str, limits: SandboxLimits, *, grouped: bool, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request to the agent: `op` is `run`, `read`, `write` or `files`, with its own `fields` on top.
    `grouped`: a control group limits memory and processes; without one the agent watches, and each process
    is limited."""
    rlimits = {
        "CORE": 0,
        "FSIZE": limits.disk_mb << 20,
        "NOFILE": _OPEN_FILES,
        "MEMLOCK": 1 << 16,
        "MSGQUEUE": 0,
        "NICE": 0,
        "RTPRIO": 0,
    }
    if not grouped:
        rlimits |= {"NPROC": limits.pids, "DATA": limits.memory_mb << 20}
    return {
        "op": op,
        "timeout_s": limits.timeout_s,
        "output_bytes": limits.output_bytes,
        "rlimits": rlimits,
        "watch_bytes": None if grouped else limits.memory_mb << 20,
        **fields,
    }


def environment(writable: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """What every command finds in its environment, with `env` on top."""
    temporary = {"TMPDIR": "/tmp"} if "/tmp" in writable else {}
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": writable[0] if writable else "/",
        "LANG": "C.UTF-8",
        **temporary,
        **env,
    }
