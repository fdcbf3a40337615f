"""Layered folders: what the programs of a sandbox may change, forked by stacking instead of copying.

A *tree* (`tree.py`) holds all writable folders of one sandbox as sub-folders of one overlay: frozen layers
below, one growing layer on top. Freezing the top mounts a new one above it, so a snapshot costs no copy;
layers are shared and counted. The sub-folders appear in the tree's *slot*: mount points that a sandbox was
started with, and through which later mounts reach it (mount propagation). Leaves out who runs in there, and
machines where overlays cannot be mounted (`copies.py`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from logging import getLogger
from pathlib import Path
from threading import Lock
from typing import Literal

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.environment.sandbox.lease import remove_tree
from trace_gym.environment.sandbox.mounts import MS_NODEV, MS_NOSUID, MS_RDONLY, bind, mount, share, unmount
from trace_gym.environment.sandbox.volumes import Volume, Volumes

FLAGS = MS_NOSUID | MS_NODEV
_MIB = 1 << 20
_EACH = 4096  # bytes of a volume for each entry: volumes have as many inodes
_SLACK_MB = 16
_SPARES = 4
TOO_DEEP = "File name too long"  # what cp says of a path that no call takes


@dataclass(frozen=True, slots=True)
class Weight:
    """How many bytes of a disk something takes up, in so many entries."""

    bytes: int
    entries: int


NOTHING = Weight(0, 0)


class Layer:
    """A frozen layer and, through `parent`, all below it. `used`: bytes that it and those below it hold
    beyond the base, which weighs `given`. Invariant: `holders` counts the children, trees and snapshots
    that stand on it; it is on the disk as long as there is one."""

    __slots__ = ("depth", "given", "holders", "parent", "path", "used", "volume")

    def __init__(
        self, path: Path, *, parent: Layer | None, volume: Volume | None, used: int, given: Weight = NOTHING
    ) -> None:
        """Without a volume it lies in the state folder and was given, not written. `given` comes from the
        parent where there is one."""
        self.path = path
        self.parent = parent
        self.volume = volume
        self.used = used
        self.given: Weight = given if parent is None else parent.given
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.holders = 1

    def chain(self) -> list[Layer]:
        """It and the layers below, the topmost first."""
        found: list[Layer] = []
        layer: Layer | None = self
        while layer is not None:
            found.append(layer)
            layer = layer.parent
        return found


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tree's sub-folders appear on the host: `folders[i]` shows sub-folder i of what is attached."""

    path: Path
    folders: tuple[Path, ...]


