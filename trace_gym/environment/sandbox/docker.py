"""The Docker sandbox of this machine: whether there is one, and its provider.

Leaves out the client (`docker_client.py`, the one file that knows the library) and what sandboxes are made of
(`docker_provider.py`). DOCKER_HOST and its companions say which daemon.
"""

from __future__ import annotations

from importlib.util import find_spec

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import SandboxProvider
from trace_gym.environment.sandbox.containers import Daemon

PROBE_S = 10


def missing() -> str | None:
    """Why no Docker daemon can be used here, in one sentence that says how to get one; None: one answers."""
    if find_spec("docker") is None:
        return "Docker needs its Python package: pip install 'trace-gym[docker]'."
    from trace_gym.environment.sandbox.docker_client import Client, host

    try:
        Client(host(), timeout_s=PROBE_S).close()
    except SandboxFailed as error:
        return (
            f"No Docker daemon answers at {host()} ({_first_cause(error)}): start one (on Debian: apt-get "
            "install docker.io), or name one with DOCKER_HOST."
        )
    return None


def _first_cause(error: BaseException) -> str:
    """What the system said, beneath all that was made of it."""
    reason, below = str(error), error.__cause__ or error.__context__
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            reason = below.strerror
        below = below.__cause__ or below.__context__
    return reason


def make() -> SandboxProvider:
    """The provider on the daemon that DOCKER_HOST names. Raises SandboxFailed where none answers."""
    from trace_gym.environment.sandbox.docker_provider import DockerProvider

    return DockerProvider(connect())


def connect() -> Daemon:
    """The daemon that DOCKER_HOST names. Raises SandboxFailed where none answers."""
    from trace_gym.environment.sandbox.docker_client import Client, host

    return Client(host())
