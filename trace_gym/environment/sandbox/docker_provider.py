"""Sandboxes in Docker containers: hard limits, no privileges, warm, forked by layers.

Leaves out the daemon's API (`docker_client.py`), containers (`docker_box.py`) and files (`docker_files.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from logging import getLogger
from threading import Lock
from typing import Any, BinaryIO

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import ExecResult, FileSnapshot, SandboxSpec
from trace_gym.environment.sandbox.agent_files import AgentFiles, died, executed
from trace_gym.environment.sandbox.channel import ChannelClosed, Reply
from trace_gym.environment.sandbox.command import request, run_fields
from trace_gym.environment.sandbox.containers import Daemon
from trace_gym.environment.sandbox.docker_box import GRACE_S, passage
from trace_gym.environment.sandbox.docker_files import Copied, Files, Layered, Method, Saved, forget
from trace_gym.environment.sandbox.docker_images import Images
from trace_gym.environment.sandbox.docker_state import DockerState


class DockerSnapshot:
    """The files of a Docker sandbox at one moment, held until closed."""

    def __init__(self, provider: DockerProvider, state: DockerState, saved: Saved, key: object) -> None:
        """`saved` is given back by `close`; `key` says which sandboxes it fits."""
        self._provider = provider
        self._lock = Lock()
        self.state = state
        self.key = key
        self.saved: Saved | None = saved

    def close(self) -> None:
        """Give the space back once no sandbox stands on it. May be called again."""
        with self._lock:
            saved, self.saved = self.saved, None
        if saved is not None:
            try:
                forget(self.state, saved)
            finally:
                self._provider.leave()


class DockerSandbox(AgentFiles):
    """A sandbox in a container. What a program does to its container, its death included, is that program's
    failure: it is started again on the same files. What is done to it from outside is the sandbox's."""

    def __init__(self, provider: DockerProvider, state: DockerState, spec: SandboxSpec) -> None:
        """Opened. Raises SandboxFailed, BadConfig."""
        super().__init__(spec)
        self._provider = provider
        self._state = state
        image = state.image(spec)
        self._env = image.env
        kind = self._kind = state.kind(spec, image)
        self._key = (kind.image, kind.folders)
        self._files: Files = Copied(state, kind) if state.layers is None else Layered(state, kind, spec)
        self._closed = False
        self._broken = False

    @property
    def container(self) -> str:
        """The container's hash in the daemon, for whoever looks from outside."""
        return self._files.box.container

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
        given = {**self._env, **self._spec.env, **(env or {})}
        fields = run_fields(self._spec, command, cwd=cwd, env=given, timeout_s=timeout_s)
        if self._kind.allow:
            words, needed = passage(self._state.python(self._kind), fields["argv"], self._kind.allow)
            fields |= {"argv": words, "env": fields["env"] | needed}
        try:
            reply = self._call("run", fields, stdin)
        except ChannelClosed as error:
            fate = self._recover(error)
            return died(timed_out=fate == "silent", out_of_memory=fate == "memory")
        return executed(reply)

    def snapshot(self) -> FileSnapshot:
        """The writable folders as they are now."""
        self._ready()
        saved = self._files.freeze()
        self._provider.join()
        return DockerSnapshot(self._provider, self._state, saved, self._key)

    def settle(self) -> None:
        """End a turn; see `Sandbox.settle`."""
        self._ready()
        self._files.settle()

    def restore(self, snapshot: FileSnapshot) -> None:
        """Make the writable folders what they were in `snapshot`."""
        if not isinstance(snapshot, DockerSnapshot) or snapshot.state is not self._state:
            raise ValueError("the snapshot was taken in a sandbox of another provider")
        if snapshot.key != self._key:
            raise ValueError("the snapshot was taken in a sandbox with another image or other folders")
        if snapshot.saved is None:
            raise ValueError("the snapshot is closed")
        self._ready()
        self._files.restore(snapshot.saved)

    def reset(self) -> None:
        """Make the writable folders what they were when the sandbox was opened."""
        self._ready()
        self._files.restore(None)

    def close(self) -> None:
        """Free everything. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            self._files.close(reusable=not self._broken)
        finally:
            self._provider.leave()

    def _call(self, op: str, fields: Mapping[str, Any], stdin: bytes | BinaryIO) -> Reply:
        self._ready()
        asked = request(op, self._spec.limits, grouped=True, fields=fields)
        if self._state.layers is None:  # then the daemon's limit also holds the files, so the agent watches
            asked["watch_bytes"] = asked["rlimits"]["DATA"] = self._spec.limits.memory_mb << 20
        self._broken = True  # until it has come back: what interrupts the exchange leaves half a frame
        reply = self._files.box.channel.call(asked, stdin=stdin)
        self._broken = False
        return reply

    def _ready(self) -> None:
        if self._closed:
            raise SandboxFailed("the sandbox is closed")
        if self._broken:
            self._files.revive()
            self._broken = False

    def _recover(self, error: ChannelClosed) -> str:
        """Start again after the agent was lost, and say how a program brought that about. Raises
        SandboxFailed where it was no program's doing."""
        fate = self._state.daemon.fate(self.container)
        if fate in ("paused", "stopped"):
            raise SandboxFailed(f"the sandbox's container was {fate} from outside") from error
        self._files.revive()
        self._broken = False
        return fate


