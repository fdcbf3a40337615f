"""What the tests of vLLM share: whichever server a module's `policy` has, it can be reached by URL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rollout.bridge import Bridge
from trace_gym.rollout.policy_vllm import VllmPolicy


@pytest.fixture
def bridge(policy: VllmPolicy) -> Iterator[Bridge]:
    """The server at a URL."""
    assert policy.server is not None
    with Bridge(policy.server.socket) as bridge:
        yield bridge
