"""What the bubblewrap sandboxes of a process share while there are any: the state folder, layers, roots, the
pool of warm boxes.

Leaves out the sandboxes themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from logging import getLogger
from threading import Lock
from typing import Literal, Protocol, TypeAlias

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.sandbox.bwrap_box import Box, bwrap_command
from trace_gym.environment.sandbox.cgroups import make_group
from trace_gym.environment.sandbox.channel import SHARED_MEMORY, USER, install_agent
from trace_gym.environment.sandbox.copies import Copies, CopyTree
from trace_gym.environment.sandbox.layers import Layer, Layers
from trace_gym.environment.sandbox.lease import StateFolder, reap
from trace_gym.environment.sandbox.pool import Pool
from trace_gym.environment.sandbox.rootfs import Root, copy_content, host_root, image_root
from trace_gym.environment.sandbox.seccomp import filter_program
from trace_gym.environment.sandbox.tree import Tree

Method: TypeAlias = Literal["overlay", "copy"]
_SPARES = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """What decides which box and which first content a spec needs. `scratch_mb` is the size of all folders
    together where they live in memory, else 0; `disk_mb` bounds a file, for as long as the box lasts."""

    image: str
    writable: tuple[str, ...]
    disk_mb: int
    scratch_mb: int


class Folders(Protocol):
    """The writable folders of one sandbox: a `Tree` or a `CopyTree`."""

    def freeze(self) -> Layer:
        """What they hold now, held by the caller."""
        ...

    def settle(self) -> None:
        """A turn is over."""
        ...

    def restore(self, layer: Layer) -> None:
        """Make them what they were then."""
        ...

    def detach(self) -> None:
        """The box is about to end."""
        ...

    def attach(self) -> None:
        """The box has started again."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class BwrapState:
    """Lifecycle: everything on disk appears at construction, after what dead processes left has been removed,
    and is gone after `close`. Safe to use from many threads."""

    def __init__(self, method: Method | None = None) -> None:
        """`method`: how folders are forked; None: by overlay where this process may mount. Raises
        SandboxFailed."""
        reap()
        self._folder = StateFolder("bwrap")
        self.layers = self._layers(method)
        self._pool: Pool[Box] = Pool(spares=_SPARES)
        self._lock = Lock()
        self._roots: dict[Kind, Root] = {}
        self._bases: dict[Kind, Layer] = {}
        self._boxes = 0
        self._uid = USER if isinstance(self.layers, Layers) else None
        with boundary(SandboxFailed, OSError, what="cannot prepare bubblewrap sandboxes"):
            self._agent = self._folder.path / "agent"
            install_agent(self._agent)
            self._filter = self._folder.path / "seccomp"
            self._filter.write_bytes(filter_program() or b"")

    @property
    def method(self) -> Method:
        """How folders are forked."""
        return self.layers.method

    def kind(self, spec: SandboxSpec) -> Kind:
        """What decides which box and which base a spec needs."""
        scratch_mb = 0 if isinstance(self.layers, Layers) else spec.limits.disk_mb
        return Kind(spec.image, (*spec.writable, SHARED_MEMORY), spec.limits.disk_mb, scratch_mb)

    def base(self, spec: SandboxSpec) -> Layer:
        """The layer that sandboxes of a spec begin with; held until the state is closed.

        Raises BadConfig, SandboxFailed.
        """
        kind = self.kind(spec)
        with self._lock:
            if kind not in self._roots:
                with boundary(SandboxFailed, OSError, what="cannot prepare the root of a sandbox"):
                    own = self._folder.path / f"root-{len(self._roots)}"
                    self._roots[kind] = (
                        image_root(kind.image, kind.writable) if kind.image else host_root(own)
                    )
            root = self._roots[kind]
            if kind not in self._bases:
                self._bases[kind] = self.layers.base(
                    lambda folder: copy_content(root, kind.writable, folder, owner=self._uid)
                )
            return self._bases[kind]

    def folders(self, spec: SandboxSpec, base: Layer, box: Box) -> Folders:
        """The writable folders of a new sandbox, shown in its box. Raises SandboxFailed."""
        if isinstance(self.layers, Layers):
            return Tree(self.layers, base, slot=box.slot, disk_mb=spec.limits.disk_mb)
        return CopyTree(self.layers, base, process=lambda: box.process, folders=self.kind(spec).writable)

    def take(self, kind: Kind) -> Box:
        """A box for a kind whose base has been made. Raises SandboxFailed."""
        return self._pool.take(kind, lambda: self._make(kind))

    def give(self, kind: Kind, box: Box) -> bool:
        """Take a box back, nothing attached to it, if it can be used again."""
        return self._pool.give(kind, box)

    def restart(self, box: Box) -> None:
        """Start a stopped box again; nothing is attached to it. Raises SandboxFailed."""
        self._pool.restart(box)

    def end(self, box: Box) -> None:
        """End a box and remove what it had."""
        box.stop()
        with boundary(SandboxFailed, OSError, what="cannot remove a control group"):
            if box.group is not None:
                box.group.close()
        self.layers.drop_slot(box.slot)

    def close(self) -> None:
        """End the spare boxes and remove everything."""
        self._pool.close(self.end)
        self.layers.close()
        self._folder.close()

    def _root(self, kind: Kind) -> Root:
        if kind.image:
            return image_root(kind.image, kind.writable)
        return host_root(self._folder.path / f"root-{len(self._roots)}")

    def _make(self, kind: Kind) -> Box:
        with self._lock:
            self._boxes += 1
            name = str(self._boxes)
        slot = self.layers.slot(len(kind.writable))
        command = bwrap_command(
            self._roots[kind],
            slot,
            kind.writable,
            agent=self._agent,
            uid=self._uid,
            scratch_mb=kind.scratch_mb,
        )
        group = make_group(self._folder.name, name)
        return Box(command, slot=slot, group=group, uid=self._uid, seccomp=self._filter)

    def _layers(self, method: Method | None) -> Layers | Copies:
        """Layers where they can be had, else copies, and a warning that says so."""
        if method == "copy":
            return Copies(self._folder.path)
        try:
            return Layers(self._folder.path)
        except SandboxFailed as error:
            if method == "overlay":
                self._folder.close()
                raise
            getLogger(__name__).warning("%s: bubblewrap sandboxes copy their files to fork them", error)
            return Copies(self._folder.path)
