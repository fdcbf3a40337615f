"""What is Docker's own: images, the daemon's failures, copies for daemons elsewhere, nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from trace_gym.core.errors import BadConfig, SandboxFailed
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.environment.sandbox.containers import Daemon
from trace_gym.environment.sandbox.docker_client import Client, host
from trace_gym.environment.sandbox.docker_images import BASE
from trace_gym.environment.sandbox.docker_provider import DockerProvider, DockerSandbox
from trace_gym.environment.sandbox.lease import state_root
from trace_gym.environment.sandbox.reaper import reap
from trace_gym.testing import FILE_LAWS, SANDBOX_LAWS

pytestmark = pytest.mark.needs("docker")
QUICK = SandboxSpec(limits=SandboxLimits(timeout_s=2))


@pytest.fixture
def daemon() -> Iterator[Client]:
    with closing(Client(host())) as client:
        yield client


@pytest.fixture
def box(daemon: Client) -> Iterator[DockerSandbox]:
    """A sandbox whose container may be silent for a second only."""
    with closing(DockerProvider(daemon, grace_s=1.0).open(QUICK)) as opened:
        yield opened


class Relay:
    """A TCP address for the daemon, which can be cut: what a daemon on another machine looks like."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def cut(self) -> None:
        """Hang up on everybody, and accept nobody any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._open:
            end.close()

    def _begin(self, action: Callable[..., None], *given: socket.socket) -> None:
        self._threads.append(threading.Thread(target=action, args=given))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(host().removeprefix("unix://"))
                self._open += [near, far]
                self._begin(self._pass_on, near, far)
                self._begin(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay() -> Iterator[Relay]:
    found = Relay()
    yield found
    found.cut()


def docker(*words: str) -> str:
    """What the command line of Docker prints."""
    ended = subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60)
    return ended.stdout.strip()


def image_of(box: DockerSandbox) -> str:
    return docker("inspect", "--format", "{{.Image}}", box.container)


def remains(daemon: Daemon) -> list[str]:
    """What is left of this process: containers, volumes and networks of its leases, folders, mounts."""
    mine = f"-{os.getpid()}-"
    things = [f"{found.kind} {found.id}" for found in daemon.found() if mine in found.lease]
    folders = [entry.name for entry in state_root().glob("docker*") if mine in entry.name]
    mounts = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"docker{mine}" in line
    ]
    return [*things, *folders, *mounts]


# Whose failure it is.


def test_a_container_stopped_from_outside_is_the_sandboxs_failure(daemon: Client, box: DockerSandbox) -> None:
    threading.Timer(0.5, daemon.remove, ["container", box.container]).start()
    with pytest.raises(SandboxFailed, match="stopped from outside"):
        box.run(["sleep", "2"])


def test_a_paused_container_is_the_sandboxs_failure(daemon: Client, box: DockerSandbox) -> None:
    docker("pause", box.container)
    with pytest.raises(SandboxFailed, match="paused from outside"):
        box.run(["true"])


def test_a_daemon_that_is_gone_is_the_sandboxs_failure(daemon: Client, relay: Relay) -> None:
    with ExitStack() as undo:
        client = undo.enter_context(closing(Client(relay.address)))
        box = DockerProvider(client, grace_s=1.0).open(QUICK)
        container = box.container
        undo.callback(daemon.remove, "container", container)
        threading.Timer(0.5, relay.cut).start()
        with pytest.raises(SandboxFailed):
            box.run(["sleep", "2"])
        with pytest.raises(SandboxFailed):
            box.run(["true"])
        with suppress(SandboxFailed):
            box.close()
    reap(daemon)


def test_a_program_that_takes_its_container_along_has_failed_itself(daemon: Client) -> None:
    """Sixty small hoarders, the container's first process the largest of all when memory runs out."""
    hoard = "(head -c 3000000 /dev/zero; sleep 15) | tail > /dev/null &"
    crowd = f"echo 0 > /proc/self/oom_score_adj; for i in $(seq 60); do {hoard} done; sleep 15"
    limits = SandboxLimits(memory_mb=64, pids=200, timeout_s=20)
    with closing(DockerProvider(daemon).open(SandboxSpec(limits=limits))) as box:
        box.write("/workspace/kept", b"still here")
        first = box.container
        result = box.run(["sh", "-c", crowd])
        assert (result.exit_code, result.out_of_memory) == (137, True)
        assert box.container != first
        assert box.read("/workspace/kept") == b"still here"
        assert box.run(["true"]).ok


# A daemon elsewhere.


def test_a_daemon_elsewhere_gets_copies(relay: Relay) -> None:
    provider = DockerProvider(Client(relay.address))
    with closing(provider.open(SandboxSpec())) as box, closing(provider.open(SandboxSpec())) as other:
        assert provider.method == "copy"
        box.run(["sh", "-c", "mkdir -m 700 a; echo x > a/f; ln -s a/f link; touch -d @1000 a/f"])
        shown = ["sh", "-c", "ls -lR --time-style=+%s . && cat link"]
        before = box.run(shown)
        assert before.ok
        with closing(box.snapshot()) as snapshot:
            box.run(["rm", "-r", "a"])
            other.restore(snapshot)
            box.restore(snapshot)
        assert other.run(shown).stdout == box.run(shown).stdout == before.stdout
        box.reset()
        assert not box.files("/workspace")


@pytest.mark.slow
@pytest.mark.parametrize("law", [*SANDBOX_LAWS, *FILE_LAWS])
def test_copies_keep_the_laws(law: str, daemon: Client) -> None:
    {**SANDBOX_LAWS, **FILE_LAWS}[law](DockerProvider(daemon, method="copy"))


