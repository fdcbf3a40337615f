"""The pages of MiniWoB++ in a real Chromium: splits, solutions, strict rewards, exact replay, certification.

A handful of pages here; `trace-gym check miniwob` goes through more, the slow test through all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.browser_wire import Request
from trace_gym.environment.tasks import straddling
from trace_gym.environment.trial import Wanderer, difference, follow, opened, play
from trace_gym_envs.miniwob import pages
from trace_gym_envs.miniwob.oracle import SOLVED
from trace_gym_envs.miniwob.suite import MiniWob

VARIED = ("click-checkboxes", "email-inbox-forward", "login-user-popup", "click-menu", "find-midpoint")


def task(page: str, seed: int = 0, turns: int = 30) -> Task:
    payload = {"page": page, "seed": seed}
    return Task(
        f"{page}.{seed}", "miniwob", Split.TRAIN, page, payload=payload, limits=Limits(max_turns=turns)
    )


@pytest.fixture(scope="module")
def env() -> Iterator[MiniWob]:
    made = MiniWob(render_mode="rgb_array")
    yield made
    made.close()


def solve(env: MiniWob, wanted: Task) -> float:
    """The reward of the reference solution."""
    env.reset(options={"task": wanted})
    while (action := env.oracle()) is not None:
        _, reward, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return reward
    return -1.0


def test_no_page_and_no_variant_of_one_is_on_both_sides() -> None:
    train, test = pages.pages(Split.TRAIN), pages.pages(Split.TEST)
    assert len(train) + len(test) + len(pages.LEFT_OUT) == 130
    assert len(test) >= 20
    assert not {pages.stem(page) for page in train} & {pages.stem(page) for page in test}
    assert pages.stem("email-inbox-forward-nl-turk") == "email-inbox"
    assert not straddling(MiniWob.tasks(Split.TRAIN), MiniWob.tasks(Split.TEST))


def test_at_least_sixty_pages_have_a_solution_and_tasks_say_so() -> None:
    assert len(SOLVED) >= 60
    assert set(pages.pages()) >= SOLVED
    subsets = {each.family: each.subset for each in MiniWob.tasks(Split.TEST)}
    assert {page for page, subset in subsets.items() if subset == "oracle"} == SOLVED & set(subsets)


def test_files_are_served_from_the_package_alone() -> None:
    page = pages.serve(Request("GET", "http://miniwob.test/miniwob/click-test.html"))
    assert (page.status, dict(page.headers)["Content-Type"]) == (200, "text/html; charset=utf-8")
    for address in (
        "/miniwob/none.html",
        "/../envs/__init__.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/miniwob",
        "/",
    ):
        assert pages.serve(Request("GET", f"http://miniwob.test{address}")).status == 404


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("page", VARIED)
def test_solutions_earn_the_whole_reward(env: MiniWob, page: str) -> None:
    assert solve(env, task(page)) == 1.0


@pytest.mark.needs("chromium")
def test_what_the_page_pays_in_part_is_no_success(env: MiniWob) -> None:
    env.reset(options={"task": task("find-greatest")})
    values = [int(card.text) for card in env.tab.find(".card-value")]
    cards = env.tab.find(".card")
    env.step(Action.call("click", ref=cards[values.index(min(values))].ref))
    _, reward, terminated, _, info = env.step(Action.call("click", ref=env.tab.find("#submit")[0].ref))
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    assert "raw reward 0.1" in info["verdicts"][1].evidence


@pytest.mark.needs("chromium")
def test_the_observation_tells_drawings_and_neither_rewards_nor_the_instruction_twice(env: MiniWob) -> None:
    observation, _ = env.reset(options={"task": task("find-midpoint")})
    assert observation.count("mid-point") == 1
    assert "circle fill #000000 at" in observation
    assert "reward" not in observation
    assert env.render().shape == (210, 160, 3)


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("page", ["click-pie", "chase-circle"])
def test_replay_is_exact_where_things_move(env: MiniWob, page: str) -> None:
    moving = task(page, turns=5)
    seen, actions = play(env, moving, 0, Wanderer(np.random.default_rng(0)))
    other = MiniWob()
    assert difference(seen, [opened(other, moving, 1), *follow(other, actions)]) is None
    other.close()


@pytest.mark.slow
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("page", sorted(SOLVED)[::5])
def test_every_fifth_solution_works_with_another_seed(env: MiniWob, page: str) -> None:
    """All of them: `trace-gym eval miniwob:oracle --agent oracle`."""
    assert solve(env, task(page, 7)) == 1.0
