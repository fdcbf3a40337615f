"""BrowserEnv: environments whose episodes are lived in a web page, in a tab of their own.

Leaves out what a tab is made of (`browser.py`), and whatever answers its requests: a suite's `serve`.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field

from trace_gym.core.action import ToolSpec
from trace_gym.core.errors import BrowserFailed, BrowserUnavailable
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser import Tab, missing, open_tab
from trace_gym.environment.browser_wire import Look, Memory, Refused, Request, Response, TabOptions
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.fork import Strategy
from trace_gym.environment.tools import ToolError, tool

# The examples are for agents that draw: so they meet elements.
Ref: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000, examples=[1, 2, 3, 4, 5, 6, 8, 10, 13])]
Pixel: TypeAlias = Annotated[int, Field(ge=0, le=10_000, examples=[1, 4, 10, 30])]
Direction: TypeAlias = Literal["up", "down", "left", "right", "top", "bottom"]

_FAR = 10_000
WAYS: dict[str, tuple[int, int]] = {
    **{"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)},
    **{"top": (0, -_FAR), "bottom": (0, _FAR)},
}


class BrowserEnv(AgenticEnv):
    """An environment with a browser tab. Invariant: what changes during an episode is the page, what `serve`
    keeps in `state`, and `np_random`.

    Every episode has a new tab; `begin` goes somewhere with `visit`. Forks replay the episode and compare
    what is seen and the digest of the whole document (`fingerprint`). `offered` names the tools of a suite.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}  # type: ignore[misc]
    fork: ClassVar[Strategy] = "replay"
    offered: ClassVar[tuple[str, ...]] = (
        *("click", "type", "select", "press", "scroll", "hover"),
        *("drag", "goto", "back", "wait"),
    )

    def __init__(
        self, *, reward: RewardRule = "outcome", split: Split = Split.TRAIN, render_mode: str | None = None
    ) -> None:
        """`render_mode` is None, "ansi" or "rgb_array" (the window). Raises BrowserUnavailable."""
        reason = missing()
        if reason is not None:
            raise BrowserUnavailable(reason)
        text = None if render_mode == "rgb_array" else render_mode
        super().__init__(reward=reward, split=split, render_mode=text)
        self.render_mode = render_mode
        self._tab: Tab | None = None
        self._look: Look | None = None

    @abstractmethod
    def serve(self, request: Request) -> Response:
        """Answer a request of the page. Called on the environment's own thread, while it waits."""

    @abstractmethod
    def tab_options(self, task: Task) -> TabOptions:
        """How the tab of a task is opened."""

    @property
    def tab(self) -> Tab:
        """The episode's tab. Raises BrowserFailed before the first episode and after `close`."""
        if self._tab is None:
            raise BrowserFailed("there is no tab: it is opened by reset() and closed by close()")
        return self._tab

    @property
    def page(self) -> Look:
        """What the page showed when it was last looked at."""
        if self._look is None:
            raise BrowserFailed("the page has not been looked at: begin() must visit one")
        return self._look

    def visit(self, address: str) -> str:
        """Go to an address and say what is there; for `begin`."""
        self.tab.goto(address)
        return self.observe()

    def observe(self) -> str:
        """Let the page come to rest and say what it shows."""
        self._look = self.tab.look()
        return self._look.text

    def reopen(self, memory: Memory | None = None) -> None:
        """Put a new tab, with a remembered past or none, in the place of the episode's."""
        self._shut()
        self._tab = open_tab(self.tab_options(self.task), self.serve, memory)

    def fingerprint(self) -> str:
        """The digest of the whole document."""
        return "" if self._look is None else self._look.digest

    @classmethod
    def toolbox(cls) -> Sequence[ToolSpec]:
        """The suite's own tools, and those of the browser that it offers."""
        hidden = {name for name in BrowserEnv.methods if name not in cls.offered}
        return tuple(method.spec for name, method in cls.methods.items() if name not in hidden)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run one call; what the page refuses is an answer."""
        try:
            return super().call(name, arguments)
        except Refused as refusal:
            raise ToolError(f"{name}: {refusal}.") from refusal

    @tool
    def click(
        self, ref: Ref, x: Pixel | None = None, y: Pixel | None = None, count: Literal[1, 2, 3] = 1
    ) -> str:
        """Click an element.

        Args:
            ref: The number in brackets before the element.
            x: Where in the element, in pixels from its left edge; usually left out.
            y: Where in the element, in pixels from its top edge; usually left out.
            count: 2 for a double click, 3 to select a paragraph.
        """
        self.tab.click(ref, x=x, y=y, count=count)
        return self.observe()

    @tool
    def type(self, ref: Ref, text: Annotated[str, Field(max_length=5000)], clear: bool = True) -> str:
        """Type into a field.

        Args:
            ref: The number in brackets before the field.
            text: What to type; a line break presses Enter.
            clear: Whether it replaces what the field holds, or is added.
        """
        self.tab.type(ref, text, clear=clear)
        return self.observe()

    @tool
    def select(self, ref: Ref, option: Annotated[str, Field(max_length=500)]) -> str:
        """Choose an option of a list.

        Args:
            ref: The number in brackets before the list (a combobox or listbox).
            option: The option's text.
        """
        self.tab.choose(ref, option)
        return self.observe()

    @tool
    def press(self, key: Annotated[str, Field(max_length=40)]) -> str:
        """Press a key.

        Args:
            key: Such as Enter, Tab, Escape, ArrowDown, a, Control+A.
        """
        self.tab.press(key)
        return self.observe()

    @tool
    def scroll(self, direction: Direction, ref: Ref | None = None) -> str:
        """Scroll the page, or one element of it.

        Args:
            direction: Where to; top and bottom go all the way.
            ref: The number in brackets before the element; left out for the page.
        """
        right, down = WAYS[direction]
        moved = self.tab.scroll(ref, right=right, down=down)
        return self.observe() if moved else f"(nothing to scroll {direction})\n{self.observe()}"

    @tool
    def hover(self, ref: Ref, x: Pixel | None = None, y: Pixel | None = None) -> str:
        """Move the pointer over an element.

        Args:
            ref: The number in brackets before the element.
            x: Where in the element, in pixels from its left edge; usually left out.
            y: Where in the element, in pixels from its top edge; usually left out.
        """
        self.tab.hover(ref, x=x, y=y)
        return self.observe()

    @tool
    def drag(
        self,
        ref: Ref,
        to_ref: Ref,
        x: Pixel | None = None,
        y: Pixel | None = None,
        to_x: Pixel | None = None,
        to_y: Pixel | None = None,
    ) -> str:
        """Press the pointer on one place, move it to another and release it.

        Args:
            ref: The number in brackets before the element to start on.
            to_ref: The number in brackets before the element to end on; may be the same.
            x: Where in the first element, in pixels from its left edge; left out: its middle.
            y: Where in the first element, in pixels from its top edge; left out: its middle.
            to_x: Where in the second element, in pixels from its left edge; left out: its middle.
            to_y: Where in the second element, in pixels from its top edge; left out: its middle.
        """
        self.tab.drag((ref, x, y), (to_ref, to_x, to_y))
        return self.observe()

    @tool
    def goto(self, url: Annotated[str, Field(max_length=2000)]) -> str:
        """Go to an address of this site.

        Args:
            url: The address, or the part after the site's name, such as /cart.
        """
        self.tab.goto(url)
        return self.observe()

    @tool
    def back(self) -> str:
        """Go back to the page before."""
        self.tab.back()
        return self.observe()

    @tool
    def wait(self, milliseconds: Annotated[int, Field(ge=1, le=10_000)]) -> str:
        """Let time pass.

        Args:
            milliseconds: How long.
        """
        self.tab.wait(milliseconds)
        return self.observe()

    def render(self) -> Any:
        """The latest turn as text, or the window as an array of height x width x 3 bytes."""
        if self.render_mode != "rgb_array":
            return super().render()
        self._running("render()")
        return pixels(self.tab.screenshot())

    def close(self) -> None:
        """Close the tab."""
        self._shut()
        super().close()

    def _open(self, task: Task) -> tuple[str, dict[str, Any]]:
        self.task = task
        self.reopen()
        return super()._open(task)

    def _shut(self) -> None:
        self._look = None
        if self._tab is not None:
            self._tab.close()
            self._tab = None


def pixels(png: bytes) -> Any:
    """A PNG as an array of height x width x 3 bytes."""
    image = import_module("PIL.Image").open(io.BytesIO(png)).convert("RGB")
    return np.asarray(image)
