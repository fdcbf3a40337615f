"""From names to parts: schedulers, predictors and their options, and what is said of wrong ones."""

import pytest

from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.core.predictor import Prefix
from trace_gym.parts import make_agent, make_predictor, make_scheduler


def test_schedulers_are_methods_and_pairs() -> None:
    assert make_scheduler("pcl+trace", {"n": 2, "continuations": 1}, seed=0).forks
    assert not make_scheduler("dapo", {}, seed=0).forks
    with pytest.raises(UnknownName, match="did you mean 'treepo'"):
        make_scheduler("tree_po", {}, seed=0)


@pytest.mark.parametrize("name", ["beta", "value_head", "bayes", "fusion"])
def test_every_predictor_speaks_before_it_has_learnt(name: str) -> None:
    predictor = make_predictor(name, {}, seed=0)
    assert predictor is not None
    [said] = predictor.predict([Prefix("t", "s", 0, 5)])
    assert said.mean == pytest.approx(0.5)
    assert said.concentration > 0


def test_fusion_hands_options_down() -> None:
    options = {"decay": 0.5, "beta": {"strength": 7.0}, "value_head": {"targets": "bare"}}
    fused = make_predictor("fusion", options, seed=0)
    assert fused is not None
    assert set(fused.state_dict()) == {"learned", "counts", "records", "doubted"}
    with pytest.raises(
        UnknownName, match="unknown option of predictor 'fusion' 'decai'; did you mean 'decay'"
    ):
        make_predictor("fusion", {"decai": 0.5}, seed=0)
    with pytest.raises(UnknownName, match="option of option 'beta' of predictor 'fusion' 'strengt'"):
        make_predictor("fusion", {"beta": {"strengt": 1.0}}, seed=0)
    bayes = make_predictor("fusion", {"learned": "bayes", "bayes": {"rank": 4}}, seed=0)
    assert bayes is not None
    assert "posterior" in bayes.state_dict()["learned"]
    with pytest.raises(UnknownName, match="option 'learned' of predictor 'fusion' 'baies'; did you mean"):
        make_predictor("fusion", {"learned": "baies"}, seed=0)
    with pytest.raises(BadConfig, match="has options of 'bayes', but learned = 'value_head'"):
        make_predictor("fusion", {"bayes": {"rank": 4}}, seed=0)
    with pytest.raises(BadConfig, match="option 'beta' of predictor 'fusion' is a table"):
        make_predictor("fusion", {"beta": 3}, seed=0)


def test_an_option_that_an_agent_cannot_do_without_is_asked_for_by_name() -> None:
    with pytest.raises(BadConfig, match=r"^agent 'chat_api' needs the option 'model'$"):
        make_agent("chat_api")


def test_none_is_none() -> None:
    assert make_predictor("none", {}, seed=0) is None
    with pytest.raises(BadConfig, match="takes no options"):
        make_predictor("none", {"decay": 1.0}, seed=0)
    with pytest.raises(UnknownName, match="did you mean 'fusion'"):
        make_predictor("fusio", {}, seed=0)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("value_head", {"width": 1.5}, "predictor 'value_head': width must be a whole number, got 1.5"),
        ("bayes", {"verdicts": "False"}, "predictor 'bayes': verdicts must be true or false, got 'False'"),
        ("beta", {"targets": "backup"}, "predictor 'beta': targets must be 'bare' or 'own', got 'backup'"),
        ("fusion", {"beta": {"shares": 2.5}}, "predictor 'fusion': shares must be a whole number, got 2.5"),
    ],
)
def test_a_predictors_option_of_another_type_is_refused(name: str, options: dict, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        make_predictor(name, options, seed=0)
