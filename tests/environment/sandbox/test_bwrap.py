"""Bubblewrap sandboxes: their lifecycle, their way without overlays, and what happens when a box dies."""

from __future__ import annotations

import io
import os
import shutil
import signal
import tarfile
from pathlib import Path

import pytest

from trace_gym.core.errors import BadConfig, PathRefused, SandboxFailed
from trace_gym.core.sandbox import SandboxLimits, SandboxSpec
from trace_gym.environment.sandbox.bwrap import BwrapProvider, missing
from trace_gym.environment.sandbox.lease import state_root
from trace_gym.testing import FILE_LAWS, SANDBOX_LAWS, check_hostile

SMALL = SandboxSpec(limits=SandboxLimits(memory_mb=64, disk_mb=16))


@pytest.fixture(autouse=True)
def needed() -> None:
    reason = missing()
    if reason is not None:
        required = "bwrap" in os.environ.get("TRACE_GYM_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(reason)


def folders() -> set[str]:
    root = state_root()
    own = f"bwrap-{os.getpid()}-"
    return {entry.name for entry in root.iterdir() if entry.name.startswith(own)} if root.is_dir() else set()


@pytest.mark.parametrize(
    "law", ["limits_hold", "paths_stay_inside", "the_disk_is_bounded", "restore_is_exact"]
)
def test_copies_keep_the_laws_too(law: str) -> None:
    {**SANDBOX_LAWS, **FILE_LAWS}[law](BwrapProvider(method="copy"))


@pytest.mark.parametrize("name", ["folders without rights", "limits of the root of the sandbox", "mounts"])
def test_hostile_programs_get_nowhere_among_copies(name: str) -> None:
    check_hostile(BwrapProvider(method="copy"), name)


@pytest.mark.parametrize("method", ["overlay", "copy"])
def test_the_state_lives_as_long_as_its_users(method: str) -> None:
    provider, before = BwrapProvider(method=method), folders()
    first, second = provider.open(SMALL), provider.open(SMALL)
    (name,) = folders() - before
    first.write("/workspace/f", b"x")
    snapshot = first.snapshot()
    first.close()
    second.close()
    assert name in folders()
    third = provider.open(SMALL)
    third.restore(snapshot)
    assert third.read("/workspace/f") == b"x"
    snapshot.close()
    third.close()
    assert folders() == before


def test_a_dead_box_is_started_again_on_its_files() -> None:
    provider = BwrapProvider()
    box = provider.open(SMALL)
    box.write("/workspace/kept", b"kept")
    os.kill(box._box.process, signal.SIGKILL)
    lost = box.run(["true"])
    assert lost.exit_code == 137
    assert b"started again" in lost.stderr
    assert box.read("/workspace/kept") == b"kept"
    assert box.run(["cat", "kept"]).stdout == b"kept"
    os.kill(box._box.process, signal.SIGKILL)
    with pytest.raises(PathRefused, match="started again"):
        box.read("/workspace/kept")
    snapshot = box.snapshot()
    box.reset()
    box.restore(snapshot)
    assert box.files("/workspace") == {"kept": 4}
    snapshot.close()
    box.close()


def test_an_interrupted_exchange_does_not_spoil_the_next() -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise KeyboardInterrupt

    box = BwrapProvider().open(SMALL)
    with pytest.raises(KeyboardInterrupt):
        box.write("/workspace/f", Torn())
    assert box.run(["echo", "on"]).stdout == b"on\n"
    assert box.files("/workspace") == {}
    box.close()


def test_what_cannot_be_is_refused() -> None:
    provider = BwrapProvider()
    with pytest.raises(BadConfig, match="needs Docker"):
        provider.open(SandboxSpec(allow=("example.org:443",)))
    for image in ("/no/such/tar", str(Path(__file__).parent)):
        with pytest.raises(BadConfig):
            provider.open(SandboxSpec(image=image))
    one, other = provider.open(SMALL), BwrapProvider().open(SMALL)
    snapshot = one.snapshot()
    with pytest.raises(ValueError, match="another provider"):
        other.restore(snapshot)
    narrow = provider.open(SandboxSpec(writable=("/workspace",)))
    with pytest.raises(ValueError, match="other folders"):
        narrow.restore(snapshot)
    for each in (snapshot, one, other, narrow):
        each.close()
    with pytest.raises(SandboxFailed, match="closed"):
        one.snapshot()


def test_a_machine_without_bubblewrap_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install bubblewrap" in (missing() or "")


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **changes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    for field, value in changes.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def libraries(programs: set[str]) -> set[str]:
    """The files that the linker loads for programs."""
    box = BwrapProvider().open(SMALL)
    words = box.run(["ldd", *programs]).stdout.decode().split()
    box.close()
    return {word for word in words if word.startswith("/") and not word.endswith(":")}


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root file system with this machine's Python, and traps in it."""
    path = tmp_path_factory.mktemp("rootfs") / "root.tar"
    python = os.path.realpath("/usr/bin/python3")
    standard = next(Path("/usr/lib").glob("python3.*/os.py")).parent
    wanted = ["_ctypes", "_posixsubprocess", "resource", "_json", "_hashlib", "_opcode"]
    modules = [str(each) for name in wanted for each in (standard / "lib-dynload").glob(f"{name}.*")]
    shown = {python, "/bin/sh", "/bin/cat", *modules}
    shown |= libraries(shown)
    with tarfile.open(path, "w") as tar:
        for name in sorted(shown):
            tar.add(os.path.realpath(name), arcname=name, recursive=False)
        for module in sorted(standard.rglob("*.py")):
            if "test" not in module.parts and "dist-packages" not in module.parts:
                tar.add(module, recursive=False)
        add(tar, "usr/bin/python3", type=tarfile.SYMTYPE, linkname=Path(python).name)
        add(tar, "workspace/given", b"given", mode=0o600)
        add(tar, "etc/absolute", type=tarfile.SYMTYPE, linkname="/workspace/given")
        add(tar, "bin/su", b"root", mode=0o4755)
        add(tar, "dev/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0)
    return path


def test_a_root_file_system_is_an_image(
    rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path))
    provider = BwrapProvider()
    box = provider.open(SandboxSpec(image=str(rootfs), writable=("/workspace", "/var/data")))
    assert box.read("/workspace/given") == b"given"
    assert box.run(["cat", "/etc/absolute"]).stdout == b"given"
    assert box.run(["python3", "-c", "print(open('/workspace/given', 'a').write('!'))"]).stdout == b"1\n"
    assert not box.run(["sh", "-c", "echo x > /etc/planted"]).ok
    box.write("/var/data/f", b"x")
    box.reset()
    assert box.files("/var/data") == {}
    assert box.read("/workspace/given") == b"given"
    box.close()
    (folder,) = (tmp_path / "rootfs").iterdir()
    assert not (folder / "dev" / "disk").exists()
    assert (folder / "bin" / "su").stat().st_mode & 0o7000 == 0
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "members",
    [
        [("../climbs", {})],
        [("/absolute/../../climbs", {})],
        [("up", {"type": tarfile.SYMTYPE, "linkname": "../.."}), ("up/climbs", {})],
        [("hard", {"type": tarfile.LNKTYPE, "linkname": "../../../../../../etc/passwd"})],
    ],
)
def test_a_tar_that_climbs_is_refused(
    members: list[tuple[str, dict[str, object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as tar:
        for name, changes in members:
            add(tar, name, b"", **changes)
    with pytest.raises(BadConfig, match="cannot unpack"):
        BwrapProvider().open(SandboxSpec(image=str(path)))
    assert list((tmp_path / "cache" / "rootfs").iterdir()) == []
