"""What the Docker sandboxes of a process share while there are any: the state folder, layers, the first
content of folders, the pool of warm containers.

Leaves out the sandboxes themselves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

from trace_gym.core.errors import BadConfig, SandboxFailed, boundary
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.sandbox.channel import SHARED_MEMORY
from trace_gym.environment.sandbox.containers import LABEL, LEASE_LABEL, ContainerSpec, Daemon, Image
from trace_gym.environment.sandbox.docker_box import (
    BoxKind,
    DockerBox,
    agent_command,
    agent_environment,
    bound,
)
from trace_gym.environment.sandbox.docker_images import Images
from trace_gym.environment.sandbox.docker_runtime import Runtime
from trace_gym.environment.sandbox.folders import fill, owned
from trace_gym.environment.sandbox.layers import Layer, Layers
from trace_gym.environment.sandbox.lease import StateFolder
from trace_gym.environment.sandbox.pool import Pool
from trace_gym.environment.sandbox.reaper import lease_label, reap
from trace_gym.environment.sandbox.way_out import LOCAL, SHOWN_AT, WayOut, hosts

_SPARES = 2
Content = TypeVar("Content")


class DockerState:
    """Lifecycle: everything on disk and in the daemon appears at construction, after what dead processes left
    has been removed, and is gone after `close`; images stay. Safe to use from many threads."""

    def __init__(self, daemon: Daemon, images: Images, *, overlay: bool, grace_s: float) -> None:
        """`overlay`: whether folders are to be layers of this machine; `grace_s`: as for `Channel`. Raises
        SandboxFailed."""
        reap(daemon)
        base = images.find("")
        self.daemon = daemon
        self._images = images
        self._grace_s = grace_s
        self._lock = Lock()
        self._bases: dict[BoxKind, Layer] = {}
        self._tars: dict[BoxKind, tuple[Path, ...]] = {}
        with ExitStack() as undo:
            self._folder = StateFolder("docker")
            undo.callback(self._folder.close)
            self.layers = Layers(self._folder.path) if overlay else None
            undo.pop_all()
        self._labels = {LABEL: "sandbox", LEASE_LABEL: lease_label(self._folder.path)}
        self._runtime = Runtime(daemon, base, labels=self._labels)
        self._pool: Pool[DockerBox] = Pool(spares=_SPARES)

    def image(self, spec: SandboxSpec) -> Image:
        """The image of a spec. Raises BadConfig, SandboxFailed."""
        image = self._images.find(spec.image)
        stray = [
            folder
            for folder in image.volumes
            if not any(folder == top or folder.startswith(f"{top}/") for top in spec.writable)
        ]
        if stray:
            raise BadConfig(
                f"the image declares the volume {stray[0]}, which no snapshot holds: add it to `writable`"
            )
        return image

    def kind(self, spec: SandboxSpec, image: Image) -> BoxKind:
        """Which containers a spec can use. Raises BadConfig."""
        limits = spec.limits
        if spec.allow and self.layers is None:
            raise BadConfig("`allow` needs a Docker daemon that sees this machine's files; this one does not")
        return BoxKind(
            image=image.id,
            folders=(*spec.writable, SHARED_MEMORY),
            memory_mb=limits.memory_mb,
            cpus=limits.cpus,
            pids=limits.pids + (1 if spec.allow else 0),
            disk_mb=limits.disk_mb,
            allow=hosts(spec.allow),
            scratch_mb=0 if self.layers is not None else limits.disk_mb,
        )

    def base_layer(self, kind: BoxKind) -> Layer:
        """The layer that folders of a kind begin with, held until the end. Raises SandboxFailed."""
        layers = self.layers
        if layers is None:
            raise ValueError("these folders are no layers")
        return self._once(
            self._bases,
            kind,
            lambda: layers.base(lambda folder: self._fill(kind, folder)),
        )

    def base_tars(self, kind: BoxKind) -> tuple[Path, ...]:
        """One tar file for each folder of a kind, with what it begins with. Raises SandboxFailed."""
        return self._once(self._tars, kind, lambda: self._pack_image(kind))

    def take(self, kind: BoxKind) -> DockerBox:
        """A container of a kind. Raises SandboxFailed."""
        return self._pool.take(kind, lambda: self._make(kind))

    def give(self, kind: BoxKind, box: DockerBox) -> bool:
        """Take a container back, nothing attached to it, if it can be used again."""
        return self._pool.give(kind, box)

    def restart(self, box: DockerBox) -> None:
        """Start a container in place of one that has ended. Raises SandboxFailed."""
        self._pool.restart(box)

    def end(self, box: DockerBox) -> None:
        """End a container and remove what it had."""
        box.stop()
        if box.way_out is not None:
            box.way_out.close()
        if box.slot is not None and self.layers is not None:
            self.layers.drop_slot(box.slot)

    def python(self, kind: BoxKind) -> tuple[str, ...]:
        """The words that start the agent's Python in a container of a kind. Raises SandboxFailed."""
        return self._runtime.python(kind.image).words

    def scratch_folder(self) -> Path:
        """A new folder that goes with the state."""
        return Path(tempfile.mkdtemp(dir=self._folder.path, prefix="files-"))

    def close(self) -> None:
        """End the spare containers and remove everything but images."""
        self._pool.close(self.end)
        if self.layers is not None:
            self.layers.close()
        self._folder.close()

    def _make(self, kind: BoxKind) -> DockerBox:
        python = self._runtime.python(kind.image)
        with ExitStack() as undo:
            slot, way_out = None, None
            binds: dict[str, Path] = {}
            if self.layers is not None:
                slot = self.layers.slot(len(kind.folders))
                undo.callback(self.layers.drop_slot, slot)
                binds |= bound(slot, kind.folders)
            if kind.allow:
                way_out = WayOut(self.scratch_folder() / "hosts", kind.allow)
                undo.callback(way_out.close)
                binds[SHOWN_AT] = way_out.folder
            spec = ContainerSpec(
                image=kind.image,
                command=agent_command(python.words),
                env=agent_environment(),
                limits=kind.limits,
                labels=self._labels,
                shared=python.volumes,
                binds=binds,
                scratch=kind.shares() if slot is None else {},
                hosts={host.name: host.address for host in kind.allow if host.address != LOCAL},
            )
            box = DockerBox(self.daemon, spec, slot=slot, way_out=way_out, grace_s=self._grace_s)
            undo.pop_all()
        return box

    def _once(self, known: dict[BoxKind, Content], kind: BoxKind, make: Callable[[], Content]) -> Content:
        with self._lock:
            if kind not in known:
                known[kind] = make()
            return known[kind]

    def _fill(self, kind: BoxKind, folder: Path) -> None:
        """Put what an image has in the folders of a kind into `0`, `1`, ... below `folder`."""
        with self._packed(kind) as contents:
            for index, content in enumerate(contents):
                fill(folder / str(index), content, open_to_all=index > 0)

    def _pack_image(self, kind: BoxKind) -> tuple[Path, ...]:
        """The same as tar files."""
        into = self.scratch_folder()
        found = []
        with self._packed(kind) as contents, boundary(SandboxFailed, OSError, what="cannot keep folders"):
            for index, content in enumerate(contents):
                found.append(into / f"{index}.tar")
                owned(content, found[-1])
        return tuple(found)

    @contextmanager
    def _packed(self, kind: BoxKind) -> Iterator[Iterator[Iterable[bytes]]]:
        """What an image has in each of the folders; shared memory is empty."""
        shelf = self.daemon.shelve(kind.image, labels=self._labels)
        try:
            yield (
                () if name == SHARED_MEMORY else self.daemon.pack(shelf, f"{name}/.") for name in kind.folders
            )
        finally:
            self.daemon.remove("container", shelf)
