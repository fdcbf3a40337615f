"""Reference solutions of pages where something is typed, counted, copied or set."""

from __future__ import annotations

import re
from datetime import datetime

from trace_gym.core.action import Action
from trace_gym_envs.miniwob.sight import Sight, Unsolvable, solves


@solves("enter-text", "enter-text-dynamic")
def enter_text(at: Sight) -> Action:
    """The text."""
    return at.enter([("#tt", at.quoted[0])], "#subbtn")


@solves("enter-text-2")
def enter_text_2(at: Sight) -> Action:
    """The text in upper or lower case."""
    text = at.quoted[0].upper() if "upper case" in at.instruction else at.quoted[0].lower()
    return at.enter([("#tt", text)], "#subbtn")


@solves("enter-password")
def enter_password(at: Sight) -> Action:
    """The password, twice."""
    return at.enter([("#password", at.quoted[0]), ("#verify", at.quoted[0])], "#subbtn")


@solves("login-user", "login-user-popup")
def login_user(at: Sight) -> Action:
    """Name and password; a box that pops up is sent away."""
    if at.any("#popup-cancel"):
        return at.click("#popup-cancel")
    return at.enter([("#username", at.quoted[0]), ("#password", at.quoted[1])], "#subbtn")


@solves("enter-date")
def enter_date(at: Sight) -> Action:
    """The date."""
    month, day, year = at.match(r"(\d+)/(\d+)/(\d+)").groups()
    return at.enter([("#tt", f"{year}-{month}-{day}")], "#subbtn")


@solves("enter-time")
def enter_time(at: Sight) -> Action:
    """The time."""
    clock, half = at.match(r"Enter ([\d:]+)\s*([AP]M)").groups()
    when = datetime.strptime(f"{clock} {half}", "%I:%M %p")
    return at.enter([("#tt", when.strftime("%H:%M"))], "#subbtn")


