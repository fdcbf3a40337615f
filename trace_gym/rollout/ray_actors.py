"""Objects that live on the nodes of a Ray cluster: the one place that knows Ray.

An object is placed on a node and called from here; what it raises is raised here, and that its node is gone
is `Lost`. Leaves out what the objects do.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from trace_gym.core.errors import BadConfig, MissingExtra, boundary

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
try:
    import ray
    from ray import exceptions
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as missing:
    raise MissingExtra("a cluster needs Ray: pip install 'trace-gym[cluster]'") from missing

_CONCURRENT = 1000
_STOP_S = 20.0


class Lost(Exception):
    """The object is gone with its process or node, or does not answer."""


class Actor:
    """An object on a node. Every call may raise Lost."""

    def __init__(self, handle: Any, node: str) -> None:
        self._handle = handle
        self.node = node

    async def call(self, method: str, *given: Any, timeout_s: float) -> Any:
        """What the object's coroutine `method` returns. Raises what it raises, and Lost."""
        reference = getattr(self._handle, method).remote(*given)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(reference.future()), timeout_s)
        except exceptions.RayTaskError as error:
            raise error.cause from None
        except TimeoutError as error:
            raise Lost(f"node {self.node[:8]} has not answered in {timeout_s:g} s") from error
        except exceptions.RayError as error:
            raise Lost(f"node {self.node[:8]}: {str(error).splitlines()[0]}") from error

    def ask(self, method: str, *given: Any, timeout_s: float) -> Any:
        """As `call`, from where no event loop runs."""
        try:
            return ray.get(getattr(self._handle, method).remote(*given), timeout=timeout_s)
        except exceptions.RayTaskError as error:
            raise error.cause from None
        except exceptions.RayError as error:
            raise Lost(f"node {self.node[:8]}: {str(error).splitlines()[0]}") from error

    def post(self, method: str, *given: Any) -> None:
        """Call it without waiting for what comes of it."""
        with suppress(exceptions.RayError):
            getattr(self._handle, method).remote(*given)

    def stop(self) -> None:
        """Have the object `close`, and end its process. Idempotent."""
        with suppress(exceptions.RayError):
            ray.get(self._handle.close.remote(), timeout=_STOP_S)
        with suppress(exceptions.RayError):
            ray.kill(self._handle)


class Cluster:
    """A connection to a cluster: `address` as in `ray.init` ("auto": the one of this machine; "local": one
    that is started here and ends with the connection). A context. Raises BadConfig: it cannot be reached."""

    def __init__(self, address: str) -> None:
        with boundary(BadConfig, ConnectionError, ValueError, RuntimeError, what=f"Ray cluster {address!r}"):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)

    def nodes(self, *, gpus: float = 0.0) -> Sequence[str]:
        """The nodes that live, and have so many GPUs, by their ids."""
        known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        living = [node for node in known if node["Alive"]]
        return sorted(node["NodeID"] for node in living if node["Resources"].get("GPU", 0.0) >= gpus)

    def place(self, kind: type[Any], *given: Any, node: str, gpus: float = 0.0) -> Actor:
        """Make an object of a class on a node; its methods are coroutines and may run side by side."""
        made = ray.remote(kind).options(
            num_cpus=0,
            num_gpus=gpus,
            max_concurrency=_CONCURRENT,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        return Actor(made.remote(*given), node)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        ray.shutdown()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