class DockerProvider:
    """Makes Docker sandboxes; see `SandboxProvider`. Its state on disk and in the daemon exists while a
    sandbox or a snapshot does."""

    name = "docker"

    def __init__(self, daemon: Daemon, *, method: Method | None = None, grace_s: float = GRACE_S) -> None:
        """`method`: how folders are forked; None: by overlay where that can be done. `grace_s`: how long
        beyond a command's limit a container may be silent. Does nothing yet."""
        self._grace_s = grace_s
        self._daemon = daemon
        self._images = Images(daemon)
        self._lock = Lock()
        self._state: DockerState | None = None
        self._users = 0
        self.method: Method | None = method
        """How folders are forked: known when the first sandbox is open."""

    def open(self, spec: SandboxSpec) -> DockerSandbox:
        """A fresh sandbox. Raises SandboxFailed, BadConfig."""
        with self._lock, ExitStack() as undo:
            undo.callback(self._daemon.close)
            if self._state is None:
                self._state = self._begin(spec)
            undo.pop_all()
            state = self._state
            self._users += 1
        with ExitStack() as undo:
            undo.callback(self.leave)
            found = DockerSandbox(self, state, spec)
            undo.pop_all()
        return found

    def join(self) -> None:
        """One more sandbox or snapshot uses the state, which is there."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """One user less; the last takes the state with it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._state is not None:
                state, self._state = self._state, None
                try:
                    state.close()
                finally:
                    self._daemon.close()

    def _begin(self, spec: SandboxSpec) -> DockerState:
        """The state for the first spec; it settles the method."""
        if self.method is None and not self._daemon.local:
            self.method = "copy"
        if self.method != "copy":
            try:
                with ExitStack() as undo:
                    state = DockerState(self._daemon, self._images, overlay=True, grace_s=self._grace_s)
                    undo.callback(state.close)
                    if self.method == "overlay" or _layers_reach(state, spec):
                        self.method = "overlay"
                        undo.pop_all()
                        return state
            except SandboxFailed as error:
                if self.method == "overlay":
                    raise
                getLogger(__name__).info("folders cannot be layers here: %s", error)
            self.method = "copy"
        return DockerState(self._daemon, self._images, overlay=False, grace_s=self._grace_s)


def _layers_reach(state: DockerState, spec: SandboxSpec) -> bool:
    """Do layers that are mounted here appear in the daemon's containers, for the sandboxed user to write?"""
    kind = state.kind(spec, state.image(spec))
    inside, probe = kind.folders[0], ".probe"
    asked = {"path": f"{inside}/{probe}", "mode": 0o644, "writable": kind.folders}
    files = Layered(state, kind, spec)
    try:
        files.box.channel.call(request("write", spec.limits, grouped=True, fields=asked))
        slot = files.box.slot
        return slot is not None and (slot.folders[0] / probe).exists()
    finally:
        files.close(reusable=True)
