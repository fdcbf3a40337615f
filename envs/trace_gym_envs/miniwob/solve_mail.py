"""Reference solution of the mailbox pages: star, delete, answer or forward the mail of somebody."""

from __future__ import annotations

import re

from trace_gym.core.action import Action
from trace_gym_envs.miniwob.sight import Sight, Unsolvable, solves

_FORMS = (
    ("star", r"by (?P<by>\S+) and click the star icon"),
    ("delete", r"by (?P<by>\S+) and click the trash icon"),
    ("reply", r"by (?P<by>\S+) and reply to them with the text \"(?P<message>.*)\""),
    ("forward", r"by (?P<by>\S+) and forward that email to (?P<to>.*)\."),
)


@solves(
    "email-inbox",
    "email-inbox-delete",
    "email-inbox-forward",
    "email-inbox-forward-nl",
    "email-inbox-forward-nl-turk",
    "email-inbox-important",
    "email-inbox-nl-turk",
    "email-inbox-noscroll",
    "email-inbox-reply",
    "email-inbox-star-reply",
)
def email_inbox(at: Sight) -> Action:
    """From the list to the mail, and from there on."""
    wish = _wish(at)
    if at.any("#search"):
        return at.click("#search-cancel")
    for form in ("reply", "forward"):
        if at.any(f"#{form}"):
            return _written(at, form, wish)
    if at.any("#email"):
        return _opened(at, wish)
    senders = [found.text for found in at.tab.find("#main .email-thread .email-sender")]
    if wish["by"] not in senders or (wish["task"] == "forward" and senders.count(wish["by"]) > 1):
        raise Unsolvable("there is no such mail, or more than one of which one is meant")
    thread = f'#main .email-thread[data-index="{senders.index(wish["by"])}"]'
    icons = {"star": " .star", "delete": " .trash"}
    return at.click(f"{thread}{icons.get(wish['task'], ' .email-subject')}")


def _opened(at: Sight, wish: dict[str, str]) -> Action:
    """Before a mail that is shown whole."""
    if at.one("#email .email-sender").text != wish["by"]:
        return at.click("#close-email")
    buttons = {"star": ".star", "delete": ".trash", "reply": ".email-reply", "forward": ".email-forward"}
    return at.click(f"#email {buttons[wish['task']]}")


def _written(at: Sight, form: str, wish: dict[str, str]) -> Action:
    """Before an answer, or a mail to be forwarded."""
    right = form == wish["task"]
    if form == "reply":
        right = right and at.one("#reply .reply-sender").text == wish["by"]
    if not right:
        return at.click(f"#close-{form}")
    field = (
        ("#reply-text", wish.get("message", ""))
        if form == "reply"
        else ("#forward .forward-sender", wish["to"])
    )
    return at.enter([field], f"#send-{form}")


def _wish(at: Sight) -> dict[str, str]:
    """What the instruction asks for. Pages in free language say it in their fields, too."""
    told = at.js("core.getUtterance()")
    if isinstance(told, dict):
        return {"task": "forward", **told["fields"]}
    for task, form in _FORMS:
        found = re.search(form, at.instruction)
        if found:
            return {"task": task, **found.groupdict()}
    raise Unsolvable("the instruction is not understood")
