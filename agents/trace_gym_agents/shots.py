"""Worked examples for prompts: short exchanges that show how the tools of a suite are used one after another.

Small models do what they have just seen done. Leaves out suites whose tools speak for themselves; for those
the renderer invents calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from trace_gym.core.action import ToolCall, ToolSpec

SUM: Final = "State the final answer to the following arithmetic problem:"
Exchange: TypeAlias = tuple[str, ToolCall]


def _exchange(said: str, tool: str, /, **arguments: Any) -> Exchange:
    return said, ToolCall(tool, arguments)


WORKED: Final[Mapping[str, Sequence[Exchange]]] = {
    "humaneval": (
        _exchange(
            'Complete this Python function.\n\ndef double(x: int) -> int:\n    """Twice x."""',
            "write",
            code="def double(x: int) -> int:\n    return 2 * x",
        ),
        _exchange("The solution is written.\nok: double(3) gave 6", "submit"),
        _exchange(
            'Complete this Python function.\n\ndef evens(numbers: list) -> list:\n    """The even ones."""',
            "write",
            code="def evens(numbers: list) -> list:\n    return [n for n in numbers if n % 2 == 0]",
        ),
        _exchange("The solution is written.\nok: evens([1, 2]) gave [2]", "submit"),
    ),
    "reasoning": (
        _exchange(f"{SUM} 24 + 17 - 8 =", "python", code="print(24 + 17 - 8)"),
        _exchange("33", "answer", text="33"),
        _exchange(
            "Ann has 5 bags of 12 apples each and eats 7 apples. How many apples are left? "
            "Give the result as your final answer. Do not include units.",
            "python",
            code="print(5 * 12 - 7)",
        ),
        _exchange("53", "answer", text="53"),
        _exchange(f"{SUM} 306 - 95 + 412 - 7 =", "python", code="print(306 - 95 + 412 - 7)"),
        _exchange("616", "answer", text="616"),
    ),
}


def worked(suite: str, tools: Sequence[ToolSpec]) -> Sequence[Exchange]:
    """What is worked out for a suite, where all the tools that it uses are offered; else nothing."""
    offered = {tool.name for tool in tools}
    shown = WORKED.get(suite, ())
    return shown if all(call.name in offered for _, call in shown) else ()
