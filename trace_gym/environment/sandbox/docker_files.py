"""The writable folders of one Docker sandbox, and the container they are shown to: by layers, or by copies.

Where the daemon runs on this machine and overlays can be mounted, the folders are layers that appear in the
container (`Layered`). Elsewhere they live in the container, and a snapshot is a tar file of each (`Copied`).
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.sandbox.docker_box import BoxKind, DockerBox
from trace_gym.environment.sandbox.docker_state import DockerState
from trace_gym.environment.sandbox.layers import Layer
from trace_gym.environment.sandbox.lease import remove_tree
from trace_gym.environment.sandbox.tree import Tree

Method: TypeAlias = Literal["overlay", "copy"]
Saved: TypeAlias = "Layer | Path"


class Files(Protocol):
    """Used by one thread at a time, while nothing runs in the container. Lifecycle: a container is taken at
    construction and given back by `close`. Every method raises SandboxFailed."""

    box: DockerBox

    def freeze(self) -> Saved:
        """The folders as they are, until `forget`."""
        ...

    def settle(self) -> None:
        """A turn is over."""
        ...

    def restore(self, saved: Saved | None) -> None:
        """Make the folders what they were; None: when the sandbox was opened. The container may change."""
        ...

    def revive(self) -> None:
        """Replace the container, which has ended or does not answer, and keep the folders."""
        ...

    def close(self, *, reusable: bool) -> None:
        """Let go of folders and container; one that is not reusable is ended."""
        ...


def forget(state: DockerState, saved: Saved) -> None:
    """Give up what `freeze` gave."""
    if isinstance(saved, Path):
        with boundary(SandboxFailed, OSError, what="cannot remove a snapshot"):
            remove_tree(saved)
    elif state.layers is not None:
        state.layers.release(saved)


class Layered:
    """Folders that are layers of this machine, shown to the container through its slot."""

    def __init__(self, state: DockerState, kind: BoxKind, spec: SandboxSpec) -> None:
        """Raises SandboxFailed."""
        if state.layers is None:
            raise ValueError("this daemon's folders are copied")
        self._state = state
        self._kind = kind
        self._base = state.base_layer(kind)
        self.box = state.take(kind)
        if self.box.slot is None:
            raise ValueError("a container without a slot")
        with ExitStack() as undo:
            undo.callback(state.end, self.box)
            self._tree = Tree(state.layers, self._base, slot=self.box.slot, disk_mb=spec.limits.disk_mb)
            undo.pop_all()

    def freeze(self) -> Saved:
        """A frozen layer."""
        return self._tree.freeze()

    def settle(self) -> None:
        """Begin a new layer."""
        self._tree.settle()

    def restore(self, saved: Saved | None) -> None:
        """Stand on another layer."""
        if isinstance(saved, Path):
            raise ValueError("the snapshot is a copy")
        self._tree.restore(self._base if saved is None else saved)

    def revive(self) -> None:
        """Start the container again; the layers are not touched."""
        self.box.stop()
        self._tree.detach()
        self._state.restart(self.box)
        self._tree.attach()

    def close(self, *, reusable: bool) -> None:
        """Detach the layers."""
        self._tree.close()
        if not reusable or not self._state.give(self._kind, self.box):
            self._state.end(self.box)


class Copied:
    """Folders in the memory of a container; a fresh container has them empty, so restoring takes one."""

    def __init__(self, state: DockerState, kind: BoxKind) -> None:
        """Raises SandboxFailed."""
        self._state = state
        self._kind = kind
        self._base = state.base_tars(kind)
        self.box = state.take(kind)
        with ExitStack() as undo:
            undo.callback(state.end, self.box)
            self._unpack(self._base)
            undo.pop_all()

    def freeze(self) -> Saved:
        """A folder with a tar file of each."""
        saved = self._state.scratch_folder()
        with ExitStack() as undo, boundary(SandboxFailed, OSError, what="cannot take a snapshot"):
            undo.callback(remove_tree, saved)
            for index, name in enumerate(self._kind.folders):
                with (saved / f"{index}.tar").open("wb") as file:
                    for chunk in self._state.daemon.pack(self.box.container, f"{name}/."):
                        file.write(chunk)
            undo.pop_all()
        return saved

    def settle(self) -> None:
        """Nothing: a copy leaves what it is taken from as it was."""

    def restore(self, saved: Saved | None) -> None:
        """Fill a fresh container."""
        if isinstance(saved, Layer):
            raise ValueError("the snapshot is a layer")
        tars = self._base if saved is None else tuple(saved / f"{i}.tar" for i in range(len(self._base)))
        fresh = self._state.take(self._kind)
        self._state.end(self.box)
        self.box = fresh
        self._unpack(tars)

    def revive(self) -> None:
        """Refuse: the folders went with the container."""
        raise SandboxFailed("the container ended and its files with it; the daemon is not of this machine")

    def close(self, *, reusable: bool) -> None:
        """End the container."""
        self._state.end(self.box)

    def _unpack(self, tars: tuple[Path, ...]) -> None:
        for name, tar in zip(self._kind.folders, tars, strict=True):
            with boundary(SandboxFailed, OSError, what="cannot restore a snapshot"), tar.open("rb") as file:
                self._state.daemon.unpack(self.box.container, name, iter(lambda: file.read(1 << 20), b""))
