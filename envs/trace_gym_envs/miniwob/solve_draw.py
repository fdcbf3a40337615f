"""Reference solutions of pages with drawings: shapes to click and to count, points to set, things to drag."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from trace_gym.core.action import Action
from trace_gym.environment.browser_wire import Found
from trace_gym_envs.miniwob.sight import Sight, Unsolvable, solves

_KINDS = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
_NEAR = 1.5
_SHAPES = "#area_svg > *"


@solves("click-shape")
def click_shape(at: Sight) -> Action:
    """A shape that fits the words."""
    words = at.match(r"Click on a (.*)").group(1)
    found = next(_fitting(at, words), None)
    if found is None:
        raise Unsolvable(f"nothing is {words!r}")
    return at.click(found)


@solves("count-shape")
def count_shape(at: Sight) -> Action:
    """How many shapes fit the words."""
    words = at.match(r"How many (.*)s are there").group(1)
    return at.click("#count-buttons button", str(len(list(_fitting(at, words)))))


@solves("identify-shape")
def identify_shape(at: Sight) -> Action:
    """What the shape is called."""
    (tag, _, text, _), *_ = _drawn(at)
    kind = _KINDS.get(tag) or ("digit" if text.isdigit() else "letter")
    return at.click(f'#area-buttons button[data-type="{kind}"]')


@solves("grid-coordinate")
def grid_coordinate(at: Sight) -> Action:
    """The point of the grid: 30 pixels are one."""
    x, y = (int(part) for part in at.match(r"\((-?\d+),\s*(-?\d+)\)").groups())
    left, top, width, height = at.one("#area svg").box
    wanted = (left + width / 2 + 30 * x, top + height / 2 - 30 * y)
    return at.click(min(at.all("#area svg circle"), key=lambda circle: math.dist(_middle(circle), wanted)))


@solves("ascending-numbers")
def ascending_numbers(at: Sight) -> Action:
    """The first number, then the boxes that hide the others in their order."""
    return at.click("#area_svg text", "1") if at.any("#area_svg text") else at.click("#area_svg rect")


@solves("circle-center")
def circle_center(at: Sight) -> Action:
    """The middle of the circle."""
    return _marked(at, *_points(at, ".black-circle"))


@solves("find-midpoint")
def find_midpoint(at: Sight) -> Action:
    """The middle between two points."""
    (ax, ay), (bx, by) = _points(at, ".black-circle")
    return _marked(at, ((ax + bx) / 2, (ay + by) / 2))


@solves("bisect-angle")
def bisect_angle(at: Sight) -> Action:
    """Along the sum of the two sides' directions."""
    (vx, vy), *_ = _points(at, ".init-blue")
    sides = [(x - vx, y - vy) for x, y in _points(at, ".init-black")]
    units = [(x / math.hypot(x, y), y / math.hypot(x, y)) for x, y in sides]
    return _marked(at, _along(at, (vx, vy), (units[0][0] + units[1][0], units[0][1] + units[1][1])))


@solves("right-angle")
def right_angle(at: Sight) -> Action:
    """Across the line, at its blue end, to the side with more room."""
    (vx, vy), *_ = _points(at, "#init-blue")
    (ax, ay), *_ = _points(at, "#init-black")
    one, other = (_along(at, (vx, vy), way) for way in ((ay - vy, vx - ax), (vy - ay, ax - vx)))
    return _marked(at, max(one, other, key=lambda point: math.dist(point, (vx, vy))))


@solves("drag-box")
def drag_box(at: Sight) -> Action:
    """The small box to the middle of the large one."""
    if at.js("smallBoxContained()"):
        return at.click("#subbtn")
    small, large = at.one("#draggableSmall"), at.one("#draggableLarge")
    return Action.call("drag", ref=small.ref, to_ref=large.ref)


@solves("drag-circle", "drag-single-shape")
def drag_shape(at: Sight) -> Action:
    """The shape some way in the direction."""
    way = at.match(r"Drag the (?:circle|item) (left|right|up|down)").group(1)
    shape = at.one("#area svg circle, #area svg rect, #area svg polygon")
    moved = at.js(
        "(e => {const now = shapes.gridCoords(e), was = e.getBBox(); return [now.x - was.x, now.y - was.y]})"
        "(document.querySelector('#area svg circle, #area svg rect, #area svg polygon'))"
    )
    dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[way]
    if moved[0] * dx + moved[1] * dy > 0:
        return at.click("#subbtn")
    svg, (x, y) = at.one("#area svg"), _middle(shape)
    to_x = min(max(4, x - svg.box[0] + 25 * dx), svg.box[2] - 4)
    to_y = min(max(4, y - svg.box[1] + 25 * dy), svg.box[3] - 4)
    return Action.call("drag", ref=shape.ref, to_ref=svg.ref, to_x=round(to_x), to_y=round(to_y))


def _middle(found: Found) -> tuple[float, float]:
    left, top, width, height = found.box
    return left + width / 2, top + height / 2


def _drawn(at: Sight) -> Iterator[tuple[str, Found, str, int]]:
    """Every shape: its tag, itself, its text, its size in pixels."""
    tags = at.js(f"[...document.querySelectorAll('{_SHAPES}')].map(e => e.tagName)")
    for tag, found in zip(tags, at.tab.find(_SHAPES), strict=True):
        size = re.sub(r"\D", "", found.attributes.get("font-size", "")) or round(found.box[2])
        yield tag, found, found.text, int(size)


def _fitting(at: Sight, words: str) -> Iterator[Found]:
    """The shapes that fit a description such as "small red item", "green digit", "Q"."""
    *attributes, kind = words.split(" ")
    for tag, found, text, size in _drawn(at):
        large = size > 15
        own = {"large" if large else "small", found.attributes.get("fill", "")}
        names = {"item", _KINDS[tag], "shape"} if tag in _KINDS else {"item", text}
        if tag not in _KINDS:
            names.add("digit" if text.isdigit() else "letter")
        if set(attributes) <= own and kind in names:
            yield found


def _points(at: Sight, selector: str) -> list[tuple[float, float]]:
    """The middles of circles, in the drawing's own coordinates."""
    found = at.js(
        "selector => [...document.querySelectorAll(selector)].map(e => e.getBBox())"
        ".map(b => [b.x + b.width / 2, b.y + b.height / 2])",
        selector,
    )
    if not found:
        raise Unsolvable(f"there is no {selector}")
    return [(float(x), float(y)) for x, y in found]


def _along(at: Sight, start: tuple[float, float], way: tuple[float, float]) -> tuple[float, float]:
    """The farthest point from `start` in a direction that lies well inside the drawing."""
    length = math.hypot(*way) or 1.0
    for far in range(90, 5, -5):
        x, y = start[0] + way[0] / length * far, start[1] + way[1] / length * far
        if 6 <= x <= 144 and 6 <= y <= 124:
            return x, y
    return start


def _marked(at: Sight, wanted: tuple[float, float]) -> Action:
    """Submit if the point is set, else click there. The page takes its own coordinates for the drawing's,
    which lies 2 pixels further right and down."""
    if at.any("#blue-circle"):
        (point, *_) = _points(at, "#blue-circle")
        if math.dist(point, wanted) < _NEAR:
            return at.click("#subbtn")
    return at.point("#svg-grid", wanted[0] - 2, wanted[1] - 2)
