"""Every sandbox of this machine against programs that mean harm: none gets through, none harms the next."""

from __future__ import annotations

import pytest

from trace_gym.core.sandbox import SandboxProvider
from trace_gym.testing import HOSTILE, check_hostile


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_gets_nowhere(name: str, provider: SandboxProvider) -> None:
    check_hostile(provider, name)


def test_there_are_many_hostile_programs() -> None:
    assert len(HOSTILE) >= 40
