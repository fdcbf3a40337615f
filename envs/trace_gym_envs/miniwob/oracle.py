"""The reference solutions of the pages that have one. Agents never see any of it.

A solution reads the page's document and, where that does not hold the answer, its variables; it looks at the
page as it is, so it goes on after any actions. Leaves out the solutions themselves (`solve_*.py`).
"""

from __future__ import annotations

from typing import Final

from trace_gym.core.action import Action
from trace_gym.environment.browser import Tab
from trace_gym_envs.miniwob import solve_choose, solve_draw, solve_find, solve_mail, solve_type
from trace_gym_envs.miniwob.sight import SOLUTIONS, Sight, Unsolvable

MODULES: Final = (solve_choose, solve_draw, solve_find, solve_mail, solve_type)
SOLVED: Final = frozenset(SOLUTIONS)
"""The pages that have a reference solution."""


def next_action(page: str, tab: Tab, instruction: str) -> Action | None:
    """The next action of a page's solution; None where there is none, or no way on."""
    if page not in SOLVED:
        return None
    try:
        return SOLUTIONS[page](Sight(tab, instruction))
    except (Unsolvable, LookupError, StopIteration, ValueError):
        return None  # A page that wrong actions have brought out of order shows what no solution can read.
