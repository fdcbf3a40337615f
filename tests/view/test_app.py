"""The viewer's server: answers, refusals, and nothing beyond the folder it was given."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from tests.view.conftest import HOSTILE
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.view.app import make_app
from trace_gym.view.export import export
from trace_gym.view.runfile import RunFile


@pytest.fixture(scope="module")
def client(runs):
    with TestClient(make_app(runs)) as client:
        yield client


def test_all_runs_below_the_folder_are_offered(client):
    assert {head["run"] for head in client.get("/api/runs").json()} == {"one", "deeper/two"}


@pytest.mark.parametrize("what", ["head", "overview", "spending", "tasks"])
def test_the_pages_questions_are_answered(client, what):
    answer = client.get(f"/api/{what}", params={"run": "deeper/two"})
    assert answer.status_code == 200
    assert answer.json()


@pytest.mark.parametrize("run", ["nowhere", "..", "../one", "/etc"])
def test_nothing_outside_is_reached(client, run):
    answer = client.get("/api/overview", params={"run": run})
    assert answer.status_code == 404
    assert "there is no run" in answer.json()["error"]


def test_a_question_that_cannot_be_answered_says_why(client):
    answer = client.get("/api/tree", params={"run": "one", "step": "0", "tree": "999"})
    assert (answer.status_code, answer.json()["error"]) == (404, "run one has no tree 999 in step 0")
    assert client.get("/api/tree", params={"run": "one", "step": "x", "tree": "1"}).status_code == 404


def test_the_page_forbids_itself_outside_requests(client):
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org/", "")
    assert "https://" not in answer.text


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="holds no run"):
        make_app(tmp_path)
    with pytest.raises(RunFolderError, match="there is no folder"):
        make_app(tmp_path / "nowhere")


def test_a_report_holds_the_run_and_overwrites_nothing(runs, tmp_path):
    file = tmp_path / "report.html"
    count = export(RunFile(runs / "one"), file, trees=3, clock=lambda: 0.0)
    text = file.read_text()
    assert count == 3
    assert HOSTILE not in text, "text of the world must not end the script"
    data = json.loads(text.partition("const DATA = ")[2].partition(";\n")[0])
    assert len(data["trees"]) == 3
    assert data["overview"]["log"][0]["message"] == HOSTILE
    with pytest.raises(BadConfig, match="cannot be written"):
        export(RunFile(runs / "one"), file)
