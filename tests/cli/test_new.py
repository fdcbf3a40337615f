"""A new suite certifies as written, and nothing is ever overwritten."""

from __future__ import annotations

import tomllib

import pytest


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_new_suite_certifies_as_written(run, tmp_path, monkeypatch):
    assert "trace-gym check my_till" in run("new", "my_till").out
    monkeypatch.syspath_prepend(tmp_path / "my_till")
    file = tmp_path / "my_till" / "trace_gym_my_till" / "env.py"
    told = run("check", f"{file}:MyTill", "--forks", "10", "--fuzz", "200", "--json").json()
    assert told["passed"] is True
    assert [report["suite"] for report in told["suites"]]
    project = tomllib.loads((tmp_path / "my_till" / "pyproject.toml").read_text())
    points = project["project"]["entry-points"]["trace_gym.envs"]
    assert points == {"my_till": "trace_gym_my_till.env:MyTill"}
    left = [
        path for path in (tmp_path / "my_till").rglob("*") if path.is_file() and "@" in path.read_text("utf8")
    ]
    assert [path.name for path in left if path.suffix != ".py"] == []


@pytest.mark.parametrize("name", ["none", "purse"])
def test_a_name_that_the_code_knows_already_gets_a_class_of_its_own(run, tmp_path, monkeypatch, name):
    run("new", name)
    monkeypatch.syspath_prepend(tmp_path / name)
    project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())
    made = project["project"]["entry-points"]["trace_gym.envs"][name].partition(":")[2]
    file, test = (tmp_path / name / place for place in (f"trace_gym_{name}/env.py", f"tests/test_{name}.py"))
    assert run("check", f"{file}:{made}", "--forks", "5", "--fuzz", "20", "--json").json()["passed"] is True
    assert f"from trace_gym_{name}.env import {made}\n" in test.read_text()


def test_a_folder_of_choice(run, tmp_path):
    run("new", "my_till", "--folder", "suites/till")
    assert (tmp_path / "suites" / "till" / "tests" / "test_my_till.py").is_file()


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "my_till").mkdir()
    assert run("new", "my_till").sentence(2) == "'my_till' exists already; nothing was written"
    assert list((tmp_path / "my_till").iterdir()) == []


@pytest.mark.parametrize("name", ["My_till", "2tills", "my-till", "till_", "a__b"])
def test_a_name_that_is_none_is_refused(run, name):
    assert "a suite's name is like my_shop" in run("new", name).sentence(2)


@pytest.mark.parametrize("name", ["envs", "agents"])
def test_a_name_whose_package_would_hide_another_is_refused(run, name):
    told = run("new", name).sentence(2)
    assert told == f"trace_gym_{name} is a package of trace-gym itself; choose another name"


def test_a_name_that_is_taken_is_refused(run):
    assert run("new", "guess").sentence(2) == "a suite 'guess' is installed already; choose another name"