@solves("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def choose_date(at: Sight) -> Action:
    """Month by month to the date, then the day."""
    text = at.match(r"\d+/\d+/\d+").group(0)
    wanted = datetime.strptime(text, "%m/%d/%Y")
    if at.one("#datepicker").value == text:
        return at.click("#subbtn")
    if not at.any(".ui-datepicker-title"):
        return at.click("#datepicker")
    shown = datetime.strptime(at.one(".ui-datepicker-title").text, "%B %Y")
    if (shown.year, shown.month) != (wanted.year, wanted.month):
        return at.click(f".ui-datepicker-{'prev' if shown > wanted else 'next'}")
    return at.click("#ui-datepicker-div td a", str(wanted.day))


@solves("copy-paste")
def copy_paste(at: Sight) -> Action:
    """The text of the area."""
    return at.enter([("#answer-input", at.one("#to-copy").value)], "#subbtn")


@solves("copy-paste-2")
def copy_paste_2(at: Sight) -> Action:
    """The text of one of the areas."""
    place = at.match(r"the (\d)(?:st|nd|rd) text area").group(1)
    return at.enter([("#answer-input", at.one(f"#text-{place}").value)], "#subbtn")


@solves("read-table")
def read_table(at: Sight) -> Action:
    """The value beside a name."""
    cells = [cell.text for cell in at.all("#tab td")]
    key = at.match(r"value of (.*) into").group(1)
    return at.enter([("#tt", cells[cells.index(key) + 1])], "#subbtn")


@solves("read-table-2")
def read_table_2(at: Sight) -> Action:
    """The values beside two names."""
    cells = [cell.text for cell in at.all("#tab td")]
    keys = [at.one(f"#ll{place}").attributes["data-key"] for place in (1, 2)]
    fields = [(f"#tt{place}", cells[cells.index(key) + 1]) for place, key in enumerate(keys, start=1)]
    return at.enter(fields, "#subbtn")


@solves("find-word")
def find_word(at: Sight) -> Action:
    """The word at a place."""
    words = at.one("#area p").text.split()
    word = words[int(at.match(r"the (\d+)(?:st|nd|rd|th) word").group(1)) - 1]
    return at.enter([("#answer-input", re.sub(r"[^a-zA-Z]", "", word))], "#subbtn")


@solves("scroll-text")
def scroll_text(at: Sight) -> Action:
    """The last word. The page asks for its comma, if it has one, and then takes none: never solved."""
    word = at.one("#text-area").value.split()[-1].replace(".", "", 1)
    if not word.isalnum():
        raise Unsolvable("the page does not take its own answer")
    return at.enter([("#answer-input", word)], "#subbtn")


@solves("scroll-text-2")
def scroll_text_2(at: Sight) -> Action:
    """Up or down until there is nothing more."""
    down = "bottom" in at.instruction
    above, below = at.js(
        "(e => [e.scrollTop, e.scrollHeight - e.clientHeight - e.scrollTop])"
        "(document.querySelector('#text-area'))"
    )
    if (below if down else above) < 5:
        return at.click("#subbtn")
    return Action.call("scroll", direction="bottom" if down else "top", ref=at.one("#text-area").ref)


@solves("sign-agreement")
def sign_agreement(at: Sight) -> Action:
    """To the end of the text, the name, one of the buttons."""
    if not at.quoted:
        return at.click("#cancel")
    name, button = at.quoted
    if "disabled" in at.one("#name").attributes:
        return Action.call("scroll", direction="bottom", ref=at.one("#text-area").ref)
    return at.enter([("#name", name)], f"#{button.lower()}")


@solves("simple-arithmetic")
def simple_arithmetic(at: Sight) -> Action:
    """The sum, difference or product."""
    one, sign, two = re.findall(r"\d+|[-+x]", at.one("#math-problem").text)
    results = {"+": int(one) + int(two), "-": int(one) - int(two), "x": int(one) * int(two)}
    return at.enter([("#math-answer", str(results[sign]))], "#subbtn")


@solves("simple-algebra")
def simple_algebra(at: Sight) -> Action:
    """The unknown."""
    left, right = at.one("#math-problem").text.split("=")
    one, sign, two = left.split()
    total = int(right)
    if sign == "+":
        answer = total - int(two if one == "x" else one)
    else:
        answer = total + int(two) if one == "x" else int(one) - total
    return at.enter([("#math-answer", str(answer))], "#subbtn")


@solves("visual-addition")
def visual_addition(at: Sight) -> Action:
    """How many blocks there are."""
    return at.enter([("#math-answer", str(len(at.all(".addition-block"))))], "#subbtn")


@solves("text-transform")
def text_transform(at: Sight) -> Action:
    """The letters, which are drawn askew."""
    return at.enter([("#tt", "".join(letter.text for letter in at.all("#captcha span")))], "#subbtn")


@solves("guess-number")
def guess_number(at: Sight) -> Action:
    """From the middle up or down, as the page says."""
    guess = 5
    for name, step in (("higher", 1), ("lower", -1)):
        if at.any(f"#{name} span"):
            guess = int(at.one(f"#{name} span").text) + step
    return at.enter([("#tt", str(guess))], "#subbtn")


@solves("generate-number")
def generate_number(at: Sight) -> Action:
    """Again until the number is right."""
    text = at.one("#display-number").text
    bound = re.search(r"(less|greater) than (\d+)", at.instruction)
    if text == "-":
        right = False
    elif bound:
        limit = int(bound.group(2))
        right = int(text) < limit if bound.group(1) == "less" else int(text) > limit
    else:
        right = bool(int(text) % 2) == ("odd" in at.instruction)
    return at.click("#submit" if right else "#generate")


@solves("use-autocomplete", "use-autocomplete-nodelay")
def use_autocomplete(at: Sight) -> Action:
    """A country that fits; the list that drops down is sent away."""
    start, end = (*at.quoted, "")[:2]
    names = at.js("ui_utils.COUNTRIES")
    name = next(each for each in names if each.startswith(start) and each.endswith(end))
    if at.one("#tags").value == name and at.any(".ui-autocomplete li"):
        return Action.call("press", key="Escape")
    return at.enter([("#tags", name)], "#subbtn")


@solves("multi-orderings", "multi-layouts")
def multi_layouts(at: Sight) -> Action:
    """Three fields in any order and look."""
    genre, name, year = at.match(r"Search for (.*) movies directed by (.*) from year (\d+)").groups()
    rows = at.js(
        "[...document.querySelectorAll('#area input')]"
        ".map(e => e.closest('p, .row, tr, .field, .ui-entry').textContent)"
    )
    words = {"Genre": genre, "Director": name, "Year": year, "Date": year}
    texts = [next(text for word, text in words.items() if word in row) for row in rows]
    fields = list(zip(at.all("#area input"), texts, strict=True))
    return at.enter(fields, "#area button, #area .final, #area .ui-submit")


@solves("use-slider", "form-sequence")
def use_slider(at: Sight) -> Action:
    """With the keys to the value, and a check box where one is asked for."""
    wanted = int(at.match(r"Select (-?\d+) with the slider").group(1))
    now, low, high = at.js(
        "['value', 'min', 'max'].map(n => n === 'value' ? $('#slider').slider(n) : "
        "$('#slider').slider('option', n))"
    )
    if now != wanted:
        handle = at.one(".ui-slider-handle")
        if not handle.focused:
            return at.click(handle)
        gap, page = wanted - now, (high - low) / 5
        if abs(gap) > page / 2:
            return Action.call("press", key="PageUp" if gap > 0 else "PageDown")
        return Action.call("press", key="ArrowRight" if gap > 0 else "ArrowLeft")
    box = re.search(r"click the (\d)(?:st|nd|rd) checkbox", at.instruction)
    wishes = [] if box is None else enumerate(at.all("#area input[type=checkbox]"), start=1)
    return at.tick([(each, place == int(box.group(1))) for place, each in wishes] if box else [], "#subbtn")


@solves("terminal")
def terminal(at: Sight) -> Action:
    """The command that deletes the file."""
    ending = re.search(r"extension \.(\S+)", at.instruction)
    names = at.js("currentFiles")
    fits = [name for name in names if (name.endswith(f".{ending.group(1)}") if ending else "." not in name)]
    if not fits:
        raise Unsolvable("the file is gone")
    if at.js("$('#active-input').text()"):
        return Action.call("press", key="Enter")
    field = at.one("#terminal-target")
    if not field.focused:
        return at.click("#terminal-header")
    return Action.call("type", ref=field.ref, text=f"rm {fits[0]}\n", clear=False)
