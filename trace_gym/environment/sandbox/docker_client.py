"""The Docker client: everything that is asked of a daemon. The one file that imports `docker`.

Leaves out when and why it is asked.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import Mount
from docker.utils import kwargs_from_env
from requests.exceptions import ConnectionError as Unreachable
from urllib3.exceptions import HTTPError

from trace_gym.core.errors import BadConfig, SandboxFailed, boundary
from trace_gym.environment.sandbox import containers
from trace_gym.environment.sandbox.attached import Attached
from trace_gym.environment.sandbox.channel import USER
from trace_gym.environment.sandbox.containers import LABEL, LEASE_LABEL, MASKED, NO_IPC, ContainerSpec, Ear

OLDEST = "1.24"  # of the API, for asking which one a daemon speaks
DEFAULT_HOST = "unix:///var/run/docker.sock"
ANSWER_S = 120  # for anything but a build; starting containers is slow under load
BUILD_S = 3600
END_S = 10  # for the daemon to tell how a container has ended
AGENT_MB = 32  # for the first process of a container, beside what the commands may use
KILLED = "137"


def host() -> str:
    """The address of the daemon that this process's environment names."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


@contextmanager
def _asking(what: str) -> Iterator[None]:
    with boundary(SandboxFailed, DockerException, HTTPError, OSError, what=f"Docker {what}"):
        try:
            yield
        except Unreachable as gone:
            raise SandboxFailed(f"Docker {what}: no daemon at {host()}; start it and resume") from gone


