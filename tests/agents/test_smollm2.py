"""The SmolLM2 renderer: calls begun for the model, examples of the task's own tools, short descriptions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import floats, ids
from trace_gym.environment.registry import suite as suite_of
from trace_gym.environment.spaces import ActionSpace
from trace_gym.testing import ToyTokenizer
from trace_gym_agents.shots import WORKED
from trace_gym_agents.smollm2 import BEGUN, SmolLM2Renderer, described, examples

TOY = ToyTokenizer(control=("<|im_end|>", "<|im_start|>"))
END = TOY.eos_id
STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def tool(name: str, required: tuple[str, ...], /, about: str = "", **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name, about, {**schema, "additionalProperties": False})


CALC = tool("calculator", ("expression",), "Evaluate an expression.", expression=STRING)
BOOK = tool("book", ("city", "nights"), "Book a room. Slowly.", city=STRING, nights=INTEGER, floor=INTEGER)
LIST = tool("ls", (), "List files.", all={"type": "boolean", "default": False})
TOOLS = (CALC, BOOK, LIST)


def renderer(shots: int = 3) -> SmolLM2Renderer:
    return SmolLM2Renderer(TOY, shots=shots)


def turn(observation: str, said: list[int]) -> Turn:
    zeros = floats([0.0] * len(said))
    return Turn(
        0, 0, Actor.POLICY, observation, action=Action(message=""), action_ids=ids(said), logprobs=zeros
    )


def test_the_prompt_ends_in_the_beginning_of_a_call() -> None:
    prompt = renderer(1).open("What is 2 + 2?", [CALC], suite="x").tolist()
    assert TOY.decode(prompt) == (
        "<|im_start|>system\nReply with one tool call as JSON.\nTools:\n"
        "calculator(expression: str) Evaluate an expression.\n"
        "say(text: str) Say something to the user.<|im_end|>\n"
        "<|im_start|>user\nWhat is red?<|im_end|>\n"
        '<|im_start|>assistant\n{"tool": "calculator", "expression": "red"}<|im_end|>\n'
        '<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n{"tool": "'
    )


def test_a_worked_example_takes_the_place_of_invented_calls() -> None:
    python, answer = tool("python", ("code",), code=STRING), tool("answer", ("text",), text=STRING)
    shown = TOY.decode(renderer().open("What is 1 + 1?", [python, answer], suite="reasoning").tolist())
    assert (
        "24 + 17 - 8 =<|im_end|>\n"
        '<|im_start|>assistant\n{"tool": "python", "code": "print(24 + 17 - 8)"}<|im_end|>\n'
        '<|im_start|>user\n33<|im_end|>\n<|im_start|>assistant\n{"tool": "answer", "text": "33"}<|im_end|>\n'
    ) in shown
    assert "What is red?" not in shown
    for shots, tools in ((0, [python, answer]), (3, [answer])):
        other = renderer(shots).open("", tools, suite="reasoning")
        assert "24 + 17" not in TOY.decode(other.tolist())


@pytest.mark.parametrize("suite", WORKED)
def test_worked_examples_are_what_they_show(suite: str) -> None:
    """Every call is one that the suite's tools take, and every script says what the next observation says."""
    env_class = suite_of(suite).env_class
    space = ActionSpace(env_class.toolbox())
    exchanges = WORKED[suite]
    for (_, call), (said, _) in zip(exchanges, [*exchanges[1:], ("", None)], strict=True):
        assert space.contains(Action(calls=(call,)))
        if call.name == "python":
            expression = call.arguments["code"].removeprefix("print")
            assert str(eval(expression)) == said


def test_deltas_close_cut_turns_and_tell_of_tools() -> None:
    said = renderer().write(Action.call("ls"), TOOLS).tolist()
    plain = TOY.decode(renderer().follow(turn("a.txt", said), ()).tolist())
    assert plain == '\n<|im_start|>user\na.txt<|im_end|>\n<|im_start|>assistant\n{"tool": "'
    cut = TOY.decode(renderer().follow(turn("?", said[:-1]), [LIST]).tolist())
    told = "?\nMore tools:\nls(all: bool = false) List files."
    assert cut == f'<|im_end|>\n<|im_start|>user\n{told}<|im_end|>\n<|im_start|>assistant\n{{"tool": "'


def test_the_world_cannot_end_its_turn() -> None:
    prompt = renderer(0).open("<|im_end|><|im_start|>", (), suite="x").tolist()
    assert [token for token in prompt if token >= 256] == [END + 1, END, END + 1, END, END + 1]


def test_examples_go_round_the_tools_that_need_arguments() -> None:
    assert list(examples(TOOLS, 3)) == [
        ("What is red?", ToolCall("calculator", {"expression": "red"})),
        ("What is blue sea and 5?", ToolCall("book", {"city": "blue sea", "nights": 5})),
        ("What is 3 green?", ToolCall("calculator", {"expression": "3 green"})),
    ]
    assert not list(examples([LIST], 3))


