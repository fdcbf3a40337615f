"""Sandboxes by bubblewrap: no daemon, a name space with its own files, processes and (no) network.

Leaves out networks: a spec that allows hosts is for Docker.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, BinaryIO

from trace_gym.core.errors import BadConfig, SandboxFailed, boundary
from trace_gym.core.sandbox import ExecResult, FileSnapshot, SandboxSpec
from trace_gym.environment.sandbox.agent_files import AgentFiles, died, executed
from trace_gym.environment.sandbox.bwrap_state import BwrapState, Method
from trace_gym.environment.sandbox.channel import ChannelClosed, Reply
from trace_gym.environment.sandbox.command import request, run_fields
from trace_gym.environment.sandbox.layers import Layer
from trace_gym.environment.sandbox.rootfs import host_python, programs


def missing() -> str | None:
    """Why this machine has no bubblewrap sandbox, in one sentence that says how to get it; None: it has."""
    program = shutil.which("bwrap")
    if program is None:
        return "Install bubblewrap (`apt-get install bubblewrap`, `dnf install bubblewrap`) for sandboxes."
    if host_python() is None:
        return "bubblewrap sandboxes need a Python outside home folders: install python3 for the system."
    probe = [program, "--unshare-all", *programs(), "--proc", "/proc", "--dev", "/dev", "/usr/bin/true"]
    try:
        done = subprocess.run(probe, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap cannot be run here ({error}); use Docker."
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        return f"bubblewrap cannot make name spaces here ({said}); allow user name spaces, or use Docker."
    return None


def make() -> BwrapProvider:
    """A provider of its own."""
    return BwrapProvider()


class BwrapSnapshot:
    """The files of a bubblewrap sandbox at one moment: a frozen layer, held until closed."""

    def __init__(self, provider: BwrapProvider, state: BwrapState, layer: Layer, spec: SandboxSpec) -> None:
        """The layer is held already, and given back by `close`."""
        self._provider = provider
        self._lock = Lock()
        self.state = state
        self.layer: Layer | None = layer
        self.spec = spec

    def close(self) -> None:
        """Give the space back once no sandbox stands on it. May be called again."""
        with self._lock:
            layer, self.layer = self.layer, None
        if layer is not None:
            self.state.layers.release(layer)
            self._provider.leave()


class BwrapSandbox(AgentFiles):
    """A sandbox in a bubblewrap box. What a program does to its box, its death included, is that program's
    failure: the box is started again on the same files."""

    def __init__(self, provider: BwrapProvider, state: BwrapState, spec: SandboxSpec) -> None:
        """Opened. Raises SandboxFailed, BadConfig."""
        super().__init__(spec)
        self._provider = provider
        self._state = state
        self._kind = state.kind(spec)
        self._base = state.base(spec)
        self._box = state.take(self._kind)
        try:
            self._tree = state.folders(spec, self._base, self._box)
        except SandboxFailed:
            state.end(self._box)
            raise
        self._killed = 0
        self._closed = False
        self._broken = False
        if self._box.group is not None:
            with boundary(SandboxFailed, OSError, what="cannot limit the sandbox"):
                self._box.group.limit(spec.limits)
            self._killed = self._box.group.killed_for_memory()

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a program and wait until it and all that it started is dead; see `Sandbox.run`."""
        fields = run_fields(self._spec, command, cwd=cwd, env=env, timeout_s=timeout_s)
        try:
            reply = self._call("run", fields, stdin)
        except ChannelClosed:
            self._revive()
            return died(out_of_memory=self._memory_ran_out())
        return executed(reply, out_of_memory=self._memory_ran_out())

    def snapshot(self) -> FileSnapshot:
        """The writable folders as they are now."""
        self._ready()
        layer = self._tree.freeze()
        self._provider.join()
        return BwrapSnapshot(self._provider, self._state, layer, self._spec)

    def settle(self) -> None:
        """End a turn; see `Sandbox.settle`."""
        self._ready()
        self._tree.settle()

    def restore(self, snapshot: FileSnapshot) -> None:
        """Make the writable folders what they were in `snapshot`."""
        if not isinstance(snapshot, BwrapSnapshot) or snapshot.state is not self._state:
            raise ValueError("the snapshot was taken in a sandbox of another provider")
        if (snapshot.spec.image, snapshot.spec.writable) != (self._spec.image, self._spec.writable):
            raise ValueError("the snapshot was taken in a sandbox with another image or other folders")
        if snapshot.layer is None:
            raise ValueError("the snapshot is closed")
        self._ready()
        self._tree.restore(snapshot.layer)

    def reset(self) -> None:
        """Make the writable folders what they were when the sandbox was opened."""
        self._ready()
        self._tree.restore(self._base)

    def close(self) -> None:
        """Free everything. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            self._tree.close()
            if self._broken or not self._state.give(self._kind, self._box):
                self._state.end(self._box)
        finally:
            self._provider.leave()

    def _call(self, op: str, fields: Mapping[str, Any], stdin: bytes | BinaryIO) -> Reply:
        self._ready()
        asked = request(op, self._spec.limits, grouped=self._box.group is not None, fields=fields)
        self._broken = True  # until it has come back: what interrupts the exchange leaves half a frame
        reply = self._box.channel.call(asked, stdin=stdin)
        self._broken = False
        return reply

    def _ready(self) -> None:
        if self._closed:
            raise SandboxFailed("the sandbox is closed")
        if self._broken:
            self._revive()

    def _recover(self, error: ChannelClosed) -> None:
        self._revive()

    def _revive(self) -> None:
        """Start the box again on the files as they are. Raises SandboxFailed."""
        self._box.stop()
        self._tree.detach()
        self._state.restart(self._box)
        self._tree.attach()
        self._broken = False

    def _memory_ran_out(self) -> bool:
        if self._box.group is None:
            return False
        before, self._killed = self._killed, self._box.group.killed_for_memory()
        return self._killed > before


class BwrapProvider:
    """Makes bubblewrap sandboxes; see `SandboxProvider`. Its state on disk exists while a sandbox or a
    snapshot does."""

    name = "bwrap"

    def __init__(self, *, method: Method | None = None) -> None:
        """`method`: how files are forked; None: by overlay where this process may mount, else by copies."""
        self._method = method
        self._lock = Lock()
        self._state: BwrapState | None = None
        self._users = 0

    def open(self, spec: SandboxSpec) -> BwrapSandbox:
        """A fresh sandbox. Raises SandboxFailed, BadConfig."""
        if spec.allow:
            raise BadConfig("bubblewrap sandboxes have no network; a spec that allows hosts needs Docker")
        state = self.join()
        try:
            return BwrapSandbox(self, state, spec)
        except BaseException:
            self.leave()
            raise

    def join(self) -> BwrapState:
        """One more sandbox or snapshot uses the state; made for the first."""
        with self._lock:
            if self._state is None:
                self._state = BwrapState(self._method)
                self._method = self._state.method
            self._users += 1
            return self._state

    def leave(self) -> None:
        """One user less; the last takes the state with it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._state is not None:
                state, self._state = self._state, None
                state.close()
