"""Errors name the fix and keep the cause."""

import pytest

from trace_gym.core.errors import EnvironmentFailed, ForkDiverged, boundary, unknown


def test_the_nearest_name_is_offered():
    assert "did you mean 'wikihop'?" in str(unknown("suite", "wikihopp", ["guess", "wikihop"]))
    assert "known: guess, wikihop." in str(unknown("suite", "zzz", ["wikihop", "guess"]))


def test_of_very_many_names_some_are_listed_and_the_others_counted():
    told = str(unknown("task", "zzz", [f"{number:06}" for number in range(40_000)]))
    assert told.startswith("unknown task 'zzz'; known: 000000, 000001, ")
    assert told.endswith(", 000099 and 39,900 more.")


def test_boundary_chains_the_cause_and_lets_our_own_errors_through():
    broke = pytest.raises(EnvironmentFailed, match="shop: OSError: gone")
    with broke as caught, boundary(EnvironmentFailed, OSError, what="shop"):
        raise OSError("gone")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ForkDiverged), boundary(EnvironmentFailed, Exception, what="x"):
        raise ForkDiverged("turn 3")
    with pytest.raises(KeyError), boundary(EnvironmentFailed, OSError, what="x"):
        raise KeyError
