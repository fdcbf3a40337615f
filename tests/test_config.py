"""Configuration: files, presets, overrides, round trips, and one clear sentence for every mistake."""

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from trace_gym.config import (
    RunConfig,
    TrainSection,
    WarmstartSection,
    WatchSection,
    differing,
    dump,
    keys,
    load,
    moved,
    parse,
    preset,
    presets,
)
from trace_gym.config.emit import toml
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.settings import unlike_method
from trace_gym.train.advantage import ADVANTAGES
from trace_gym.train.config import TrainConfig
from trace_gym.train.correction import CORRECTIONS
from trace_gym.train.loss import LOSSES
from trace_gym.train.token_weight import TOKEN_WEIGHTS
from trace_gym.train.watchdog import WatchConfig
from trace_gym.warm import WarmConfig

EXAMPLE = """
suites = ["guess", { spec = "wikihop:easy", share = 2, floor = 0.25 }]
[run]
seed = 7
[train]
lr = 5e-4
betas = [0.9, 0.95]
[scheduler]
name = "uniform"
[scheduler.options]
n = 4
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(EXAMPLE)
    return path


def guess(*overrides: str) -> RunConfig:
    return load(None, ["suites=guess", *overrides])


def test_a_file_is_read_over_the_defaults(file: Path) -> None:
    config = load(file)
    assert [(suite.spec, suite.share, suite.floor) for suite in config.suites] == [
        ("guess", 1.0, 0.0),
        ("wikihop:easy", 2.0, 0.25),
    ]
    assert (config.run.seed, config.run.steps) == (7, RunConfig(suites="guess").run.steps)  # type: ignore[arg-type]
    assert (config.train.lr, config.train.betas, config.train.epochs) == (5e-4, (0.9, 0.95), 3)
    assert (config.scheduler.name, config.scheduler.options) == ("uniform", {"n": 4})


def test_overrides_come_after_the_file_in_order(file: Path) -> None:
    config = load(
        str(file),
        [
            "train.lr=1e-3",
            "train.lr = 2e-3",
            "policy.model=smollm2",
            'agent.renderer="a = b"',
            "scheduler.options.n=",
            "scheduler.options.deep.er=[1, 2]",
            "suites.0.share=3",
            "run.out=2026-01-01",
            "train.packed=false",
            "train.betas=",
        ],
    )
    assert (config.train.lr, config.policy.model, config.agent.renderer) == (2e-3, "smollm2", "a = b")
    assert config.scheduler.options == {"deep": {"er": [1, 2]}}
    assert (config.suites[0].share, config.run.out) == (3.0, "2026-01-01")
    assert (config.train.packed, config.train.betas) == (False, (0.9, 0.99))


def test_suites_may_be_given_in_several_forms() -> None:
    def shares(override: str) -> dict[str, float]:
        return {suite.spec: suite.share for suite in load(None, [override]).suites}

    assert shares("suites=guess?high=9") == {"guess?high=9": 1.0}
    assert shares('suites=["a", {spec="b", share=3}]') == {"a": 1.0, "b": 3.0}
    assert shares('suites={a=2, "b:c"={share=0.5, floor=0.1}}') == {"a": 2.0, "b:c": 0.5}
    assert guess("eval.suites=wikihop").eval.suites == ("wikihop",)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.lrr=1", "unknown config key 'train.lrr'; did you mean 'train.lr'?"),
        ("train.learning_rate=1", "unknown config key 'train.learning_rate'; did you mean 'train.lr'?"),
        ("trian.lr=1", "unknown config key 'trian'; did you mean 'train'?"),
        ("lr=1", "unknown config key 'lr'; did you mean 'train.lr'?"),
        (
            "scheduler.temprature=1",
            "unknown config key 'scheduler.temprature'; did you mean 'agent.temperature'?",
        ),
        ("suites.0.shar=2", "unknown config key 'suites.0.shar'; did you mean 'suites.0.share'?"),
        (
            "agent.zzz=1",
            "unknown config key 'agent.zzz'; section 'agent' has renderer, max_tokens, temperature, top_p",
        ),
        (
            "train.loss=daapo",
            "config key 'train.loss' cannot be 'daapo'; did you mean 'dapo'? It may be 'ppo', 'gr",
        ),
        ("train.loss=zzz", "config key 'train.loss' cannot be 'zzz'; it may be 'ppo', 'grpo', "),
    ],
)
def test_an_unknown_name_names_the_nearest(override: str, sentence: str) -> None:
    with pytest.raises(UnknownName) as refused:
        guess(override)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.lr=-1", "config key 'train.lr' cannot be -1: it must be greater than or equal to 0"),
        ("train.lr=abc", "config key 'train.lr' cannot be 'abc': it must be a valid number"),
        ("train.lr=nan", "config key 'train.lr' cannot be nan: it must be a finite number"),
        ("train.epochs=2.5", "config key 'train.epochs' cannot be 2.5: it must be a valid integer"),
        ("train.epochs=true", "config key 'train.epochs' cannot be True: it must be a valid integer"),
        ("train.packed=yes", "config key 'train.packed' cannot be 'yes': it must be a valid boolean"),
        ("train.betas=[0.9]", "config key 'train.betas' cannot be [0.9]: it has too few items"),
        ("train.betas=[0.9, 1.5]", "config key 'train.betas' cannot be [0.9, 1.5]: both must lie in [0, 1)"),
        ("run.out=7", "config key 'run.out' cannot be 7: it must be a valid string"),
        ("run=3", "config key 'run' cannot be 3: it must be a table"),
        ("run.seed.x=3", "config key 'run.seed' cannot be {'x': 3}: it must be a valid integer"),
        ("suites=[]", "config key 'suites' is missing: give it in the file or with --set suites="),
        ("suites=7", "config key 'suites' cannot be 7: it must be a list"),
        ("suites.0.share=0", "config key 'suites.0.share' cannot be 0: it must be greater than 0"),
        ("suites.4.share=1", "'suites' is a list of 1, numbered from 0; got '4'"),
        ("suites.0.spec.x=1", "config key 'suites.0.spec.x' cannot be set: 'suites.0.spec' is a value"),
        ("suites.0.spec.x.y=1", "config key 'suites.0.spec.x' cannot be set: 'suites.0.spec' is a value"),
        ('suites=["a", "a"]', "suite 'a' is listed twice"),
        ("suites={a={floor=0.6}, b={floor=0.6}}", "the floors of the suites add up to 1.2"),
        ("scheduler.options=3", "config key 'scheduler.options' cannot be 3: it must be a table"),
        ("scheduler.options.d=[1979-05-27]", "config key 'scheduler.options' cannot be"),
        ("train.lr", "an override is KEY=VALUE, such as train.lr=1e-4; got 'train.lr'"),
        ("=1", "an override is KEY=VALUE"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(override: str, sentence: str) -> None:
    with pytest.raises(BadConfig) as refused:
        guess(override)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


def test_an_override_sets_one_key_only() -> None:
    with pytest.raises(BadConfig, match="must be a valid integer"):
        guess("run.seed=1\nsteps=5")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[run\nseed = 1")
    (tmp_path / "latin.toml").write_bytes(b'[run]\nout = "\xe9"')
    with pytest.raises(BadConfig, match=r"broken.toml is not valid TOML: .*line 1"):
        load(tmp_path / "broken.toml")
    with pytest.raises(BadConfig, match=r"cannot read the configuration .*latin.toml: UnicodeDecodeError"):
        load(tmp_path / "latin.toml")
    with pytest.raises(BadConfig, match=r"cannot read the configuration .*none.toml: FileNotFoundError"):
        load(str(tmp_path / "none.toml"))


def test_presets_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(EXAMPLE)
    (tmp_path / "notes.txt").write_text("no preset")
    assert presets(tmp_path) == ("small",)
    assert preset("small", tmp_path) == EXAMPLE
    assert load("small", ["run.seed=8"], folder=tmp_path).run.seed == 8
    with pytest.raises(UnknownName, match="unknown preset 'smal'; did you mean 'small'"):
        preset("smal", tmp_path)
    with pytest.raises(UnknownName, match="unknown file or preset 'smal'; did you mean 'small'"):
        load("smal", folder=tmp_path)


@pytest.mark.parametrize("name", [*presets(), None])
def test_packaged_presets_are_valid_and_round_trip(name: str | None) -> None:
    config = load(name, [] if name else ["suites=guess"])
    assert parse(tomllib.loads(dump(config))) == config


def test_no_presets_without_their_folder(tmp_path: Path) -> None:
    assert presets(tmp_path / "none") == ()


def test_a_recorded_configuration_is_read_back() -> None:
    config = guess("scheduler.options.n=4", "eval.suites=wikihop", "budget.seconds=2.5")
    assert parse(config.model_dump(mode="json")) == config


def test_every_optional_key_is_none_when_left_out() -> None:
    def optional(model: type[BaseModel]) -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += optional(field.annotation)
            elif type(None) in getattr(field.annotation, "__args__", ()):
                found.append((name, field.default))
        return found

    found = optional(RunConfig)
    assert len(found) > 10
    assert [name for name, default in found if default is not None] == []


def test_keys_name_their_sections() -> None:
    assert {"run.seed", "train.lr", "scheduler.options", "suites.0.share", "warmstart.demos"} <= set(keys())
    assert "train.temperature" not in keys()


def test_the_train_section_is_the_trainers_own() -> None:
    mirrored = {f.name: f.default for f in fields(TrainConfig) if f.name not in ("seed", "temperature")}
    assert {name: field.default for name, field in TrainSection.model_fields.items()} == mirrored

    def choices(name: str) -> set[str]:
        return set(TrainSection.model_fields[name].annotation.__args__)  # type: ignore[union-attr]

    assert choices("advantage") == set(ADVANTAGES)
    assert choices("token_weight") == set(TOKEN_WEIGHTS)
    assert choices("loss") == set(LOSSES)
    assert choices("correction") == {"none", *CORRECTIONS}
    assert TrainConfig(**TrainSection().model_dump()) == TrainConfig()


def test_the_watch_section_is_the_watchdogs_own() -> None:
    mirrored = {f.name: f.default for f in fields(WatchConfig)}
    assert {name: field.default for name, field in WatchSection.model_fields.items()} == mirrored
    assert WatchConfig(**WatchSection().model_dump()) == WatchConfig()


def test_the_warmstart_section_is_the_warm_starts_own() -> None:
    mirrored = {f.name: f.default for f in fields(WarmConfig) if f.name != "renderer"}
    assert {name: field.default for name, field in WarmstartSection.model_fields.items()} == mirrored


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=10
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_what_is_written_as_toml_is_read_back(data: dict[str, Any]) -> None:
    read = tomllib.loads(toml(data))
    assert read == data
    assert json.dumps(read, sort_keys=True) == json.dumps(data, sort_keys=True)  # True is not 1 is not 1.0


@given(
    options=st.dictionaries(TEXT, VALUES, max_size=4),
    lr=st.floats(0, 1e300),
    model=TEXT.filter(len),
    out=st.none() | TEXT,
    specs=st.lists(TEXT.filter(len), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 2**80),
    every=st.integers(0, 9),
)
def test_a_configuration_survives_being_written(
    options: dict[str, Any],
    lr: float,
    model: str,
    out: str | None,
    specs: list[str],
    seed: int,
    every: int,
) -> None:
    raw = {
        "suites": specs,
        "train": {"lr": lr},
        "policy": {"model": model},
        "run": {"out": out, "seed": seed},
        "scheduler": {"options": options},
        "eval": {"every": every, "suites": specs},
    }
    config = parse(raw)
    assert parse(tomllib.loads(dump(config))) == config


def test_a_run_may_move_and_keeps_all_else() -> None:
    config = load("guess", ["train.lr=0.5"])
    away = moved(config, ["cluster.address=auto", "cluster.replicas=true", "run.workers=200"])
    assert (away.cluster.address, away.cluster.replicas, away.run.workers) == ("auto", True, 200)
    assert differing(config, away) == differing(config, moved(config, [])) == []
    assert (
        moved(away, ["cluster.address=", "cluster.replicas=", f"run.workers={config.run.workers}"]) == config
    )
    other = ["policy.model=vllm:smollm2", "train.lr=0.25", "suites.0.share=2", "run.workers=3"]
    with pytest.raises(
        BadConfig, match=r"keeps its suites, policy\.model, train\.lr; --set may change where"
    ):
        moved(config, other)
    with pytest.raises(UnknownName, match=r"did you mean 'run\.workers'"):
        moved(config, ["run.worker=3"])


def test_toml_has_no_word_for_none() -> None:
    with pytest.raises(ValueError, match="no word for None"):
        toml({"a": [None]})


def test_a_method_without_its_credit_is_told() -> None:
    """`trace_plus` is credited by checks; a run that trains it otherwise is told what it is."""
    plain = ["suites=guess", "scheduler.name=trace_plus"]
    (sentence,) = unlike_method(load(None, plain))
    assert "train.advantage=checks, and this run has drgrpo: it is trace_plus's allocation alone" in sentence
    assert unlike_method(load(None, [*plain, "train.advantage=checks"])) == []
    assert unlike_method(load(None, ["suites=guess", "scheduler.name=trace"])) == []
    assert unlike_method(load("demo", [])) == []
