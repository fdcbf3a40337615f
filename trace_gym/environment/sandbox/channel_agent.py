"""The program at the root of a sandbox: it starts each command as the unprivileged user, passes its streams
to the host, and kills whatever is left when the command ends.

It is process 1 of its namespace: nothing inside can signal it, orphans become its children, and when it goes
the kernel kills the rest. Commands never hold its channel, and what they print travels in frames with a
length, so no output passes for its words. It ends when the host's end of the channel closes. The sandbox's
interpreter runs it: it needs no more than Python 3.8 and what `AGENT` in `channel.py` names, and loads
little. Leaves out limits on what a command uses, but for the watch on memory where there is no control group.

Frames, both ways: one byte of kind, four of length (big-endian), the content. From the host: `R` a request
(marshalled), `I` standard input (empty: its end). To the host: `H` ready (the version of Python), `O` and `E`
the streams, `X` the end (status; whether it timed out, lost output, ran out of memory; microseconds).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the enumerations around it take long to load
import fcntl
import gc
import marshal
import os
import select
import sys
import time

from trace_gym.environment.sandbox.channel_child import ignoring
from trace_gym.environment.sandbox.channel_fork import Fork, Streams
from trace_gym.environment.sandbox.channel_link import CHUNK, Gone, Link
from trace_gym.environment.sandbox.channel_spawn import Spawner, hide
from trace_gym.environment.sandbox.channel_watch import killed_for_memory, memory_beyond

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from typing import Any

_PATIENCE_S = 20.0  # for killed processes to go
_LOOKS = 3  # so many in a row must find too much, for one may see a process while it becomes another
_WATCH_S = 0.02  # between two looks at what a command uses, where no control group does that


class Command:
    """One request being carried out by a child. `begun`: when, and how many processes the memory limit had
    killed by then."""

    def __init__(
        self,
        agent: Agent,
        request: dict[str, Any],
        child: int,
        streams: Streams,
        *,
        begun: tuple[float, int],
    ) -> None:
        self.agent, self.link, self.wake = agent, agent.link, agent.wake
        self.request = request
        self.left = {"O": request["output_bytes"], "E": request["output_bytes"]}
        self.truncated = self.timed_out = self.over_memory = False
        self.stdin, self.stdin_ended = bytearray(), False
        self.status: int | None = None
        self.begun, self.killed_before = begun
        self.child = child
        if request["op"] != "run":
            widen(streams.stdin)
            widen(streams.stdout)
        self.into: int | None = streams.stdin
        os.set_blocking(streams.stdin, False)
        self.outputs = {streams.stdout: "O", streams.stderr: "E"}

    def serve(self) -> None:
        """See the child through to its end, and everything that it started. Raises Gone."""
        end = self.begun + self.request["timeout_s"]
        watched, looks = self.request.get("watch_bytes"), 0
        self.unpack()  # what came together with the request
        while self.status is None:
            self.collect()
            now = time.monotonic()
            if now >= end:
                self.timed_out = True
                break
            looks = looks + 1 if watched and memory_beyond(watched) else 0
            if looks == _LOOKS:
                self.over_memory = True
                break
            if self.status is None:
                self.exchange(min(end - now, _WATCH_S if watched else end - now))
        if self.status is None and not self.timed_out and not self.over_memory:
            self.collect()
        self.finish()

    def finish(self) -> None:
        """Kill what is left, pass on what it had still printed, take in the rest of standard input."""
        seconds = time.monotonic() - self.begun
        killed = kill_all(self.child)
        if self.agent.spawner.harmed:
            os._exit(1)  # the kernel then ends this namespace: no command is to start from such an agent
        self.over_memory |= killed_for_memory() > self.killed_before
        if self.status is None:
            self.status = killed if killed is not None else 128 + signal.SIGKILL
        while self.outputs:
            for descriptor in list(self.outputs):
                self.pass_on(descriptor)
        if self.into is not None:
            os.close(self.into)
            self.into = None
        while not self.stdin_ended:
            self.take(self.link.receive())
            self.stdin.clear()
        flags = (self.timed_out, self.truncated, self.over_memory)
        report = (self.status, *map(int, flags), int(seconds * 1e6))
        self.link.send(b"X", " ".join(map(str, report)).encode())

    def exchange(self, wait_s: float) -> None:
        """Move what can be moved between host and child, waiting at most `wait_s`."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        hungry = len(self.stdin) < CHUNK and not self.stdin_ended
        poll.register(self.link.incoming, select.POLLIN if hungry else 0)
        for descriptor in self.outputs:
            poll.register(descriptor, select.POLLIN)
        if self.into is not None and self.stdin:
            poll.register(self.into, select.POLLOUT)
        for descriptor, events in poll.poll(max(wait_s, 0) * 1000 + 1):
            if descriptor == self.wake:
                os.read(self.wake, CHUNK)
            elif descriptor == self.link.incoming:
                self.hear(events)
            elif descriptor in self.outputs:
                self.pass_on(descriptor)
            else:
                self.feed()

    def hear(self, events: int) -> None:
        """Take in what the host has sent."""
        if not events & select.POLLIN:
            raise Gone
        self.link.fill()
        self.unpack()

    def unpack(self) -> None:
        """Take in the frames that have come whole."""
        frame = self.link.frame()
        while frame is not None:
            self.take(frame)
            frame = self.link.frame()

    def take(self, frame: tuple[bytes, bytes]) -> None:
        """A piece of standard input. Anything else ends the agent."""
        kind, content = frame
        if kind != b"I":
            raise Gone
        self.stdin += content
        if not content:
            self.stdin_ended = True
        self.feed()

    def feed(self) -> None:
        """Give the child what its pipe takes of standard input; close it after the last byte."""
        if self.into is None:
            self.stdin.clear()
            return
        try:
            while self.stdin:
                del self.stdin[: os.write(self.into, self.stdin[:CHUNK])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.stdin.clear()
        if self.stdin_ended:
            os.close(self.into)
            self.into = None

    def pass_on(self, descriptor: int) -> None:
        """Send a piece of the child's output, as far as its limit allows."""
        data = os.read(descriptor, CHUNK)
        kind = self.outputs[descriptor]
        if not data:
            os.close(descriptor)
            del self.outputs[descriptor]
            return
        if len(data) > self.left[kind]:
            self.truncated = True
            data = data[: self.left[kind]]
        if data:
            self.left[kind] -= len(data)
            self.link.send(kind.encode(), data)

    def collect(self) -> None:
        """Take in what has died: the child's status, and orphans."""
        while True:
            try:
                died, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if died == 0:
                return
            if died == self.child:
                self.status = as_shell(status)
                return


def as_shell(status: int) -> int:
    """A wait status as a shell would report it."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def kill_all(child: int) -> int | None:
    """Kill every process but this one and wait until they are gone; the status of `child` if it was among
    them. The kernel signals all at once, so that no fork escapes."""
    found, end = None, time.monotonic() + _PATIENCE_S
    while True:
        with ignoring(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            died, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if died == child:
            found = as_shell(status)
        if died == 0:
            if time.monotonic() > end:
                os._exit(1)  # the kernel then ends this namespace
            select.select([], [], [], 0.0005)


def widen(descriptor: int) -> None:
    """A pipe for files may hold more at a time."""
    with ignoring(OSError):
        fcntl.fcntl(descriptor, 1031, 1 << 20)  # F_SETPIPE_SZ


class Agent:
    """What serves the host, from its greeting until it is gone."""

    def __init__(self, link: Link, setup: dict[str, Any], *, wake: int) -> None:
        """`wake`: readable when a child has died."""
        self.link, self.wake = link, wake
        self._setup = setup
        self.spawner = Spawner(setup["uid"], grouped=setup["grouped"])
        hide(setup["uid"] is None)

    def serve(self) -> None:
        """Carry out one request after the other. Raises Gone."""
        self.link.send(b"H", sys.version.split()[0].encode())
        while True:
            streams = Streams()  # before they are needed, as the fork is
            fork = None if self.spawner.able else Fork(self._setup, self.spawner, streams)
            kind, content = self.link.receive()
            if kind != b"R":
                return
            request, begun = marshal.loads(content), (time.monotonic(), killed_for_memory())
            child = self.spawner.start(request, streams.theirs)
            if child is None:
                child = self._forked(content, streams, fork)
            streams.leave()
            Command(self, request, child, streams, begun=begun).serve()

    def _forked(self, request: bytes, streams: Streams, fork: Fork | None) -> int:
        """The process that carries out a request."""
        while fork is None or not fork.begin(request):
            if fork is not None:
                kill_all(fork.pid)
            fork = Fork(self._setup, self.spawner, streams)
        return fork.pid


def main() -> None:
    """Serve the host, as `python3 -I -S FOLDER IN,OUT USER:ENTRANCES`, the folder being that of
    `install_agent`: the descriptors of the channel; the user and group of commands, `-` for this process's
    own; the descriptors, with commas, of files to write "0" to, to join a control group. Commands are born
    in it."""
    incoming, outgoing = (int(part) for part in sys.argv[1].split(","))
    os.set_inheritable(incoming, False)
    os.set_inheritable(outgoing, False)
    link = Link(incoming, outgoing)
    user, _, entrances = sys.argv[2].partition(":")
    joined = [int(part) for part in entrances.split(",") if part]
    for entrance in joined:  # once: the kernel takes milliseconds to move a process
        os.write(entrance, b"0")
        os.close(entrance)
    gc.disable()  # a collection would write to pages that children share
    wake, alarm = os.pipe()
    for end in (wake, alarm):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with ignoring(Gone):
        Agent(link, {"uid": None if user == "-" else int(user), "grouped": bool(joined)}, wake=wake).serve()
