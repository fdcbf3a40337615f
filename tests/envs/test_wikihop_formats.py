"""Question files that a user has: what is read from them, what is refused, and how they are played."""

import json
from pathlib import Path

import pytest

from trace_gym.core.action import Action
from trace_gym.core.errors import BadConfig, MalformedData, UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import suite
from trace_gym_envs.wikihop.formats import read_records
from trace_gym_envs.wikihop.suite import WikiHop

FILES = Path(__file__).parent / "wikihop_files"
HOTPOT, TWO_WIKI, MUSIQUE = FILES / "hotpotqa.json", FILES / "2wiki.json", FILES / "musique.jsonl"


def all_tasks(path: Path) -> list[Task]:
    return [task for split in Split for task in WikiHop.tasks(split, path=str(path))]


def test_hotpotqa_in_pairs_and_in_columns() -> None:
    bridge, comparison, _ = read_records(HOTPOT)
    assert (bridge.id, bridge.source, bridge.answers) == ("h1", "hotpotqa", ("The Ferry-Town",))
    assert bridge.support == ("Larch Press", "Odile Marr")
    assert bridge.paragraphs[:2] == (
        ("Larch Press", "The Larch Press prints maps. It was founded by Odile Marr."),
        ("Odile Marr", "Odile Marr was born in Ferry-Town. She never left it."),
    )
    assert comparison.support == ("Elm Press", "Larch Press")
    assert comparison.paragraphs[0] == ("Elm Press", "The Elm Press is in Lower Quay.")


def test_2wiki_is_told_by_its_evidences() -> None:
    (record,) = read_records(TWO_WIKI)
    assert (record.source, record.support) == ("2wiki", ("Grey Harbour", "Jon Lind"))


def test_musique_takes_hops_from_the_decomposition_and_leaves_out_the_unanswerable() -> None:
    (record,) = read_records(MUSIQUE)
    assert (record.id, record.source) == ("2hop__1_2", "musique")
    assert record.support == ("Rosa Vane", "Pell")
    assert record.answers == ("Abel Stone", "A. Stone")


@pytest.mark.parametrize("path", [HOTPOT, TWO_WIKI, MUSIQUE], ids=lambda path: path.stem)
def test_the_oracle_solves_every_question_through_its_facts(path: Path) -> None:
    tasks = all_tasks(path)
    assert len(tasks) == len(read_records(path))
    env = WikiHop(path=str(path))
    for task in tasks:
        _, info = env.reset(options={"task": task})
        assert [v.score for v in info["verdicts"]] == [0.0] * (len(task.payload["support"]) + 1)
        done, reward = False, 0.0
        while not done:
            _, reward, done, truncated, info = env.step(env.oracle())
            assert not truncated
        assert reward == 1.0
        assert {v.status.value for v in info["verdicts"]} == {"pass"}


def test_paragraphs_under_one_title_are_one_article() -> None:
    env = WikiHop(path=str(MUSIQUE))
    env.reset(options={"task": all_tasks(MUSIQUE)[0]})
    text = env.step(Action.call("read", title="pell"))[0]
    assert text == "Pell\nPell is a village.\nThe reeve of Pell is Abel Stone."


def test_titles_that_differ_in_case_are_one_article_and_one_fact(tmp_path: Path) -> None:
    """Wikipedia has both `Red Meat` and `Red meat`; a fact under the second stands in the article."""
    file = tmp_path / "case.json"
    row = {"_id": "1", "question": "What colour?", "answer": "red"}
    context = [["Red Meat", ["It is a comic."]], ["Red meat", ["It is red."]], ["Oak", ["A tree."]]]
    facts = [["Red meat", 0], ["Red Meat", 0], ["Oak", 0]]
    file.write_text(json.dumps([{**row, "context": context, "supporting_facts": facts}]))
    (task,) = all_tasks(file)
    env = WikiHop(path=str(file))
    env.reset(options={"task": task})
    texts = [env.step(env.oracle())[0] for _ in range(2)]
    assert texts == ["Red Meat\nIt is a comic.\nIt is red.", "Oak\nA tree."]
    _, reward, terminated, _, info = env.step(env.oracle())
    assert (reward, terminated) == (1.0, True)
    assert [(v.name, v.status.value) for v in info["verdicts"]] == [
        ("hop_1", "pass"),
        ("hop_2", "pass"),
        ("answer", "pass"),
    ]


