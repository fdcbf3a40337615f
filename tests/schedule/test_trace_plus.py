"""Every switch of trace_plus: off it is TRACE, on it does what it says; the protocol holds in every row."""

from dataclasses import replace

import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.catalogue import ablation, make, spelled
from trace_gym.schedule.trace import Trace
from trace_gym.schedule.trace_plus import SWITCHES, trace_plus
from trace_gym.testing import Trial, check_scheduler

OFF = SWITCHES["trace"]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("seed", range(3))
def test_every_row_of_the_ablation_keeps_the_protocol(name: str, seed: int) -> None:
    trial = Trial(seed=seed, trajectories=60, predictions=seed != 1, failures=0.2 * (seed == 2))
    check_scheduler(lambda: trace_plus(**{**OFF, **SWITCHES[name]}, seed=seed), trial=trial)


def test_everything_on_keeps_the_protocol() -> None:
    check_scheduler(lambda: trace_plus(seed=1))
    forks = {"posterior": True, "stop_at_flip": True, "patience": 2}
    check_scheduler(lambda: trace_plus(**forks, seed=1))
    prices = {"token": 1.0, "step": 0.5}
    everything = {**forks, "queue": True, "per_cost": 1.0, "prices": prices, "epsilon": 0.3}
    check_scheduler(lambda: trace_plus(**everything, seed=1))


def test_with_every_switch_off_it_is_trace(world) -> None:
    scene = {"values": [0.2, 0.5, 0.5, 0.7, 0.9], "turns": [3, 2, 4, 3, 3]}
    one, two = world(**scene), world(**scene)
    plus, trace = trace_plus(**OFF, seed=4), Trace(seed=4)
    for _ in range(3):
        one.step(plus, Budget(trajectories=30))
        two.step(trace, Budget(trajectories=30))
        assert one.decisions() == two.decisions()


def test_as_it_comes_prompts_are_drawn_and_paths_split(world) -> None:
    """24 trajectories: 12 roots, so six prompts of two, which share twelve continuations from where they went
    on; the same as the pair of rules."""
    scene = {"values": [0.2, 0.5, 0.5, 0.7, 0.9, 0.5, 0.4], "turns": [3, 2, 4, 3, 3, 4, 4]}
    one, two = world(**scene), world(**scene)
    plus, pair = trace_plus(seed=4), make("proportional+treepo", {"power": 4.0, "per_root": 1}, seed=4)
    for _ in range(3):
        _, metrics = one.step(plus, Budget(trajectories=24))
        two.step(pair, Budget(trajectories=24))
        assert one.decisions() == two.decisions()
        roots = [grant for grant in one.grants.values() if not grant.anchor.node and grant.count == 2]
        assert len(roots) == 6
        assert metrics["unspent"] == 0
        assert metrics["forks"] > 0
    assert plus.hears_turns
    bare = trace_plus(splits=0, seed=4)
    assert not bare.forks
    assert sum(grant.count for grant in bare.propose(one.pool(), Budget(trajectories=14))) == 14


def test_with_no_continuations_all_goes_into_roots_where_trace_puts_them(world) -> None:
    scene = {"values": [0.2, 0.5, 0.5, 0.7, 0.9], "turns": [3, 2, 4, 3, 3]}
    one, two = world(**scene), world(**scene)
    bare, pair = trace_plus(continuations=0, seed=4), make("trace+none", {}, seed=4)
    for _ in range(3):
        _, metrics = one.step(bare, Budget(trajectories=30))
        two.step(pair, Budget(trajectories=30))
        assert one.decisions() == two.decisions()
        assert sum(grant.count for grant in one.grants.values()) == 30
        assert metrics["forks"] == 0
    assert not bare.forks
    with pytest.raises(ValueError, match="need continuations, at least 1"):
        trace_plus(continuations=0, patience=2)


def test_the_posterior_prefers_what_is_known(world) -> None:
    """Two prompts at one half, one of them well known: all roots go there."""
    play = world(values=[0.5, 0.5], turns=[3, 3])
    pool = [candidate for candidate in play.pool()]
    pool[1] = replace(pool[1], prediction=replace(pool[1].prediction, concentration=200.0))
    grants = trace_plus(**{**OFF, "posterior": True}).propose(pool, Budget(trajectories=12))
    assert {grant.anchor.tree: grant.count for grant in grants} == {1: 4}
    plain = {
        grant.anchor.tree
        for seed in range(20)
        for grant in trace_plus(**OFF, seed=seed).propose(pool, Budget(trajectories=12))
    }
    assert plain == {0, 1}


def test_the_queue_goes_where_it_is_worth_most(world) -> None:
    """A step opens with a third of the purse; then every rollout that ends makes room for the best spot. No
    prefix is continued again once it was flipped."""
    play = world(values=[0.5, 0.5, 0.02, 0.98], turns=[4] * 4)
    scheduler = trace_plus(queue=True, stop_at_flip=True, epsilon=0.0, seed=2)
    _, metrics = play.step(scheduler, Budget(trajectories=36))
    assert metrics["unspent"] == 0
    assert metrics["forks"] > 0
    opened = [grant for grant in play.grants.values() if not grant.reason.startswith("best of the queue")]
    assert sum(grant.count for grant in opened) == 12
    flipped: set[tuple[int, int]] = set()
    for event, answer in play.events:
        for grant in answer:
            assert (grant.anchor.tree, grant.anchor.node) not in flipped
        tree = play.trees[event.tree]
        if hasattr(event, "rollout") and (record := tree.rollouts[event.rollout]).anchor and record.stop:
            parent = tree.turns[record.anchor].rollout
            if tree.outcome(event.rollout) != tree.outcome(parent):
                flipped.add((event.tree, record.anchor))
    assert flipped


