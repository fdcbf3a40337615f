"""A person's lines become actions; what is shown holds no markup or control sequence of the world's."""

from __future__ import annotations

import asyncio
from io import StringIO

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import View
from trace_gym.core.episode import Actor, Turn
from trace_gym_agents.human import FAREWELL, HumanAgent, understood

PROPERTIES = {"query": {"type": "string"}, "limit": {"type": "integer", "default": 5}}
SEARCH = ToolSpec("search", "Search it.", {"type": "object", "properties": PROPERTIES, "required": ["query"]})
READ = ToolSpec("read", "Read it.", {"type": "object", "properties": {}})


def view(observation: str = "Find a fox.", tools: tuple[ToolSpec, ...] = (SEARCH,), turns: int = 1) -> View:
    seen = tuple(Turn(n - 1, 0, Actor.AGENT, observation) for n in range(turns))
    before = tuple((SEARCH,) for _ in range(turns - 1))
    return View("wild", seen, tools, before, seed=0, max_tokens=8)


def played(lines: str, *views: View) -> tuple[list[Action], str]:
    sink = StringIO()
    agent = HumanAgent(source=StringIO(lines), sink=sink)

    async def play() -> list[Action]:
        return [(await agent.act(each)).action for each in views]

    return asyncio.run(play()), sink.getvalue()


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("search red fox", Action.call("search", query="red fox")),
        ("search limit=3 red fox", Action.call("search", limit=3, query="red fox")),
        ('{"name": "search", "arguments": {"query": "x"}}', Action.call("search", query="x")),
        ("I found it.", Action(message="I found it.")),
        ("read all", Action(error="read: 'all' is too much; it takes no more values")),
    ],
)
def test_a_line_is_understood(line: str, action: Action) -> None:
    assert understood(line, (SEARCH, READ)) == action


def test_the_first_turn_shows_the_task_and_the_tools() -> None:
    actions, shown = played("search fox\n", view())
    assert actions == [Action.call("search", query="fox")]
    assert "wild, turn 1" in shown
    assert "Find a fox." in shown
    assert "search(query: str, limit: int = 5)  Search it." in shown


def test_later_turns_show_the_tools_when_they_change() -> None:
    _, same = played("hello\n", view("Fine.", turns=2))
    assert "Fine." in same
    assert "search(" not in same
    _, grown = played("hello\n", view("Fine.", (SEARCH, READ), turns=2))
    assert "read()" in grown


def test_what_is_not_understood_is_asked_again() -> None:
    actions, shown = played('\n{"name": 3}\nsearch fox\n', view())
    assert actions == [Action.call("search", query="fox")]
    assert "A tool and its values" in shown
    assert "a tool call needs a string 'name'" in shown


def test_the_end_of_the_input_is_a_farewell_for_good() -> None:
    actions, shown = played("search fox", view(), view(), view())
    assert actions == [Action.call("search", query="fox"), Action(message=FAREWELL), Action(message=FAREWELL)]
    assert shown.count("Goodbye.") == 1


def test_the_world_can_neither_paint_nor_ring() -> None:
    _, shown = played("x\n", view("[bold]loud[/bold] \x1b[31mred\x07"))
    assert "[bold]loud[/bold]" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_episodes_at_once_are_asked_about_one_after_the_other() -> None:
    agent = HumanAgent(source=StringIO("one\ntwo\nthree\n"), sink=StringIO())

    async def play() -> list[Action]:
        return [move.action for move in await asyncio.gather(*(agent.act(view()) for _ in range(3)))]

    assert {action.message for action in asyncio.run(play())} == {"one", "two", "three"}


def test_a_broken_input_is_reported() -> None:
    source = StringIO("x\n")
    source.close()
    agent = HumanAgent(source=source, sink=StringIO())
    with pytest.raises(ValueError, match="closed file"):
        asyncio.run(agent.act(view()))