def _knock(address: str, *, timeout_s: float) -> None:
    """See that a local socket answers; the client library leaves one open where none does."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(timeout_s)
            door.connect(address.removeprefix("unix://"))


class Client:
    """A daemon over its API; see `containers.Daemon`. Holds connections until it is closed."""

    def __init__(self, address: str, *, timeout_s: int = ANSWER_S) -> None:
        """Connect. Raises SandboxFailed where no daemon answers."""
        self.address = address
        with _asking(f"daemon at {address}"):
            _knock(address, timeout_s=timeout_s)
            given: dict[str, Any] = {**kwargs_from_env(), "base_url": address, "timeout": timeout_s}
            with closing(docker.APIClient(version=OLDEST, **given)) as asking:  # closed whatever it answers
                version = asking.version(api_version=False)["ApiVersion"]
            self._api = docker.APIClient(version=version, num_pools=100, **given)
            self._api.timeout = ANSWER_S

    @property
    def local(self) -> bool:
        """Is it reached through a socket of this machine?"""
        return self.address.startswith("unix://")

    def close(self) -> None:
        """Give idle connections back; it may be used again."""
        self._api.close()

    # Images.

    def image(self, name: str) -> containers.Image | None:
        """The image of that name or hash, if it is there. Raises SandboxFailed."""
        with _asking(f"image {name}"):
            try:
                found = self._api.inspect_image(name)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return None
        config = found.get("Config") or {}
        env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
        return containers.Image(found["Id"], env, tuple(config.get("Volumes") or ()))

    def build(self, folder: Path, tag: str, *, purpose: str) -> containers.Image:
        """Build the Dockerfile of a folder. Raises BadConfig with the end of what the build said,
        SandboxFailed."""
        said: list[str] = []
        with _asking(f"build of {folder}"):
            steps = self._api.build(
                path=str(folder), tag=tag, rm=True, forcerm=True, decode=True, timeout=BUILD_S,
                labels={LABEL: purpose},
            )  # fmt: skip
            for step in steps:
                said.append(step.get("stream", "").strip())
                if "error" in step:
                    tail = " | ".join(line for line in said[-8:] if line)[-600:]
                    raise BadConfig(f"{folder} cannot be built: {step['error'].strip()} (after: {tail})")
        return self._made(tag)

    def load(self, tar: Path, tag: str, *, purpose: str) -> containers.Image:
        """Make an image of a root file system. Raises BadConfig where the file is none, SandboxFailed."""
        name, _, version = tag.rpartition(":")
        with _asking(f"import of {tar}"), boundary(BadConfig, APIError, what=f"{tar} cannot be imported"):
            answer = self._api.import_image_from_file(
                str(tar), repository=name, tag=version, changes=[f"LABEL {LABEL}={purpose}"]
            )
            last = json.loads(answer.strip().splitlines()[-1])
        if "error" in last:
            raise BadConfig(f"{tar} cannot be imported: {last['error']}")
        return self._made(tag)

    def name(self, image: str, tag: str) -> None:
        """Give an image a further name. Raises SandboxFailed."""
        repository, _, version = tag.rpartition(":")
        with _asking(f"naming of {tag}"):
            self._api.tag(image, repository, version)

    def _made(self, tag: str) -> containers.Image:
        image = self.image(tag)
        if image is None:
            raise SandboxFailed(f"Docker said that it made {tag}, but has no such image")
        return image

    # Containers.

    def start(self, spec: ContainerSpec) -> tuple[str, Ear]:
        """Start a container that vanishes when its first process ends. Raises SandboxFailed."""
        with _asking(f"start of a container from {spec.image}"):
            made = self._api.create_container(
                spec.image,
                entrypoint=list(spec.command),
                command=[],
                environment=dict(spec.env),
                user=f"{USER}:{USER}",
                hostname="sandbox",
                working_dir="/",
                stdin_open=True,
                healthcheck={"test": ["NONE"]},
                labels=dict(spec.labels),
                host_config=self._confined(spec),
            )
            identity = cast(str, made["Id"])
            with ExitStack() as undo:
                undo.callback(self.remove, "container", identity)
                wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                wire = Attached(self._api.attach_socket(identity, params=wanted))
                undo.callback(wire.close)
                self._api.start(identity)
                undo.pop_all()
        return identity, wire

    def _confined(self, spec: ContainerSpec) -> dict[str, Any]:
        memory = (spec.limits.memory_mb + AGENT_MB << 20) + (sum(spec.scratch.values()) << 10)
        config: dict[str, Any] = self._api.create_host_config(
            auto_remove=True,
            read_only=True,
            network_mode=spec.network,
            extra_hosts=dict(spec.hosts),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(spec.limits.cpus * 1e9),
            pids_limit=spec.limits.pids + 1,
            ulimits=[docker.types.Ulimit(name="core", soft=0, hard=0)],
            sysctls=NO_IPC,
            log_config=docker.types.LogConfig(type="none"),
            mounts=cast(list[Mount], list(spec.mounts())),
        )
        config["MaskedPaths"] = MASKED
        return config

    def shelve(
        self, image: str, *, labels: Mapping[str, str], volumes: Mapping[str, str] | None = None
    ) -> str:
        """Make a container that is not started. Raises SandboxFailed."""
        mounts = [Mount(inside, name, no_copy=True) for inside, name in (volumes or {}).items()]
        with _asking(f"look into image {image}"):
            config = self._api.create_host_config(mounts=mounts)
            made = self._api.create_container(image, ["-"], labels=dict(labels), host_config=config)
        return cast(str, made["Id"])

    def volume(self, name: str, *, purpose: str) -> None:
        """Make a volume of that name unless it is there. Raises SandboxFailed."""
        with _asking(f"volume {name}"):
            self._api.create_volume(name, labels={LABEL: purpose})

    def fate(self, container: str) -> containers.Fate:
        """What has become of a container that has ended or does not answer. Raises SandboxFailed."""
        with _asking("inspection of a container"):
            try:
                state = self._api.inspect_container(container)["State"]
            except NotFound:
                state = {"Running": False, "Paused": False}
            if state["Paused"]:
                return "paused"
            if state["Running"]:
                return "silent"
            return self._end(container)

    def _end(self, container: str) -> containers.Fate:
        """How a container ended, as the daemon's events tell; the last of them may still be under way."""
        actions: list[str] = []
        code = ""
        wanted = {"container": container, "type": "container"}
        told = self._api.events(since=1, until=int(time.time()) + END_S, decode=True, filters=wanted)
        for event in told:
            actions.append(event["Action"])
            if event["Action"] == "die":
                code = event["Actor"]["Attributes"].get("exitCode", "")
                told.close()
                break
        if "kill" in actions or "stop" in actions or not code:
            return "stopped"
        if code != KILLED:
            return "ended"
        return "memory" if "oom" in actions else "stopped"

    # Folders of containers.

    def pack(self, container: str, folder: str) -> Iterator[bytes]:
        """A folder as a tar file; nothing where there is none. Raises SandboxFailed."""
        with _asking(f"copy of {folder}"):
            try:
                chunks, _ = self._api.get_archive(container, folder)
            except NotFound:
                return
            yield from chunks

    def unpack(self, container: str, folder: str, tar: Iterable[bytes]) -> None:
        """Extract a tar file into a folder. Raises SandboxFailed."""
        with _asking(f"copy to {folder}"):
            self._api.put_archive(container, folder, iter(tar))

    # What is ours.

    def found(self) -> list[containers.Found]:
        """Everything that carries our label. Raises SandboxFailed."""
        mine = {"label": LABEL}
        with _asking("listing"):
            everyone = self._api.containers(all=True)
            lists: dict[containers.Kind, list[dict[str, Any]]] = {
                "container": self._api.containers(all=True, filters=mine),
                "image": self._api.images(filters=mine),
                "network": self._api.networks(filters=mine),
                "volume": self._api.volumes(filters=mine).get("Volumes") or [],
            }
        used = {container["ImageID"] for container in everyone}
        used |= {mount.get("Name", "") for container in everyone for mount in container.get("Mounts") or ()}
        return [
            containers.Found(kind, name, labels[LABEL], labels.get(LEASE_LABEL, ""), used=name in used)
            for kind, things in lists.items()
            for thing in things
            for name, labels in [(thing.get("Id") or thing["Name"], thing["Labels"] or {})]
            if LABEL in labels
        ]

    def remove(self, kind: containers.Kind, id: str) -> bool:
        """Remove one thing, running or not; False where it is in use or gone. Raises SandboxFailed."""
        with _asking(f"removal of {kind} {id}"):
            try:
                if kind == "container":
                    self._remove_container(id)
                elif kind == "image":
                    self._api.remove_image(id, force=False)
                elif kind == "network":
                    self._api.remove_network(id)
                else:
                    self._api.remove_volume(id)
            except NotFound:
                return False
            except APIError as error:
                if error.status_code == 409:
                    return False
                raise
        return True

    def _remove_container(self, id: str) -> None:
        """Remove it, or wait until it is gone where its removal has begun."""
        try:
            self._api.remove_container(id, force=True, v=True)
        except APIError as error:
            if error.status_code != 409:
                raise
            self._api.wait(id, timeout=ANSWER_S, condition="removed")
