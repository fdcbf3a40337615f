"""Tests that need a part of the machine skip where it is missing, and fail where it is promised."""

import pytest

from tests.conftest import absence, demand_parts

GONE = "it is not here"


def only(present: str) -> object:
    return lambda part: None if part == present else GONE


def test_a_missing_part_skips_with_its_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match=f"needs docker: {GONE}"):
        demand_parts("bwrap", "docker", required="bwrap, chromium", absent=only("bwrap"))


def test_a_promised_part_fails_instead() -> None:
    with pytest.raises(pytest.fail.Exception, match=f"names docker, but: {GONE}"):
        demand_parts("bwrap", "docker", required="chromium , docker", absent=only("bwrap"))


def test_parts_that_are_here_let_the_test_run() -> None:
    demand_parts("docker", required="docker,bwrap", absent=only("docker"))
    demand_parts(required="docker", absent=only("nothing"))


def test_a_misspelt_part_is_an_error_of_the_test_or_of_the_variable() -> None:
    with pytest.raises(ValueError, match="no part 'dokcer'"):
        absence("dokcer")
    with pytest.raises(ValueError, match="TRACE_GYM_REQUIRE names \\['dokcer'\\]"):
        demand_parts("docker", required="dokcer", absent=only("docker"))