class Layers:
    """The layers, slots and trees of one state folder. Safe to use from many threads.

    Lifecycle: made over an existing folder; `close` removes what it mounted.
    """

    method: Literal["overlay"] = "overlay"

    def __init__(self, folder: Path) -> None:
        """`folder`: a state folder's path. Raises SandboxFailed."""
        self._folder = folder
        self._lock = Lock()
        self._numbers = count()
        self._spares: dict[int, list[Volume]] = {}
        with boundary(SandboxFailed, OSError, what="cannot prepare layers"):
            bind(folder, folder)
            share(folder)
            for name in ("volumes", "slots", "merged", "bases"):
                (folder / name).mkdir(mode=0o755)
        self._volumes = Volumes(folder / "volumes")
        self._janitor = ThreadPoolExecutor(1, thread_name_prefix="layers")

    def slot(self, folders: int) -> Slot:
        """A new slot for trees of that many sub-folders. Raises SandboxFailed."""
        path = self._folder / "slots" / self._name()
        made = Slot(path, tuple(path / str(index) for index in range(folders)))
        with boundary(SandboxFailed, OSError, what="cannot make a slot"):
            for folder in made.folders:
                folder.mkdir(parents=True)
                bind(folder, folder)
                share(folder)
        return made

    def drop_slot(self, slot: Slot) -> None:
        """Take a slot away; nothing is attached to it any more."""
        with boundary(SandboxFailed, OSError, what="cannot remove a slot"):
            for folder in slot.folders:
                unmount(folder)
            remove_tree(slot.path)

    def base(self, fill: Callable[[Path], None]) -> Layer:
        """A layer with what `fill` puts into an empty folder: the sub-folders `0`, `1`, ... of trees on it.
        Its caller holds it and gives it back with `release`. Raises SandboxFailed."""
        path = self._folder / "bases" / self._name()
        with boundary(SandboxFailed, OSError, what="cannot make the first layer"):
            path.mkdir(mode=0o755)
            fill(path)
            given = _weighed(path)
        return Layer(path, parent=None, volume=None, used=0, given=given)

    def retain(self, layer: Layer) -> Layer:
        """Hold a layer once more."""
        with self._lock:
            layer.holders += 1
        return layer

    def release(self, layer: Layer) -> None:
        """Let go of a layer; what nobody holds is removed, and so on down the chain."""
        gone: list[Layer] = []
        emptied: list[Volume] = []
        with self._lock:
            at: Layer | None = layer
            while at is not None:
                at.holders -= 1
                if at.holders > 0:
                    break
                gone.append(at)
                if at.volume is not None:
                    at.volume.layers -= 1
                    if at.volume.layers == 0 and not at.volume.taken:
                        emptied.append(at.volume)
                at = at.parent
        for dead in gone:
            if dead.volume not in emptied:
                self.later(remove_tree, dead.path)
        for volume in emptied:
            self.later(self._recycle, volume)

    def take_volume(self, disk_mb: int) -> Volume:
        """An empty volume for a tree to grow on. Raises OSError."""
        with self._lock:
            spares = self._spares.setdefault(disk_mb, [])
            volume = spares.pop() if spares else None
        if volume is None:
            volume = self._volumes.make(disk_mb)
        volume.taken = True
        return volume

    def leave_volume(self, volume: Volume) -> None:
        """Give up growing on a volume; it lasts as long as the layers on it."""
        with self._lock:
            volume.taken = False
            empty = volume.layers == 0
        if empty:
            self.later(self._recycle, volume)

    def later(self, action: Callable[..., object], *arguments: object) -> None:
        """Do something in the background, in order; what fails there is said and left to the end."""

        def attempt() -> None:
            try:
                action(*arguments)
            except OSError as error:
                getLogger(__name__).warning("a layer of a sandbox could not be removed: %s", error)

        self._janitor.submit(attempt)

    def flatten(self, layer: Layer) -> Layer:
        """One layer with all that a chain shows, and no more; its caller holds it. Raises OSError."""
        volumes = {each.volume for each in layer.chain() if each.volume is not None}
        entries = layer.given.entries + sum(volume.entries() for volume in volumes)
        most = max(layer.given.bytes + layer.used, entries * _EACH) // _MIB + _SLACK_MB
        volume = self.take_volume(1 << (most - 1).bit_length())  # of few sizes, so that they serve again
        try:
            volume.allow(volume.disk_mb * _MIB)
            before = volume.used()
            path = volume.folder()
            merged = self.merged()
            mount("none", merged, kind="overlay", flags=FLAGS | MS_RDONLY, data=lower(layer.chain()))
            try:
                _copy(merged, path)
            finally:
                unmount(merged)
                merged.rmdir()
            volume.layers = 1
            used = min(max(volume.used() - before - layer.given.bytes, 0), layer.used)
            return Layer(path, parent=None, volume=volume, used=used, given=layer.given)
        finally:
            self.leave_volume(volume)

    def merged(self) -> Path:
        """A new folder for an overlay to be mounted on."""
        path = self._folder / "merged" / self._name()
        path.mkdir()
        return path

    def close(self) -> None:
        """Finish what is done in the background; mounts and files go with the state folder."""
        self._janitor.shutdown(wait=True)

    def _recycle(self, volume: Volume) -> None:
        """Empty a volume that nobody uses, for the next; where there are enough of its size, remove it."""
        with self._lock:
            keep = len(self._spares.get(volume.disk_mb, [])) < _SPARES
        if not keep:
            volume.close()
            return
        volume.wipe()
        with self._lock:
            self._spares.setdefault(volume.disk_mb, []).append(volume)

    def _name(self) -> str:
        with self._lock:
            return str(next(self._numbers))


def lower(chain: Sequence[Layer]) -> str:
    """The overlay's option for a chain of frozen layers."""
    return "lowerdir=" + ":".join(str(layer.path) for layer in chain)


def _copy(source: Path, target: Path) -> None:
    """Copy all in a folder; what lies deeper than any path is long is left behind. Raises OSError."""
    words = ["cp", "-a", f"{source}/.", str(target)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=600, env={**os.environ, "LC_ALL": "C"}, check=False
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"cannot copy a chain of layers into one: {error}") from error
    others = [line for line in done.stderr.splitlines() if TOO_DEEP not in line]
    if done.returncode != 0 and (others or not done.stderr):
        raise OSError(f"cannot copy a chain of layers into one: {' '.join(others)[-500:]}")


def _weighed(folder: Path) -> Weight:
    """What a folder weighs. Raises OSError."""
    found = []
    for unit in ("-B1", "--inodes"):
        try:
            words = ["du", "-s", unit, str(folder)]
            done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=600)
        except subprocess.SubprocessError as error:
            raise OSError(f"cannot weigh a layer: {error}") from error
        found.append(int(done.stdout.split()[0]))
    return Weight(*found)
