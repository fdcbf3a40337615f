"""Allowed hosts: what they are written like, and that nothing else can be reached."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trace_gym.core.errors import BadConfig
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.sandbox.docker_client import Client, host
from trace_gym.environment.sandbox.docker_provider import DockerProvider
from trace_gym.environment.sandbox.way_out import Host, WayOut, doors, hosts


class Echo:
    """A service of this machine that answers a whole request with its SHA-256 hash."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            near, _ = self._listener.accept()
            with near:
                digest = hashlib.sha256()
                while data := near.recv(1 << 16):
                    digest.update(data)
                if digest.hexdigest() == hashlib.sha256(b"stop").hexdigest():
                    return
                near.sendall(digest.hexdigest().encode())

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"stop")
        self._thread.join()
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as service:
        yield service


def test_hosts_have_names_ports_and_addresses_of_their_own() -> None:
    found = hosts(("a.example:443", "localhost:80", "a.example:80", "b_1:1", "a.example:443"))
    assert found == (
        Host("a.example", 443, "127.0.1.1"),
        Host("localhost", 80, "127.0.0.1"),
        Host("a.example", 80, "127.0.1.1"),
        Host("b_1", 1, "127.0.1.3"),
    )
    assert doors(found)[2] == ("127.0.1.1", 80, "/.trace-gym-hosts/2")


@pytest.mark.parametrize(
    "text",
    ["a.example", "a.example:0", "a.example:65536", "10.0.0.1:80", "[::1]:80", "-a:1", "a b:1", ":1", "*:1"],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="NAME:PORT"):
        hosts((text,))


def test_a_way_out_leads_to_its_host_alone(echo: Echo, tmp_path: Path) -> None:
    allowed = hosts((f"localhost:{echo.port}", "nowhere.invalid:80"))
    with closing(WayOut(tmp_path / "hosts", allowed)) as way:
        sent = bytes(range(256)) * 40_000
        with socket.socket(socket.AF_UNIX) as near:
            near.settimeout(30)
            near.connect(str(way.folder / "0"))
            near.sendall(sent)
            near.shutdown(socket.SHUT_WR)
            assert near.recv(100) == hashlib.sha256(sent).hexdigest().encode()
            assert near.recv(100) == b""
        with socket.socket(socket.AF_UNIX) as near:
            near.settimeout(30)
            near.connect(str(way.folder / "1"))
            assert near.recv(100) == b""
    with socket.socket(socket.AF_UNIX) as near, pytest.raises(ConnectionRefusedError):
        near.connect(str(way.folder / "0"))


PROGRAM = """
import hashlib, os, socket, sys
port = int(sys.argv[1])
def ask(name, port, data):
    with socket.create_connection((name, port), timeout=5) as far:
        far.sendall(data); far.shutdown(socket.SHUT_WR)
        return far.recv(100).decode()
data = os.urandom(3_000_000)
print(ask("localhost", port, data) == hashlib.sha256(data).hexdigest())
print(repr(ask("nowhere.invalid", 80, b"x")), socket.gethostbyname("nowhere.invalid"))
for name, number in (("localhost", 22), ("nowhere.invalid", 81), ("1.1.1.1", 53), ("other.invalid", 80)):
    try: ask(name, number, b"x"); print("reached", name, number)
    except OSError as error: print(type(error).__name__)
print([name for name in os.environ if name.startswith("TRACE")])
"""


@pytest.mark.needs("docker")
def test_a_sandbox_reaches_what_is_allowed_and_nothing_else(echo: Echo) -> None:
    allow = (f"localhost:{echo.port}", "nowhere.invalid:80")
    with closing(Client(host())) as client:
        provider = DockerProvider(client)
        with closing(provider.open(SandboxSpec(allow=allow))) as box:
            result = box.run(["python3", "-c", PROGRAM, str(echo.port)], stdin=b"ignored")
            assert result.stderr == b""
            first, second, *others, last = result.stdout.decode().splitlines()
            assert (first, second, last) == ("True", "'' 127.0.1.2", "[]")
            assert others == ["OSError", "ConnectionRefusedError", "OSError", "gaierror"]
            assert box.run(["no-such-program"]).exit_code == 127
            assert box.run(["/etc/passwd"]).exit_code == 126
            assert box.run(["sh", "-c", "cat; exit 7"], stdin=b"in").exit_code == 7
        with closing(provider.open(SandboxSpec())) as box:
            assert not box.run(["python3", "-c", PROGRAM, str(echo.port)]).ok


@pytest.mark.needs("docker")
def test_a_daemon_elsewhere_has_no_way_out() -> None:
    with closing(Client(host())) as client, pytest.raises(BadConfig, match="this machine"):
        DockerProvider(client, method="copy").open(SandboxSpec(allow=("a.example:80",)))
