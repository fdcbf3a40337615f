"""Errors name the fix and keep the cause."""

import pytest

from trace_gym.core.errors import EnvironmentFailed, ForkDiverged, boundary, unknown


def test_the_nearest_name_is_offered():
    assert "did you mean 'wikihop'?" in str(unknown("suite", "wikihopp", ["guess", "wikihop"]))
    assert "known: guess, wikihop" in str(unknown("suite", "zzz", ["wikihop", "guess"]))


def test_boundary_chains_the_cause_and_lets_our_own_errors_through():
    broke = pytest.raises(EnvironmentFailed, match="shop: OSError: gone")
    with broke as caught, boundary(EnvironmentFailed, OSError, what="shop"):
        raise OSError("gone")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ForkDiverged), boundary(EnvironmentFailed, Exception, what="x"):
        raise ForkDiverged("turn 3")
    with pytest.raises(KeyError), boundary(EnvironmentFailed, OSError, what="x"):
        raise KeyError
