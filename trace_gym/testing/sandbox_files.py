"""What every sandbox must do with files: reading, writing, listing, and the laws of forks.

The law of forks: what a command finds after `restore` is what it would have found had the sandbox stopped at
the snapshot. Leaves out running programs as such (`sandbox.py`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

from trace_gym.core.errors import PathRefused
from trace_gym.core.sandbox import Sandbox, SandboxLimits, SandboxProvider, SandboxSpec
from trace_gym.testing.demand import demand

Law = Callable[[SandboxProvider], None]


@contextmanager
def opened(
    provider: SandboxProvider, *, limits: SandboxLimits | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Sandbox]:
    """A sandbox for the length of a `with` statement."""
    box = provider.open(SandboxSpec(limits=limits or SandboxLimits(), env=env or {}))
    try:
        yield box
    finally:
        box.close()


def refused(action: Callable[[], object], what: str) -> None:
    """Demand that an action raises PathRefused."""
    try:
        action()
    except PathRefused:
        return
    demand(False, f"{what} is not refused")


def files_keep_their_bytes(provider: SandboxProvider) -> None:
    """What is written is read back, byte for byte, whatever its name, content and size."""
    with opened(provider) as box:
        names = ["plain.txt", "a b", "ü€😀.txt", "-rf", "deep/er/and/deeper", "new\nline", "x" * 255]
        for number, name in enumerate(names):
            content = f"{number}".encode() + bytes(range(256))
            box.write(f"/workspace/{name}", content)
            demand(box.read(f"/workspace/{name}") == content, f"{name!r} reads differently")
        demand(sorted(box.files("/workspace")) == sorted(names), "files() lists other names")
        large = os.urandom(1 << 20) * 50
        box.write("/workspace/large", io.BytesIO(large))
        demand(box.read("/workspace/large", max_bytes=len(large)) == large, "50 MiB read differently")
        demand(box.files("/workspace")["large"] == len(large), "files() tells another size")
        box.write("/workspace/large", b"")
        demand(box.read("/workspace/large") == b"", "a file is not replaced")


def modes_and_owners(provider: SandboxProvider) -> None:
    """Files have the mode asked for and belong to the user that commands run as."""
    with opened(provider) as box:
        for mode in (0o644, 0o755, 0o600, 0o400):
            box.write("/workspace/file", b"x", mode=mode)
            seen = box.run(["stat", "-c", "%a %u", "file"]).stdout.split()
            demand(seen == [f"{mode:o}".encode(), box.run(["id", "-u"]).stdout.strip()], f"it has {seen!r}")
        demand(box.run(["sh", "-c", "rm -f file && mkdir a && touch a/b /tmp/c /dev/shm/d"]).ok, "no rights")
        demand(not box.run(["touch", "/etc/x"]).ok, "/etc can be changed")
        demand(not box.run(["touch", "/x"]).ok, "/ can be changed")
        box.run(["chmod", "000", "a"])
        refused(lambda: box.write("/workspace/a/c", b""), "writing into a folder without rights")
        refused(lambda: box.read("/workspace/a/b"), "reading in a folder without rights")


def paths_stay_inside(provider: SandboxProvider) -> None:
    """No path and no link leads `read`, `write` or `files` to where the sandboxed user cannot go."""
    with opened(provider) as box:
        box.run(
            [
                "sh",
                "-c",
                "ln -s /etc e; ln -s / r; ln -s /workspace w; ln -s l l; mkfifo f; ln -s f g; mkdir d",
            ]
        )
        for path in ("/etc/x", "/x", "/workspace/e/x", "/workspace/r/etc/x", "/workspace/../etc/x", "/usr/x"):
            refused(partial(box.write, path, b"x"), f"writing {path}")
        for path in ("/workspace", "/workspace/d", "/workspace/l/x", "/workspace/d/", "/workspace/.."):
            refused(partial(box.write, path, b"x"), f"writing {path}")
        for path in (
            "/workspace/none",
            "/workspace/f",
            "/workspace/g",
            "/workspace/d",
            "/dev/zero",
            "/workspace/l",
        ):
            refused(partial(box.read, path), f"reading {path}")
        for path in ("/workspace/none", "/nowhere"):
            refused(partial(box.files, path), f"listing {path}")
        box.write("/workspace/w/inside", b"x")
        demand(box.read("/workspace/inside") == b"x", "a link to the inside does not lead there")
        box.run(["ln", "-s", "/etc/passwd", "link"])
        box.write("/workspace/link", b"mine")
        demand(box.read("/workspace/link") == b"mine", "writing to a link's name does not replace the link")
        box.write("/workspace/two", b"12")
        refused(lambda: box.read("/workspace/two", max_bytes=1), "reading more than max_bytes")
        refused(lambda: box.files("/workspace", most=1), "listing more than `most`")
        demand(set(box.files("/workspace")) == {"inside", "link", "two"}, "files() lists links or pipes")


def the_disk_is_bounded(provider: SandboxProvider) -> None:
    """A full disk is an error to the program that fills it, and gone with the next reset."""
    limits = SandboxLimits(disk_mb=16)
    with opened(provider, limits=limits) as box:
        fill = "head -c 100000000 /dev/zero > a; head -c 100000000 /dev/zero > /tmp/b; cat a /tmp/b | wc -c"
        written = int(box.run(["sh", "-c", fill]).stdout)
        demand((8 << 20) < written <= (17 << 20), f"{written} bytes fit on a disk of 16 MiB")
        refused(lambda: box.write("/workspace/c", bytes(4 << 20)), "writing to a full disk")
        full = box.snapshot()
        box.reset()
        demand(box.run(["sh", "-c", "head -c 8000000 /dev/zero > a"]).ok, "the disk stays full after reset")
        box.restore(full)
        refused(lambda: box.write("/workspace/c", bytes(4 << 20)), "writing to a disk restored full")
        full.close()


_STATE = (
    "cd /workspace; find . /tmp /dev/shm -printf '%p %y %m %s %l %n\\n' | sort; "
    "find . -type f -exec sha256sum {} + | sort; find . -name 'h*' -printf '%i\\n' | sort -u | wc -l"
)


def state(box: Sandbox) -> bytes:
    """All that commands can tell of the writable folders: names, kinds, modes, sizes, links, contents."""
    return box.run(["sh", "-c", _STATE]).stdout


_CHANGES = (
    "mkdir -p a/b; echo one > a/b/f; echo two > g; ln -s g s; ln g h1; ln g h2",
    "echo more >> a/b/f; mv a c; rm s; mkdir a; echo new > a/b",
    "rm -r c; chmod 700 g; echo x > /tmp/t; echo y > /dev/shm/m; truncate -s 5000000 sparse",
    "mv a z; mv z/b b; rm h1; echo joined >> h2; mkdir -p b2/b; touch b2/b/q; : > /tmp/t",
    "rm -rf b2; mkdir b2; ln h2 h3; echo again > h3; cp -r . /tmp/all; mkdir é; touch é/ü",
)


def restore_is_exact(provider: SandboxProvider) -> None:
    """Every snapshot of a chain comes back exactly, in any order, in its sandbox and in others."""
    with opened(provider) as box, opened(provider) as other:
        begun = state(box)
        snapshots, states = [], []
        for change in _CHANGES:
            demand(box.run(["sh", "-c", change]).ok, f"the change failed: {change}")
            states.append(state(box))
            snapshots.append(box.snapshot())
            demand(state(box) == states[-1], f"taking a snapshot changes the files after: {change}")
        for index in (0, 4, 2, 2, 1, 3):
            for where in (box, other):
                where.restore(snapshots[index])
                demand(state(where) == states[index], f"snapshot {index} does not come back as it was")
                if index + 1 < len(_CHANGES):
                    where.run(["sh", "-c", _CHANGES[index + 1]])
                    demand(state(where) == states[index + 1], f"going on from snapshot {index} differs")
        box.reset()
        demand(state(box) == begun, "reset leaves something")
        for snapshot in snapshots:
            snapshot.close()
            snapshot.close()


def children_are_apart(provider: SandboxProvider) -> None:
    """Children of one snapshot, at the same time in many sandboxes, do not see each other or their parent."""
    with opened(provider) as box:
        box.write("/workspace/f", b"parent")
        snapshot = box.snapshot()

        def child(number: int) -> bool:
            with opened(provider) as own:
                own.restore(snapshot)
                own.run(["sh", "-c", f"echo {number} >> f; echo {number} > only{number}"])
                seen = own.read("/workspace/f") == f"parent{number}\n".encode()
                return seen and set(own.files("/workspace")) == {"f", f"only{number}"}

        with ThreadPoolExecutor(6) as threads:
            demand(all(threads.map(child, range(12))), "a child sees another's files")
        demand(box.read("/workspace/f") == b"parent", "a child changes its parent's files")
        snapshot.close()


def chains_may_be_deep(provider: SandboxProvider) -> None:
    """A hundred snapshots on top of each other, each still what it was."""
    with opened(provider) as box, opened(provider) as other:
        snapshots = []
        for number in range(100):
            box.run(["sh", "-c", f"echo {number} >> log; rm -f f{number - 3}; echo {number} > f{number}"])
            snapshots.append(box.snapshot())
        for number in (0, 17, 50, 99):
            other.restore(snapshots[number])
            log = "".join(f"{each}\n" for each in range(number + 1)).encode()
            demand(other.read("/workspace/log") == log, f"snapshot {number} of 100 has another log")
            kept = {f"f{each}" for each in range(max(0, number - 2), number + 1)} | {"log"}
            demand(set(other.files("/workspace")) == kept, f"snapshot {number} of 100 has other files")
        for snapshot in snapshots[::2] + snapshots[1::2]:
            snapshot.close()


def snapshots_outlive_sandboxes(provider: SandboxProvider) -> None:
    """A snapshot is good after its sandbox is closed, until it is closed itself; then it is refused."""
    with opened(provider) as box:
        box.write("/workspace/kept", b"kept")
        snapshot = box.snapshot()
    with opened(provider) as other:
        other.restore(snapshot)
        demand(other.read("/workspace/kept") == b"kept", "the files are gone with their sandbox")
        snapshot.close()
        demand(
            other.read("/workspace/kept") == b"kept", "closing a snapshot takes files from who stands on it"
        )
        try:
            other.restore(snapshot)
        except ValueError:
            return
        demand(False, "a closed snapshot can be restored")


FILE_LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            files_keep_their_bytes,
            modes_and_owners,
            paths_stay_inside,
            the_disk_is_bounded,
            restore_is_exact,
            children_are_apart,
            chains_may_be_deep,
            snapshots_outlive_sandboxes,
        )
    }
)