def test_examples_take_the_schemas_own() -> None:
    apt = tool("t", ("x", "y"), x={"type": "string", "examples": ["12 + 30", "7"]}, y={"enum": [1, 2]})
    assert [call.arguments for _, call in examples([apt], 3)] == [
        {"x": "12 + 30", "y": 1},
        {"x": "7", "y": 2},
        {"x": "12 + 30", "y": 1},
    ]


def test_every_example_is_a_valid_call_that_parses() -> None:
    kinds = ("string", "integer", "number", "boolean", "array", "object", "null")
    tools = [tool(f"t{kind}", ("x",), x={"type": kind}) for kind in kinds]
    tools += [tool("either", ("x",), x={"type": ["integer", "string"]}), tool("any", ("x",), x={})]
    shown = [Action(calls=(call,)) for _, call in examples(tools, 3 * len(tools))]
    assert len(shown) == 27
    assert all(action in ActionSpace(tools) for action in shown)
    assert all(renderer().parse(renderer().spell(action), tools) == action for action in shown)


def test_descriptions_leave_out_what_tools_share() -> None:
    shared = "This tool belongs to the car. It is blue.\n"
    tools = [
        tool("start", (), shared + "Starts the engine. Loudly."),
        tool("stop", (), shared + "Stops the engine."),
        tool("mute", (), shared),
        tool("long", (), "word " * 50),
    ]
    start, stop, mute, long = described(tools)
    assert [start, stop, mute] == ["start() Starts the engine.", "stop() Stops the engine.", "mute()"]
    assert len(long) == len("long() ") + 100
    assert long.endswith("word…")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('calculator", "expression": "2 + 2"}', Action.call("calculator", expression="2 + 2")),
        ('ls"}', Action.call("ls")),
        ('ls"} and that is all {', Action.call("ls")),
        ('ls"}\n{"tool": "ls", "all": true}', Action(calls=(ToolCall("ls"), ToolCall("ls", {"all": True})))),
        ('ls"}\nand {"tool": "ls"}', Action.call("ls")),
        ('say", "text": "Hello."}', Action(message="Hello.")),
        ('ls", "arguments": {"all": true}}', Action.call("ls", all=True)),
        ('ls", "arguments": 3}', Action.call("ls", arguments=3)),
    ],
)
def test_what_a_turn_says(text: str, action: Action) -> None:
    assert renderer().parse(text, TOOLS) == action


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the call is not valid JSON"),
        ('calculator", "expression": 35 * 67}', "the call is not valid JSON"),
        ('ls"}\n{"tool": "l', "the call is not valid JSON"),
        ('ls", "tool": 3}', "a call begins with the name of a tool"),
        ('say", "text": 3}', "say stands alone and takes one text"),
        ('say"}', "say stands alone and takes one text"),
        ('ls"}\n{"tool": "say", "text": "x"}', "say stands alone and takes one text"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, reason: str) -> None:
    action = renderer().parse(text, TOOLS)
    assert not action.calls
    assert reason in str(action.error)


def test_a_suites_own_say_is_a_call() -> None:
    own = tool("say", ("text",), text=STRING)
    assert renderer().parse('say", "text": "x"}', [own]) == Action.call("say", text="x")


CALLS = st.builds(
    ToolCall,
    st.text(min_size=1).filter(lambda name: name != "say"),
    st.dictionaries(
        st.text(max_size=4) | st.sampled_from(["tool", "arguments"]),
        st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists, max_leaves=4)
        | st.dictionaries(st.sampled_from(["tool", "arguments"]), st.integers()),
    ),
)


@given(
    st.builds(Action, calls=st.lists(CALLS, min_size=1, max_size=3).map(tuple))
    | st.builds(Action, message=st.text())
)
@settings(max_examples=300, deadline=None)
def test_actions_survive_both_spellings(action: Action) -> None:
    assert renderer().parse(renderer().spell(action), TOOLS) == action
    said = renderer().write(action, TOOLS).tolist()
    assert said[-1] == END
    assert renderer().parse(TOY.decode(said[:-1]), TOOLS) == action


@given(
    st.lists(
        st.sampled_from(['"', "}", "{", ":", ",", "\n", BEGUN, "say", '"text"', "[", "1e999"])
        | st.text(st.characters(), max_size=4)
    )
)
@settings(max_examples=500, deadline=None)
def test_any_text_is_parsed(pieces: list[str]) -> None:
    assert isinstance(renderer().parse("".join(pieces), TOOLS), Action)
    assert isinstance(renderer().parse('ls", ' + "".join(pieces), TOOLS), Action)


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the renderer 'compact'"):
        SmolLM2Renderer(ToyTokenizer(control=("</s>",)))
    with pytest.raises(ValueError, match="shots must not be negative"):
        renderer(-1)
    with pytest.raises(ValueError, match="an error cannot be spelled"):
        renderer().spell(Action(error="x"))
