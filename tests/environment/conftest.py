"""The sandboxes of this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trace_gym.core.sandbox import SandboxProvider
from trace_gym.environment import sandbox


@pytest.fixture(params=sandbox.KINDS)
def provider(request: pytest.FixtureRequest, require: Callable[..., None]) -> SandboxProvider:
    """A provider of each kind."""
    require(request.param)
    return sandbox.provider(request.param)