def test_partial_answers_are_scored_by_f1_and_fail() -> None:
    task = next(task for task in all_tasks(HOTPOT) if task.id == "hotpotqa/h3")
    env = WikiHop(path=str(HOTPOT))
    env.reset(options={"task": task})
    _, reward, terminated, _, info = env.step(Action.call("answer", text="the painter Ines Holt"))
    verdict = info["verdicts"][-1]
    assert (reward, terminated, verdict.status.value) == (0.0, True, "fail")
    assert verdict.score == pytest.approx(0.8)


def test_one_file_is_divided_so_that_connected_questions_stay_together() -> None:
    sides = {
        task.id: (split, task.family) for split in Split for task in WikiHop.tasks(split, path=str(HOTPOT))
    }
    assert sides["hotpotqa/h1"] == sides["hotpotqa/h2"]
    assert sides["hotpotqa/h1"][1] == "Elm Press"
    assert sides["hotpotqa/h3"][1] == "Bram"


def test_a_file_per_split_is_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "q_train.json").write_text(HOTPOT.read_text())
    (tmp_path / "q_test.json").write_text(TWO_WIKI.read_text())
    path = str(tmp_path / "q_{split}.json")
    assert [t.id for t in WikiHop.tasks(Split.TRAIN, path=path)] == [
        "hotpotqa/h1",
        "hotpotqa/h2",
        "hotpotqa/h3",
    ]
    assert [t.id for t in WikiHop.tasks(Split.TEST, path=path)] == ["2wiki/w1"]
    assert [t.id for t in WikiHop.tasks(Split.TEST, path=path, subset="2wiki")] == ["2wiki/w1"]
    with pytest.raises(UnknownName, match="did you mean '2wiki'"):
        WikiHop.tasks(Split.TEST, path=path, subset="3wiki")


HOTPOT_ROW = json.loads(HOTPOT.read_text())[0]
MUSIQUE_ROW = json.loads(MUSIQUE.read_text().splitlines()[0])


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({k: v for k, v in HOTPOT_ROW.items() if k != "answer"}, "'answer'", "required"),
        ({**HOTPOT_ROW, "answer": 7}, "'answer'", "string"),
        ({**HOTPOT_ROW, "context": [["Larch Press", "text"]]}, "'context.0.1'", "list"),
        ({**HOTPOT_ROW, "context": {"title": ["a"], "sentences": []}}, "'context'", "equal length"),
        ({**HOTPOT_ROW, "supporting_facts": [["Oak", 0]]}, "'supporting_facts'", "'Oak' is not among"),
        ({"_id": "x", "question": "?", "answer": "!"}, "'context'", "missing"),
        ({**MUSIQUE_ROW, "paragraphs": [{"idx": "one"}]}, "'paragraphs.0.idx'", "integer"),
        (
            {**MUSIQUE_ROW, "question_decomposition": [{"paragraph_support_idx": 9}]},
            "'question_decomposition'",
            "'paragraph 9' is not among",
        ),
        ([1], "''", "must be an object, got list"),
    ],
)
def test_a_bad_record_is_refused_by_file_line_and_field(
    tmp_path: Path, row: object, field: str, said: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps({**HOTPOT_ROW, '_id': 'good'})}\n\n{json.dumps(row)}\n")
    with pytest.raises(MalformedData) as caught:
        read_records(path)
    assert str(caught.value).startswith(f"{path}, line 3: field {field}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"_id": ', 1, "not valid JSON"),
        ("[\n{},\n{]", 2, "missing"),
        (f"[\n{json.dumps(HOTPOT_ROW)}\n{{}}\n]", 3, "expected a comma"),
        (f"[\n{json.dumps(HOTPOT_ROW)}", 2, "expected a comma"),
        (f"[\n{json.dumps(HOTPOT_ROW)}\n]\nmore", 3, "after the array"),
        (f"[\n{json.dumps(HOTPOT_ROW)},\n{json.dumps(HOTPOT_ROW)}]", 3, "is also in line 2"),
        ("", 1, "no answerable question"),
        ("[]", 1, "no answerable question"),
    ],
)
def test_broken_json_is_refused_by_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(MalformedData, match=said) as caught:
        read_records(path)
    assert f"{path}, line {line}" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedData, match=r"none\.json cannot be read"):
        read_records(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(MalformedData, match=r"latin\.json cannot be read"):
        read_records(tmp_path / "latin.json")


@pytest.mark.parametrize("level", ["nonsense", "standard", ""])
def test_a_level_beside_a_file_is_refused(level: str) -> None:
    found = suite(f"wikihop?path={FILES / 'hotpotqa.json'}&level={level}")
    with pytest.raises(BadConfig, match="level names generated worlds and path a file, give one of the two"):
        found.tasks(Split.TRAIN)
