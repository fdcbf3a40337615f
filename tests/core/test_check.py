"""Verdicts: a missing finding is not a failure, and a failure is not forgotten."""

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
