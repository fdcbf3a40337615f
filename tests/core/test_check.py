"""Verdicts: a missing finding is not a failure, and a failure is not forgotten."""

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from trace_gym.core.check import Status, Verdict, potential, success


def verdict(status, *, required=True, score=0.0, weight=1.0):
    return Verdict("v", status, score, "seen", weight=weight, required=required)


def test_success_table():
    passed, failed = verdict(Status.PASS), verdict(Status.FAIL)
    assert success([passed, passed]) is True
    assert success([passed, failed]) is False
    assert success([passed, verdict(Status.SKIPPED)]) is None
    assert success([verdict(Status.ERROR), failed]) is False
    assert success([]) is None
    assert success([verdict(Status.FAIL, required=False)]) is None
    assert success([passed, verdict(Status.FAIL, required=False)]) is True


def test_potential_weighs_only_what_was_found():
    found = [
        verdict(Status.PASS, score=1.0, weight=3.0),
        verdict(Status.FAIL, score=0.5),
        verdict(Status.SKIPPED, weight=9.0),
    ]
    assert potential(found) == pytest.approx(3.5 / 4)
    assert potential([verdict(Status.SKIPPED)]) == 0.0


def test_scores_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match=r"score must lie in \[0, 1\]"):
        Verdict.of("v", True, evidence="", score=1.5)
    with pytest.raises(ValueError, match="weight must not be negative"):
        Verdict.of("v", True, evidence="", weight=-1.0)


@pytest.mark.parametrize(
    ("word", "holds"), [("pass", True), ("fail", False), ("error", None), ("skipped", None)]
)
def test_a_status_may_be_given_as_its_word(word, holds):
    found = verdict(word)
    assert found.status is Status(word)
    assert success([found]) is holds
    assert success([verdict(Status.PASS), found]) is holds


@pytest.mark.parametrize("word", ["failed", "PASS", "", None, True])
def test_a_word_that_is_no_status_is_refused_and_the_known_ones_are_named(word):
    with pytest.raises(ValueError, match=r"verdict 'v': status must be one of 'pass', 'fail', .* got"):
        verdict(word)


@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.float64(0.5), np.array(0.5), Fraction(1, 2), Decimal("0.5")]
)
def test_numbers_and_flags_of_other_libraries_become_pythons_own(number):
    found = Verdict("v", Status.PASS, number, "", weight=number, required=np.bool_(False))
    assert (type(found.score), type(found.weight), type(found.required)) == (float, float, bool)
    assert json.dumps([found.score, found.weight, found.required]) == "[0.5, 0.5, false]"
    given = Verdict.of("v", np.bool_(True), evidence="", score=np.int64(1))
    assert (given.status, json.dumps(given.score)) == (Status.PASS, "1.0")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), -np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="verdict 'v': score must lie in"):
        verdict(Status.PASS, score=value)
    with pytest.raises(ValueError, match="verdict 'v': weight must"):
        verdict(Status.PASS, weight=value)


@pytest.mark.parametrize("value", [None, "much", [1.0], 1j])
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(ValueError, match="verdict 'v': score must be a number, got"):
        verdict(Status.PASS, score=value)
    with pytest.raises(ValueError, match="verdict 'v': weight must be a number, got"):
        verdict(Status.PASS, weight=value)
