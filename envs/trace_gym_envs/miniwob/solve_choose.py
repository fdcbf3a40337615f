"""Reference solutions of pages where something is clicked, ticked or chosen."""

from __future__ import annotations

import re

from trace_gym.core.action import Action
from trace_gym_envs.miniwob.sight import Sight, Unsolvable, solves


@solves("click-test", "click-test-2", "click-test-transfer")
def click_test(at: Sight) -> Action:
    """The button, or that named ONE."""
    return at.click("#subbtn")


@solves("click-button", "unicode-test")
def click_button(at: Sight) -> Action:
    """The button with the text."""
    return at.click("#area button", at.quoted[0])


@solves("click-button-sequence")
def click_button_sequence(at: Sight) -> Action:
    """ONE, then TWO; the page marks what has been clicked."""
    first = at.one("#subbtn")
    return at.click("#subbtn2") if "data-tampered" in first.attributes else at.click(first)


@solves("button-delay")
def button_delay(at: Sight) -> Action:
    """ONE, then TWO when the page's clock has gone on long enough."""
    passed = at.js("typeof currentTime === 'number' ? Date.now() - currentTime : null")
    if passed is None:
        return at.click("#subbtn")
    left = 1000 * int(at.match(r"wait (\d+) second").group(1)) - int(passed)
    if left < 100:
        return at.click("#subbtn2")
    return Action.call("wait", milliseconds=max(1, left - 500))


@solves("click-link")
def click_link(at: Sight) -> Action:
    """The link with the text."""
    return at.click(".alink", at.quoted[0])


@solves("click-dialog")
def click_dialog(at: Sight) -> Action:
    """The x of the dialog."""
    return at.click(".ui-dialog-titlebar button")


@solves("click-dialog-2")
def click_dialog_2(at: Sight) -> Action:
    """The x of the dialog, or one of its buttons."""
    wanted = at.quoted[0]
    if wanted == "x":
        return at.click(".ui-dialog-titlebar button")
    return at.click(".ui-dialog-buttonset button", wanted)


@solves("click-tab")
def click_tab(at: Sight) -> Action:
    """The tab."""
    return at.click("#area ul a", at.match(r"Click on (Tab #\d)").group(1))


@solves("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard")
def click_tab_2(at: Sight) -> Action:
    """The link, or the tab behind which it is. One page empties its second tab; that is then right."""
    wanted = at.quoted[0]
    if any(found.text == wanted for found in at.all(".alink")):
        return at.click(".alink", wanted)
    panel = at.js(
        "text => [...document.querySelectorAll('.alink')].find(e => e.innerHTML === text)"
        "?.closest('[id^=tabs-]').id ?? null",
        wanted,
    )
    return at.click(f'#area ul a[href="#{panel or "tabs-2"}"]')


@solves("click-collapsible", "click-collapsible-nodelay")
def click_collapsible(at: Sight) -> Action:
    """The section, if it is not open, then the button."""
    return at.click("#subbtn") if at.any(".ui-accordion-content") else at.click("#area h3")


@solves("click-collapsible-2", "click-collapsible-2-nodelay")
def click_collapsible_2(at: Sight) -> Action:
    """The link, or the section in which it is."""
    wanted = at.quoted[0]
    if any(found.text == wanted for found in at.all(".alink")):
        return at.click(".alink", wanted)
    place = at.js(
        "text => [...document.querySelectorAll('#area h3')].indexOf([...document.querySelectorAll('.alink')]"
        ".find(e => e.innerHTML === text).closest('.ui-accordion-content').previousElementSibling)",
        wanted,
    )
    return at.click(at.at("#area h3", int(place)))


