"""Watchdogs by hand: what each lets pass, what it barks at, and what it says."""

from __future__ import annotations

import math

import pytest

from trace_gym.train.watchdog import WATCHES, WatchConfig, Watchdogs

CASES = [
    # watch, a metric, what passes, what does not, a word of the text
    ("parity", "watch/parity_gap", 1e-3, 1.1e-3, "not compute with the weights"),
    ("parity", "watch/parity_version_gap", 0.0, 1.0, "weights did not arrive"),
    ("drift", "train/logprob_gap", 1e-3, 2e-3, "not the tokens"),
    ("stale", "train/stale_share", 0.0, 0.25, "25.0% of the trained tokens"),
    ("nonfinite", "train/nonfinite_steps", 0.0, 1.0, "lower train.lr"),
    ("nonfinite", "train/loss", -3.0, math.nan, "train/loss is not a finite number"),
    ("kl", "train/update_kl", 1.0, 1.5, "moved the policy by 1.5 nats"),
    ("truncated", "truncated", 0.9, 0.95, "95% of the rollouts"),
]


@pytest.mark.parametrize(("watch", "name", "good", "bad", "word"), CASES)
def test_limits_by_hand(watch: str, name: str, good: float, bad: float, word: str) -> None:
    config = WatchConfig(**dict.fromkeys(WATCHES, "off") | {watch: "stop"})  # type: ignore[arg-type]
    dogs = Watchdogs(config)
    assert dogs.look({}) == []
    assert dogs.look({name: good}) == []
    (alarm,) = dogs.look({name: bad})
    assert (alarm.watch, alarm.stops) == (watch, True)
    assert word in alarm.text


@pytest.mark.parametrize(
    ("watch", "name", "good", "bad", "word"),
    [
        ("entropy", "train/entropy", 0.11, 0.05, "from 1;"),
        ("spike", "train/grad_norm", 19.0, 21.0, "jumped to 21 from 1"),
    ],
)
def test_comparisons_wait_for_a_past(watch: str, name: str, good: float, bad: float, word: str) -> None:
    dogs = Watchdogs(WatchConfig())
    for _ in range(2):
        assert dogs.look({name: 1.0}) == []
        assert dogs.look({name: 0.0}) == [], "0 is no measurement"
    assert dogs.look({name: bad}) == []
    dogs = Watchdogs(WatchConfig())
    for _ in range(3):
        assert dogs.look({name: 1.0}) == []
    assert dogs.look({name: good}) == []
    (alarm,) = dogs.look({name: bad})
    assert (alarm.watch, alarm.stops) == (watch, False)
    assert word in alarm.text


def test_checks_that_rise_while_success_falls() -> None:
    """Means of three steps against the first three remembered; neither alone is a trouble."""

    def heard(progress: list[float], success: list[float]) -> list[str]:
        dogs = Watchdogs(WatchConfig())
        steps = zip(progress, success, strict=True)
        alarms = [dogs.look({"progress_bare": p, "success_bare": s}) for p, s in steps]
        assert not any(alarms[:5]), "too few steps to compare"
        return [alarm.text for found in alarms for alarm in found]

    low, high = [0.25] * 3, [0.5] * 3
    (text,) = heard(low + high, high + low)
    assert "what checks score rose by 0.25 and success fell by 0.25" in text
    assert heard(low + high, high + high) == []
    assert heard(low + high, low + high) == []
    assert heard(high + high, high + low) == []


def test_barren_counts_steps_in_a_row() -> None:
    dogs = Watchdogs(WatchConfig(barren_limit=3))
    heard = [bool(dogs.look({"train/contrast_trees": n})) for n in (0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0)]
    assert heard == [False, False, False, False, False, True, False, False]


@pytest.mark.parametrize("limit", [1, 20, 21, 50])
def test_barren_waits_for_as_many_steps_as_it_is_told(limit: int) -> None:
    dogs = Watchdogs(WatchConfig(barren_limit=limit))
    heard = [bool(dogs.look({"train/contrast_trees": 0.0})) for _ in range(60)]
    assert heard.index(True) + 1 == limit


def test_a_lasting_trouble_is_told_once_but_stops_always() -> None:
    warned, stopped = Watchdogs(WatchConfig(kl="warn")), Watchdogs(WatchConfig(kl="stop"))
    bad, good = {"train/update_kl": 9.0}, {"train/update_kl": 0.0}
    assert [len(warned.look(m)) for m in (bad, bad, good, bad)] == [1, 0, 0, 1]
    assert [len(stopped.look(m)) for m in (bad, bad, good, bad)] == [1, 1, 0, 1]


def test_precision_widens_what_may_differ_unless_told() -> None:
    gap = {"watch/parity_gap": 0.04, "train/logprob_gap": 0.04}
    assert Watchdogs(WatchConfig(), 0.05).look(gap) == []
    assert [a.watch for a in Watchdogs(WatchConfig()).look(gap)] == ["parity", "drift"]
    told = WatchConfig(parity_limit=0.01, drift_limit=0.5)
    assert [a.watch for a in Watchdogs(told, 0.05).look(gap)] == ["parity"]


@pytest.mark.parametrize(
    "options", [{"parity": "halt"}, {"probes": 0}, {"kl_limit": -1.0}, {"spike_limit": math.nan}]
)
def test_impossible_choices_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        WatchConfig(**options)  # type: ignore[arg-type]


def test_tokens_may_be_as_old_as_the_run_allows():
    dogs = Watchdogs(WatchConfig(), max_staleness=2)
    assert dogs.look({"train/stale_share": 0.5, "train/staleness": 2.0}) == []
    assert [a.text for a in dogs.look({"train/stale_share": 0.5, "train/staleness": 3.0})] == [
        "trained tokens are up to 3 updates old, allowed are 2"
    ]
