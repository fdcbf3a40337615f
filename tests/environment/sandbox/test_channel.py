"""The host's end of the channel, against an agent played by the test."""

from __future__ import annotations

import ast
import io
import marshal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

import trace_gym.environment.sandbox
from trace_gym.core.errors import PathRefused, SandboxFailed
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.environment.sandbox.channel import AGENT, Channel, ChannelClosed, Reply, agent_setup
from trace_gym.environment.sandbox.command import accepted, environment, listed, request, run_fields

ASKED = request("run", SandboxLimits(timeout_s=0.2), grouped=True, fields={"argv": ["true"]})


class Played:
    """The agent's end: reads and writes frames, blocking."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def receive(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(struct.unpack(">I", head[1:])[0])

    def send(self, kind: bytes, content: bytes) -> None:
        self.end.sendall(kind + struct.pack(">I", len(content)) + content)

    def whole_request(self) -> tuple[dict[str, object], bytes]:
        kind, content = self.receive()
        assert kind == b"R"
        stdin = b""
        while True:
            kind, piece = self.receive()
            assert kind == b"I"
            if not piece:
                return marshal.loads(content), stdin
            stdin += piece

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.end.recv(size - len(found))
            assert piece
            found += piece
        return found


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Played]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with closing(Channel(ours, grace_s=0.2)) as channel, theirs:
        yield channel, Played(theirs)


def beside(action: Callable[[], object]) -> Thread:
    thread = Thread(target=action)
    thread.start()
    return thread


def test_a_request_goes_out_whole_and_the_reply_comes_back(ends: tuple[Channel, Played]) -> None:
    channel, agent = ends
    sent, seen = bytes(range(256)) * 4000, []

    def play() -> None:
        agent.send(b"O", b"early")
        seen.append(agent.whole_request())
        agent.send(b"E", b"late")
        agent.send(b"O", b"er")
        agent.send(b"X", b"3 0 1 0 1500")

    thread = beside(play)
    reply = channel.call(ASKED, stdin=io.BytesIO(sent))
    thread.join(10)
    assert reply == Reply(3, b"earlyer", b"late", 0.0015, False, True, False)
    assert seen == [(ASKED, sent)]


def test_frames_may_come_in_pieces(ends: tuple[Channel, Played]) -> None:
    channel, agent = ends

    def play() -> None:
        agent.whole_request()
        for byte in b"O\0\0\0\2hiX\0\0\0\t0 0 0 0 7":
            agent.end.sendall(bytes([byte]))

    thread = beside(play)
    assert channel.call(ASKED).stdout == b"hi"
    thread.join(10)


def test_an_agent_that_goes_or_says_nothing_is_closed(ends: tuple[Channel, Played]) -> None:
    channel, agent = ends
    with pytest.raises(ChannelClosed, match="does not answer"):
        channel.call(ASKED)
    agent.end.close()
    with pytest.raises(ChannelClosed):
        channel.call(ASKED)
    assert issubclass(ChannelClosed, SandboxFailed)


def test_the_first_words_are_a_greeting(ends: tuple[Channel, Played]) -> None:
    channel, agent = ends
    agent.send(b"H", b"3.11.2")
    assert channel.greet() == "3.11.2"
    agent.send(b"O", b"")
    with pytest.raises(ChannelClosed, match="began with"):
        channel.greet()


def test_what_a_refused_file_says() -> None:
    def reply(status: int, said: bytes = b"", *, timed_out: bool = False) -> Reply:
        return Reply(status, b"", said, 0.0, timed_out, False, False)

    assert accepted(reply(0), "/f").status == 0
    for refused, text in (
        (reply(1, b"not a regular file\n"), "/f: not a regular file"),
        (reply(153), "/f: the disk limit is reached"),
        (reply(137), "/f: it was killed at a limit of the sandbox"),
        (reply(137, timed_out=True), "/f: it took too long"),
        (reply(1), "/f: refused"),
    ):
        with pytest.raises(PathRefused) as caught:
            accepted(refused, "/f")
        assert str(caught.value) == text


def test_files_are_listed_by_name_whatever_the_name() -> None:
    assert listed(b"") == {}
    assert listed("b\0001\0ä\n\0002\0".encode()) == {"b": 1, "ä\n": 2}
    assert list(listed(b"z\0001\0a\0002\0")) == ["a", "z"]


def test_commands_get_their_environment_and_limits() -> None:
    spec = SandboxSpec(env={"A": "1", "LANG": "C"}, limits=SandboxLimits(timeout_s=5))
    fields = run_fields(spec, ["echo"], cwd=None, env={"B": "2"}, timeout_s=9)
    assert fields["timeout_s"] == 5
    assert fields["cwd"] == "/workspace"
    assert fields["env"] == {**environment(spec.writable, {}), "A": "1", "LANG": "C", "B": "2"}
    assert run_fields(spec, ["echo"], cwd="/", env=None, timeout_s=1)["timeout_s"] == 1
    assert "TMPDIR" not in environment(("/workspace",), {})
    assert request("run", spec.limits, grouped=False, fields={})["watch_bytes"] == 512 << 20
    assert (agent_setup(None), agent_setup(7, [4, 5])) == ("-:", "7:4,5")


@pytest.mark.parametrize("name", AGENT)
def test_the_agent_is_for_old_pythons_too(name: str) -> None:
    source = Path(trace_gym.environment.sandbox.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & {"contextlib", "json", "signal", "typing", "subprocess", "re"}