# Images.


@pytest.fixture
def folder(tmp_path: Path, daemon: Client) -> Iterator[Path]:
    """A folder with a Dockerfile; the images made from it are removed."""
    (tmp_path / "greeting").write_text("hello\n")
    steps = ("RUN rm -rf /usr/bin/python3* && mkdir /data", "COPY greeting /data/sub/", "ENV TONE=kind")
    (tmp_path / "Dockerfile").write_text("\n".join([f"FROM {BASE}", *steps]))
    yield tmp_path
    reap(daemon, images=frozenset({"task"}))


def test_a_dockerfile_is_built_once_and_needs_no_python(daemon: Client, folder: Path) -> None:
    spec = SandboxSpec(image=str(folder), writable=("/data", "/tmp"))
    provider = DockerProvider(daemon)
    with closing(provider.open(spec)) as box:
        assert box.run(["python3"]).exit_code == 127
        assert box.run(["sh", "-c", "cat sub/greeting; echo $TONE"]).stdout == b"hello\nkind\n"
        assert box.run(["sh", "-c", "echo changed > sub/greeting"]).ok
        first = image_of(box)
        box.reset()
        assert box.read("/data/sub/greeting") == b"hello\n"
    with closing(provider.open(spec)) as box:
        assert image_of(box) == first
    (folder / "greeting").write_text("good day\n")
    with closing(provider.open(spec)) as box:
        assert box.read("/data/sub/greeting") == b"good day\n"
        assert image_of(box) != first


def test_images_of_tasks_go_when_nothing_uses_them(daemon: Client, folder: Path) -> None:
    spec = SandboxSpec(image=str(folder))
    purposes = frozenset({"task"})
    with closing(DockerProvider(daemon).open(spec)) as box:
        image = image_of(box)
        assert image not in {gone.name for gone in reap(daemon, images=purposes)}
    assert image in {gone.name for gone in reap(daemon, images=purposes, dry_run=True)}
    assert image in {gone.name for gone in reap(daemon, images=purposes)}
    assert daemon.image(image) is None


def test_a_root_file_system_is_an_image(daemon: Client, tmp_path: Path) -> None:
    shell = subprocess.run(
        ["ldd", "/bin/dash"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    files = {word for word in shell.split() if word.startswith("/")}
    tar = tmp_path / "root.tar"
    with tarfile.open(tar, "w") as archive:
        for file in files:
            archive.add(os.path.realpath(file), file)
        archive.add("/bin/dash", "/bin/sh")
        letter = tarfile.TarInfo("workspace/letter")
        letter.size = 4
        archive.addfile(letter, io.BytesIO(b"dear"))
    with closing(DockerProvider(daemon).open(SandboxSpec(image=str(tar)))) as box:
        assert box.read("/workspace/letter") == b"dear"
        assert box.run(["sh", "-c", "echo * > /tmp/names"]).ok
        assert box.read("/tmp/names") == b"letter\n"
    reap(daemon, images=frozenset({"task"}))


def test_what_is_no_image_is_refused_with_the_reason(daemon: Client, tmp_path: Path) -> None:
    provider = DockerProvider(daemon)
    with pytest.raises(BadConfig, match="neither"):
        provider.open(SandboxSpec(image=str(tmp_path)))
    (tmp_path / "torn.tar").write_bytes(b"no tar at all" * 1000)
    with pytest.raises(BadConfig, match="cannot be imported"):
        provider.open(SandboxSpec(image=str(tmp_path / "torn.tar")))
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo on the way; exit 3\n")
    with pytest.raises(BadConfig, match=r"returned a non-zero code: 3 \(after: .*on the way"):
        provider.open(SandboxSpec(image=str(tmp_path)))
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nVOLUME /data\n")
    with pytest.raises(BadConfig, match="declares the volume /data"):
        provider.open(SandboxSpec(image=str(tmp_path)))
    reap(daemon, images=frozenset({"task"}))
    assert not remains(daemon)


# Nothing is left.


def test_the_last_one_out_leaves_nothing(daemon: Client) -> None:
    provider = DockerProvider(daemon)
    with closing(provider.open(SandboxSpec())) as box:
        box.write("/workspace/x", b"1")
        snapshot = box.snapshot()
        assert remains(daemon)
    assert remains(daemon)
    snapshot.close()
    assert not remains(daemon)


VICTIM = """
import sys
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.sandbox import provider
boxes = [provider("docker").open(SandboxSpec()) for _ in range(2)]
boxes[0].write("/workspace/x", b"1")
snapshot = boxes[0].snapshot()
boxes[1].restore(snapshot)
print("open", flush=True)
boxes[1].run(["sleep", "60"])
"""


def test_after_a_kill_clean_leaves_nothing(daemon: Client, tmp_path: Path) -> None:
    words = {**os.environ, "TMPDIR": str(tmp_path)}  # a place that nobody else looks after
    start = [sys.executable, "-c", VICTIM]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True, env=words) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "open\n"
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
    here = str(tmp_path)
    assert here in Path("/proc/self/mountinfo").read_text()

    def cleaned(*options: str) -> list[str]:
        command = [sys.executable, "-m", "trace_gym.cli", "clean", "--json", *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=words)
        return [gone["name"] for gone in json.loads(ended.stdout)["removed"] if gone["kind"] == "folder"]

    (folder,) = cleaned("--dry-run")
    assert folder.startswith(f"docker-{victim.pid}-")
    assert cleaned() == [folder]
    assert cleaned() == []
    assert not [found for found in daemon.found() if here in found.lease]
    assert here not in Path("/proc/self/mountinfo").read_text()
    assert not list(tmp_path.glob("*/docker*"))