@solves("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def click_checkboxes(at: Sight) -> Action:
    """Those named."""
    named = at.match(r"Select (.*) and click Submit").group(1).split(", ")
    labels = [label.text in named for label in at.all("#area label")]
    return at.tick(zip(at.all("#area input"), labels, strict=True), "#subbtn")


@solves("click-checkboxes-soft")
def click_checkboxes_soft(at: Sight) -> Action:
    """Those that the page knows as synonyms of a word named."""
    named = set(at.match(r"similar to (.*) and click Submit").group(1).split(", "))
    wanted = {word for words in at.js("SYNONYMS") if named & set(words) for word in words}
    labels = [label.text in wanted for label in at.all("#boxes label")]
    return at.tick(zip(at.all("#boxes input"), labels, strict=True), "#subbtn")


@solves("click-option")
def click_option(at: Sight) -> Action:
    """The radio button."""
    name = at.match(r"Select (.*) and click Submit").group(1)
    labels = [label.text for label in at.all("#boxes label")]
    if name not in labels:
        raise Unsolvable(f"there is no {name}")
    box = at.at("#boxes input", labels.index(name))
    return at.click("#subbtn") if box.checked else at.click(box)


@solves("choose-list")
def choose_list(at: Sight) -> Action:
    """The option."""
    name, box = at.match(r"Select (.*) from the list").group(1), at.one("select")
    chosen = at.js("document.querySelector('select').selectedOptions[0].text")
    if chosen == name or box.ref is None:
        return at.click("#area button")
    return Action.call("select", ref=box.ref, option=name)


@solves("click-scroll-list")
def click_scroll_list(at: Sight) -> Action:
    """The options; choosing one again takes it back."""
    listed = at.match(r"Select (.*) from the scroll list").group(1)
    box = at.one("select")
    for name, chosen in at.js("[...document.querySelector('select').options].map(o => [o.text, o.selected])"):
        wanted = re.search(rf"(?:^|, ){re.escape(name)}(?:, |$)", listed) is not None
        if wanted != chosen and box.ref is not None:
            return Action.call("select", ref=box.ref, option=name)
    return at.click("#area button")


@solves("click-color")
def click_color(at: Sight) -> Action:
    """The box of the colour."""
    colour = at.match(r"Click on the (.*) colored box").group(1)
    return at.click(f'#area .color[data-color="{colour}"]')


@solves("click-shades")
def click_shades(at: Sight) -> Action:
    """The spots of the colour."""
    colour = at.match(r"shades of (\w+)").group(1)
    for spot in at.all("#area span"):
        if (spot.attributes["data-color"] == colour) != (spot.attributes.get("class") == "selected"):
            return at.click(spot)
    return at.click("#submit")


@solves("click-widget")
def click_widget(at: Sight) -> Action:
    """A widget of the kind."""
    return at.click(f'#area .widget [data-type="{at.quoted[0]}"]')


@solves("focus-text", "focus-text-2")
def focus_text(at: Sight) -> Action:
    """The only field, or that at a place."""
    found = re.search(r"(\d)(?:st|nd|rd) input", at.instruction)
    return at.click(at.at("#area input", int(found.group(1)) - 1 if found else 0))


@solves("form-sequence-2")
def form_sequence_2(at: Sight) -> Action:
    """A radio button, a number, the button."""
    found = at.match(r"(\d)(?:st|nd|rd) radio button .*\"(-?\d+)\" into the (\d)(?:st|nd|rd) textbox")
    radio = at.at("#area input[type=radio]", int(found.group(1)) - 1)
    if not radio.checked:
        return at.click(radio)
    field = at.at("#area input:not([type=radio])", int(found.group(3)) - 1)
    return at.enter([(field, found.group(2))], "#area button")


@solves("form-sequence-3")
def form_sequence_3(at: Sight) -> Action:
    """An option of a drawn list, then a button."""
    found = at.match(r"Choose (.*) from the dropdown, then click the button labeled \"(.*)\"")
    if at.js("$('#dropdown').val()") == found.group(1):
        return at.click("#buttons button", found.group(2))
    if at.any(".selectric-items li"):
        return at.click(".selectric-items li", found.group(1))
    return at.click(".selectric .button")


@solves("order-food")
def order_food(at: Sight) -> Action:
    """The dishes named, or as many of a kind as asked for."""
    menu = at.js("MENU")
    kind = re.search(r"Order (\d+) items that are (.*)", at.instruction)
    if kind:
        first = next(dish["id"] for dish in menu if kind.group(2) in dish["types"])
        wanted = {first: int(kind.group(1))}
    else:
        names = [name.strip() for name in at.match(r"each item: (.*)").group(1).split(", ")]
        wanted = {dish["id"]: 1 for dish in menu if dish["name"].strip() in names}
    for item in at.tab.find(".food-item"):
        number, has = int(item.attributes["data-id"]), int(item.attributes["data-quantity"])
        if has != wanted.get(number, 0):
            sign = "add" if has < wanted.get(number, 0) else "remove"
            return at.click(f'.food-item[data-id="{number}"] .{sign}')
    return at.click("#submit-order button")


@solves("odd-or-even")
def odd_or_even(at: Sight) -> Action:
    """A word for each number."""
    for place, number in enumerate(at.all(".display-number")):
        kind = "odd" if int(number.text) % 2 else "even"
        button = at.at(f"#numbers .{kind}", place)
        if "selected" not in button.attributes.get("class", ""):
            return at.click(button)
    return at.click("#submit")
