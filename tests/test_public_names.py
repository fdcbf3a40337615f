"""The names that `import trace_gym` promises: all there, none of them loaded before it is asked for."""

import importlib

import pytest

import trace_gym


@pytest.mark.parametrize("name", trace_gym.__all__)
def test_a_public_name_is_what_its_home_holds(name: str) -> None:
    homes = [home for home, names in trace_gym._HOMES.items() if name in names]
    assert len(homes) == 1
    assert getattr(trace_gym, name) is getattr(importlib.import_module(homes[0]), name)


def test_nothing_but_public_names_has_a_home() -> None:
    assert sorted(name for names in trace_gym._HOMES.values() for name in names) == sorted(trace_gym.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'AgenticEnvironment'"):
        trace_gym.AgenticEnvironment  # noqa: B018