def test_cost_moves_the_queue_to_later_turns(world) -> None:
    """Worth per expected cost prefers short continuations: the mean depth of forks rises."""

    def depth(per_cost: float) -> float:
        play = world(values=[0.5] * 6, turns=[6] * 6, seed=1)
        scheduler = trace_plus(queue=True, per_cost=per_cost, epsilon=0.0, seed=2)
        total, many = 0.0, 0.0
        for step in range(4):
            _, metrics = play.step(scheduler, Budget(trajectories=72), number=step)
            for t in range(1, 6):
                total += t * metrics.get(f"forks_at_{t}", 0.0)
                many += metrics.get(f"forks_at_{t}", 0.0)
        return total / many

    assert depth(1.0) > depth(0.0) + 0.3


def test_epsilon_reaches_prompts_that_no_one_wants(world) -> None:
    """Prompts at .001 are never worth a root; with epsilon they get some."""
    play = world(values=[0.5] * 3 + [0.001] * 3, turns=[3] * 6)

    def reached(**options) -> set[int]:
        scheduler, seen = trace_plus(**options, seed=3), set()
        for _ in range(12):
            play.step(scheduler, Budget(trajectories=24))
            seen |= {grant.anchor.tree for grant in play.grants.values()}
        return seen

    assert reached(queue=True, epsilon=0.0) == {0, 1, 2}
    assert reached(queue=True, epsilon=0.3) == {0, 1, 2, 3, 4, 5}
    assert reached(continuations=0, epsilon=0.3) == {0, 1, 2, 3, 4, 5}


def test_the_queue_says_of_a_prompt_that_it_was_drawn(world) -> None:
    """A prompt at .001 is no best of any queue."""
    play, drawn = world(values=[0.5] * 3 + [0.001] * 3, turns=[3] * 6), set()
    scheduler = trace_plus(queue=True, epsilon=0.3, seed=3)
    for _ in range(12):
        play.step(scheduler, Budget(trajectories=24))
        reasons = [(grant.anchor.tree, grant.reason) for grant in play.grants.values()]
        drawn |= {tree for tree, why in reasons if why.startswith("drawn at random (epsilon=0.3): root")}
    assert drawn >= {3, 4, 5}


def test_bad_numbers_are_refused(world) -> None:
    pool = world(values=[0.5], turns=[2]).pool()
    for options, message in (
        ({"per_cost": 1.0}, "they need queue = true"),
        ({"queue": True, "per_cost": -1.0}, "per_cost must not be negative"),
        ({"queue": True, "continuations": 0}, "need continuations, at least 1"),
        ({"continuations": -1}, "continuations must be at least 1"),
        ({"queue": True, "patience": -1}, "patience must not be negative"),
        ({"queue": True, "prices": {"token": -1.0}}, "the price of a token must not be negative"),
        ({"queue": True, "seed": -1}, "seed must not be negative"),
        ({"epsilon": 0.1}, "about TRACE's roots; say continuations too"),
        ({"roots": 8}, "about TRACE's roots; say continuations too"),
        ({"continuations": 0, "splits": 2}, "not for TRACE's roots; leave continuations out"),
        ({"splits": -1}, "per_root must be at least 1"),
        ({"continuations": 0, "epsilon": 2.0}, r"epsilon must lie in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            trace_plus(**options)
    with pytest.raises(ValueError, match="needs a budget of trajectories"):
        trace_plus(queue=True).propose(pool, Budget(tokens=10))
    scheduler = trace_plus(queue=True)
    scheduler.propose(pool, Budget(trajectories=6))
    with pytest.raises(ValueError, match="2 rollouts running"):
        scheduler.propose(pool, Budget(trajectories=6))
    assert scheduler.forks
    assert not scheduler.hears_turns


def test_the_queue_says_what_was_expected_and_what_it_cost(world) -> None:
    """Every turn samples five tokens; once a step was seen the expectation is not far off."""
    play = world(values=[0.5] * 4, turns=[4] * 4)
    scheduler = trace_plus(queue=True, prices={"token": 1.0, "step": 2.0}, seed=1)
    for step in range(3):
        forest, metrics = play.step(scheduler, Budget(trajectories=36), number=step)
    assert metrics["cost"] == forest.cost.decoded + 2 * forest.cost.steps
    assert metrics["cost_expected"] == pytest.approx(metrics["cost"], rel=0.25)


def test_the_ablation_is_spelled_out() -> None:
    specs = ablation()
    assert len(specs) == len(SWITCHES)
    made = [make(*spelled(spec), seed=0) for spec in specs]
    assert [scheduler.forks for scheduler in made] == [name not in ("roots", "draw") for name in SWITCHES]
    assert spelled(specs[0])[1] == OFF
    assert spelled(specs[list(SWITCHES).index("per_cost")])[1] == {**OFF, "queue": True, "per_cost": 1.0}
