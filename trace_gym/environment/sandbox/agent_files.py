"""What every sandbox with an agent inside does alike: files go through the agent, and what a command came to
is read off its reply. Leaves out whose box the agent is in, and how that is started again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import ExecResult, SandboxSpec
from trace_gym.environment.sandbox.channel import ChannelClosed, Reply
from trace_gym.environment.sandbox.command import absolute, accepted, listed

_KILLED: Final = 137
_DIED: Final = b"the sandbox died with this command and was started again\n"


class AgentFiles(ABC):
    """The part of a `Sandbox` that is the same wherever the agent runs."""

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> SandboxSpec:
        """What it was opened with."""
        return self._spec

    def write(self, path: str, content: bytes | BinaryIO, *, mode: int = 0o644) -> None:
        """Write a file as the sandboxed user; see `Sandbox.write`."""
        fields = {"path": absolute(path), "mode": mode, "writable": self._spec.writable}
        self._file("write", fields, content)

    def read(self, path: str, *, max_bytes: int = 1 << 20) -> bytes:
        """The content of a regular file; see `Sandbox.read`."""
        fields = {"path": absolute(path), "max_bytes": max_bytes, "output_bytes": max_bytes}
        return self._file("read", fields).stdout

    def files(self, folder: str, *, most: int = 10_000) -> dict[str, int]:
        """The regular files under a folder and their sizes; see `Sandbox.files`."""
        fields = {"path": absolute(folder), "most": most, "output_bytes": 1 << 30}
        return listed(self._file("files", fields).stdout)

    def _file(self, op: str, fields: Mapping[str, Any], content: bytes | BinaryIO = b"") -> Reply:
        """Carry out a file operation. Raises PathRefused."""
        try:
            reply = self._call(op, fields, content)
        except ChannelClosed as error:
            self._recover(error)
            raise PathRefused(
                f"{fields['path']}: the sandbox died meanwhile and was started again"
            ) from error
        return accepted(reply, fields["path"])

    @abstractmethod
    def _call(self, op: str, fields: Mapping[str, Any], stdin: bytes | BinaryIO) -> Reply:
        """Ask the agent. Raises ChannelClosed, SandboxFailed."""

    @abstractmethod
    def _recover(self, error: ChannelClosed) -> object:
        """Start again after the agent was lost. Raises SandboxFailed."""


def executed(reply: Reply, *, out_of_memory: bool = False) -> ExecResult:
    """What a command came to; `out_of_memory`: its box says so, whatever the reply says."""
    return ExecResult(
        exit_code=reply.status,
        stdout=reply.stdout,
        stderr=reply.stderr,
        seconds=reply.seconds,
        timed_out=reply.timed_out,
        out_of_memory=out_of_memory or reply.over_memory,
        truncated=reply.truncated,
    )


def died(*, timed_out: bool = False, out_of_memory: bool = False) -> ExecResult:
    """What a command came to that took the sandbox with it."""
    return ExecResult(_KILLED, b"", _DIED, 0.0, timed_out=timed_out, out_of_memory=out_of_memory)
