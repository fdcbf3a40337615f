"""Reference solutions of pages where one has to find the way to something."""

from __future__ import annotations

import re

from trace_gym.core.action import Action
from trace_gym_envs.miniwob.sight import Sight, Unsolvable, solves


@solves("buy-ticket")
def buy_ticket(at: Sight) -> Action:
    """The ticket with the least or greatest price or duration."""
    what = at.match(r"with the (cheapest|most expensive|shortest|longest) (?:cost|duration)").group(1)
    name = "data-price" if what in ("cheapest", "most expensive") else "data-duration"
    values = [float(each.attributes[name]) for each in at.tab.find(f"[{name}]")]
    best = min(values) if what in ("cheapest", "shortest") else max(values)
    return at.click(at.at(".buy-ticket", values.index(best)))


@solves("phone-book")
def phone_book(at: Sight) -> Action:
    """From page to page to the person, then what is asked for."""
    name, what = at.match(r"Find (.*) in the contact book and click on their (\w+)").groups()
    if at.one("#contact .name").text == name:
        return at.click(f"#contact a.{what}")
    return at.click(".pagination .next a")


@solves("navigate-tree")
def navigate_tree(at: Sight) -> Action:
    """The name, or the outermost folder that is closed above it."""
    name = at.quoted[0]
    shown = [found for found in at.all("#tree span") if found.text == name]
    if shown:
        return at.click(shown[0])
    folder = at.js(
        """name => {
          const all = [...document.querySelectorAll('#tree span')];
          let item = all.find(e => e.textContent === name)?.closest('li'), closed = -1;
          for (item = item?.parentElement.closest('li'); item; item = item.parentElement.closest('li'))
            if (item.classList.contains('expandable')) closed = all.indexOf(item.querySelector('span'));
          return closed;
        }""",
        name,
    )
    if folder < 0:
        raise Unsolvable("the name is nowhere")
    return at.click(at.tab.find("#tree span")[folder])


@solves("search-engine")
def search_engine(at: Sight) -> Action:
    """Search, go to the page, click the result."""
    place = int(at.match(r"(\d)(?:st|nd|rd|th) search result").group(1)) - 1
    if at.one("#search-text").value != at.quoted[0]:
        return at.enter([("#search-text", at.quoted[0])], "#search")
    results = at.all("#page-content a")
    if not results or results[0].attributes["data-result"] == "-1":
        return at.click("#search")
    for result in results:
        if result.attributes["data-result"] == str(place):
            return at.click(result)
    return at.click("#pagination a", str(place // 3 + 1))


@solves("social-media")
def social_media(at: Sight) -> Action:
    """A button below a post, or in its menu."""
    user = at.match(r"For the user (@\S+), click").group(1)
    action = next(name for name, text in at.js("Object.entries(ACTIONS)") if text == at.quoted[0])
    users = [found.text for found in at.tab.find(".media .username")]
    post = f'.media[data-result="{users.index(user)}"]'
    if action in ("reply", "retweet", "like") or at.any(f"{post} li.{action}"):
        return at.click(f"{post} .{action}")
    return at.click(f"{post} .more")


@solves("social-media-all", "social-media-some")
def social_media_some(at: Sight) -> Action:
    """A button below all posts of somebody, or below some of them."""
    user = at.match(r"by (@\S+) and then").group(1)
    action = next(name for name, text in at.js("Object.entries(ACTIONS)") if text == at.quoted[0])
    posts = [place for place, found in enumerate(at.tab.find(".media .username")) if found.text == user]
    some = re.search(r"on (\d+) post", at.instruction)
    wanted = set(posts[: int(some.group(1))] if some else posts)
    for name in at.js("Object.keys(ACTIONS)"):
        for place, button in enumerate(at.tab.find(f".media .{name}")):
            active = "active" in button.attributes.get("class", "")
            if active != (name == action and place in wanted):
                return at.click(button)
    return at.click("#area button")


@solves("click-menu")
def click_menu(at: Sight) -> Action:
    """Down the menu along the names."""
    path = at.match(r"Select (.*)").group(1).split(">")
    shown = {found.text: found for found in at.all("#menu div")}
    return at.click(shown[path[-1]]) if path[-1] in shown else at.hover(_deepest(path, list(shown), at))


@solves("click-menu-2")
def click_menu_2(at: Sight) -> Action:
    """The menu, the submenu, the item with a name or a picture."""
    icons = at.js("PROBLEM_SET")
    picture = at.tab.find("#query span")
    if at.quoted[1:]:
        wanted = at.quoted[1]
    else:
        wanted = next(name for name, icon in icons.items() if icon in picture[0].attributes["class"])
    if not at.any("#menu"):
        return at.click("#open-menu")
    if any(found.text == wanted for found in at.all("#menu div")):
        return at.click("#menu div", wanted)
    return at.hover("#menu div", "Playback")


@solves("find-greatest")
def find_greatest(at: Sight) -> Action:
    """The card with the greatest number."""
    values = [int(card.text) for card in at.tab.find(".card .card-value")]
    card = at.at(".card", values.index(max(values)))
    return at.click(card) if "hidden" in card.attributes["class"] else at.click("#submit")


@solves("stock-market")
def stock_market(at: Sight) -> Action:
    """Buy when the price is low enough; it will be at the 76th price of a hundred, one every 100 ms."""
    limit = float(at.match(r"less than \$([\d.]+)").group(1).rstrip("."))
    if float(at.one("#stock-price").text.lstrip("$")) <= limit:
        return at.click("#buy")
    left = 76 - int(at.js("priceIndex"))
    return Action.call("wait", milliseconds=left * 100 - 500 if 5 < left <= 10 else 1)


def _deepest(path: list[str], shown: list[str], at: Sight) -> str:
    """A selector for the last name of the path that is shown."""
    names = [name for name in path if name in shown]
    if not names:
        raise Unsolvable("the menu is gone")
    found = at.one("#menu div", names[-1])
    return f"#{found.attributes['id']}"
