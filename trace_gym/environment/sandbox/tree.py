"""The writable folders of one sandbox: frozen layers below, a growing one on top, shown in a slot.

Leaves out the bookkeeping of layers and volumes (`layers.py`).
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.environment.sandbox.layers import FLAGS, Layer, Layers, Slot, lower
from trace_gym.environment.sandbox.lease import remove_tree
from trace_gym.environment.sandbox.mounts import bind, mount, unmount
from trace_gym.environment.sandbox.volumes import empty

# Links keep joined when a file is copied up (index), renamed folders are not copied (redirect_dir), inode
# numbers last (xino), and nothing waits for the disk (volatile): the upper layer never outlives its process.
_OPTIONS = "index=on,redirect_dir=on,xino=on,volatile"
_DEEPEST = 24  # frozen layers; a longer chain is copied into one (the kernel's option string is one page)
_STALE = 4  # so is one that may hold more than this part of the disk in files since replaced or deleted
_SMALL = 200  # entries of a layer that are deleted at once rather than in the background
_MIB = 1 << 20
_PATIENCE_S = 10.0


class Tree:
    """The writable folders of one sandbox. Used by one thread at a time, and only while nothing runs in the
    sandbox. Lifecycle: attached at construction, detached by `close`."""

    def __init__(self, layers: Layers, base: Layer, *, slot: Slot, disk_mb: int) -> None:
        """Stands on `base`, which it holds by itself, and appears in `slot`; `disk_mb` bounds what is
        written above the base. Raises SandboxFailed."""
        self._layers = layers
        self._slot = slot
        self._disk_mb = disk_mb
        self._merged = layers.merged()
        self._attached = False
        self._closed = False
        self._top = layers.retain(base)
        with boundary(SandboxFailed, OSError, what="cannot mount the writable folders"):
            self._volume = layers.take_volume(disk_mb)
            self._grow()
            self.attach()

    def freeze(self) -> Layer:
        """All that the folders hold now, as a layer that its caller holds; the tree goes on above it."""
        with boundary(SandboxFailed, OSError, what="cannot take a snapshot"):
            if not any(self._upper.iterdir()):
                return self._layers.retain(self._top)
            self._join_links()
            self.detach()
            for entry in self._index():  # counts as a link; the rest of the folder goes with the volume
                remove_tree(entry)
            grown = max(self._volume.used() - self._used_before, 0)
            used = self._top.used + grown
            frozen = Layer(self._upper, parent=self._top, volume=self._volume, used=used)
            self._volume.layers += 1
            written = used - frozen.chain()[-1].used
            if frozen.depth > _DEEPEST or written > self._disk_mb * _MIB // _STALE:
                flat = self._layers.flatten(frozen)
                self._layers.leave_volume(self._volume)
                self._layers.release(frozen)
                self._volume = self._layers.take_volume(self._disk_mb)
                frozen = flat
            self._top = frozen
            self._grow()
            self.attach()
            return self._layers.retain(frozen)

    def settle(self) -> None:
        """Freeze whether or not anybody wants a layer, so that when layers begin depends on turns alone."""
        self._layers.release(self.freeze())

    def restore(self, layer: Layer) -> None:
        """Make the folders what they were when `layer` was frozen, or given."""
        with boundary(SandboxFailed, OSError, what="cannot restore a snapshot"):
            self._layers.retain(layer)
            self.detach()
            before, self._top = self._top, layer
            self._discard(before)
            self._grow()
            self.attach()

    def close(self) -> None:
        """Detach from the slot and let go of the layers. May be called again."""
        if self._closed:
            return
        self._closed = True
        with boundary(SandboxFailed, OSError, what="cannot unmount the writable folders"):
            self.detach()
            self._merged.rmdir()
            self._layers.leave_volume(self._volume)
            self._layers.release(self._top)

    def _join_links(self) -> None:
        """Copy up every name of a file of which the growing layer holds only some names: what ties the others
        to it (the index) does not outlive the mount."""
        if all(entry.name.startswith("#") for entry in self._index()):
            return  # the names with # are white-outs in stock
        joined = ["find", str(self._merged), "-type", "f", "-links", "+1"]
        same_mode = ["-execdir", "chmod", "--reference={}", "{}", ";"]
        try:
            subprocess.run([*joined, *same_mode], check=True, capture_output=True, text=True, timeout=600)
        except subprocess.SubprocessError as error:
            raise OSError(f"cannot copy linked files up: {error}") from error

    def _index(self) -> list[Path]:
        """What the kernel notes of linked files, of the growing layer."""
        index = self._work / "index"
        return list(index.iterdir()) if index.is_dir() else []

    def _discard(self, before: Layer) -> None:
        """Forget the growing layer, and the volume with it where frozen layers that no longer lie below, or
        too many files, take room on it that the limit does not count."""
        here = sum(each.volume is self._volume for each in self._top.chain())
        if self._volume.layers == here and _is_small(self._upper):
            self._layers.release(before)
            empty(self._upper)
            remove_tree(self._upper)
            remove_tree(self._work)
            return
        self._layers.leave_volume(self._volume)
        self._layers.release(before)
        self._volume = self._layers.take_volume(self._disk_mb)

    def _grow(self) -> None:
        """Begin a new layer."""
        if self._volume.out_of_names:
            self._layers.leave_volume(self._volume)
            self._volume = self._layers.take_volume(self._disk_mb)
        self._volume.allow(self._disk_mb * _MIB - self._top.used)
        self._used_before = self._volume.used()
        self._upper, self._work = self._volume.folder(), self._volume.folder()

    def attach(self) -> None:
        """Show the folders in the slot (again)."""
        remove_tree(
            self._work / "work" / "incompat"
        )  # it forbids a second mount, in case the first lost data
        data = f"{lower(self._top.chain())},upperdir={self._upper},workdir={self._work},{_OPTIONS}"
        with ExitStack() as undo:
            self._mount(data)
            undo.callback(unmount, self._merged)
            for index, folder in enumerate(self._slot.folders):
                bind(self._merged / str(index), folder)
                undo.callback(unmount, folder)
            undo.pop_all()
        self._attached = True

    def _mount(self, data: str) -> None:
        """Mount the overlay. The layer frozen last counts as in use for a moment longer where a name space
        that is just being set up had a copy of its mount."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            remove_tree(
                self._work / "work" / "incompat"
            )  # it forbids a second mount, for the first may lose data
            try:
                mount("none", self._merged, kind="overlay", flags=FLAGS, data=data)
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.001)
            else:
                return

    def detach(self) -> None:
        """Show them no more, until `attach`: while the sandbox starts again."""
        if not self._attached:
            return
        for folder in self._slot.folders:
            unmount(folder)
        unmount(self._merged)
        self._attached = False


def _is_small(folder: Path) -> bool:
    """Is a folder quick to delete?"""
    seen = 0
    for _, folders, files in os.walk(folder):
        seen += len(folders) + len(files)
        if seen > _SMALL:
            return False
    return True
