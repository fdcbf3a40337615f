"""A person plays: moves, checks after every turn, and the commands that go back and forth."""

from __future__ import annotations

from trace_gym.core.task import Split
from trace_gym.environment.registry import suite

SIZE, GOAL = (int(number) for number in suite("guess").tasks(Split.TRAIN)[3].id.split("-"))


def played(run, *lines):
    ended = run("play", "guess", "--task", "3", given="".join(f"{line}\n" for line in lines))
    assert ended.code == 0
    assert ended.out == ""
    return ended.err


def test_moves_are_read_to_the_end(run):
    told = played(run, "guess 0", "", f"guess {GOAL}")
    assert f"between 1 and {SIZE}" in told
    assert "guess(number)" in told
    assert "Higher." in told
    assert "[-] found: guesses: [0]" in told
    assert f"[+] found: guesses: [0, {GOAL}]" in told
    assert "The episode has ended; success: True." in told
    assert told.endswith("success: True\n")


def test_the_end_of_the_input_is_the_end_of_the_session(run):
    assert played(run, "guess 0").endswith("success: False\n")


def test_undo_takes_turns_back_one_by_one_even_after_the_end(run):
    told = played(run, "guess 1", f"guess {GOAL}", "undo", "undo", "undo", f"guess {GOAL}")
    assert "There is no turn to take back." in told
    assert f"guesses: [{GOAL}]" in told
    assert told.endswith("success: True\n")


def test_a_remembered_moment_can_be_gone_back_to_any_number_of_times(run):
    told = played(run, "guess 1", "fork a", "guess 2", "goto a", "guess 3", ":goto a", f"guess {GOAL}")
    assert "Turn 1 is remembered as 'a'." in told
    assert "guesses: [1, 2]" in told
    assert "guesses: [1, 3]" in told
    assert f"guesses: [1, {GOAL}]" in told
    assert told.endswith("success: True\n")


def test_going_back_can_be_undone(run):
    told = played(run, "fork a", f"guess {GOAL}", "goto a", "undo")
    assert told.endswith("success: True\n")


def test_what_cannot_be_done_is_said(run):
    told = played(run, "goto nowhere", "fork", "forks", f"guess {GOAL}", "guess 1", "hint")
    assert "No moment is called 'nowhere'. Known: none." in told
    assert "Give the moment a name" in told
    assert "No moment is remembered yet" in told
    assert "The episode is over: undo, goto NAME or quit." in told
    assert "The reference solution has nothing to say here." in told


def test_the_hint_leads_to_the_goal(run):
    told = played(run, "hint", "help", "quit", "guess 1")
    assert f"'number': {(1 + SIZE) // 2}" in told
    assert "take the last turn back" in told
    assert "guesses: [1]" not in told
