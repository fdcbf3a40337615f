"""A page as its reader has it: numbered links, fields and buttons, and its text. And the reading of the
shop's HTML into one.

Reads well-formed markup such as the shop writes (quoted attributes, every element closed). Leaves out styles,
scripts and pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import Final

_TOKEN: Final = re.compile(r"<![^>]*>|<(/?)([a-z0-9]+)([^>]*)>|([^<]+)")
_ATTRIBUTE: Final = re.compile(r'([a-z-]+)(?:="([^"]*)")?')
_SPACE: Final = re.compile(r"\s+")
_BLOCKS: Final = frozenset(
    ("h1", "h2", "p", "li", "tr", "form", "section", "ul", "table", "header", "main", "nav", "footer", "div")
)
_SILENT: Final = frozenset(("title", "svg", "label", "footer"))
_KEPT: Final = 512


@dataclass(frozen=True, slots=True)
class Item:
    """Something to act on. `kind` is link, input, select or button; `form` the place of its form in the
    sight's list; `target` is a link's address, `options` what a list offers: values and texts."""

    kind: str
    label: str
    name: str = ""
    value: str = ""
    target: str = ""
    form: int | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """Where a form goes, and what it sends unseen."""

    action: str
    method: str
    hidden: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """A page: its title, text and items; item 1 is the first."""

    title: str
    text: str
    items: tuple[Item, ...]
    forms: tuple[Form, ...]

    def fields(self, form: int) -> Mapping[str, int]:
        """The numbers of a form's inputs and lists by name."""
        return {
            item.name: number
            for number, item in enumerate(self.items, start=1)
            if item.form == form and item.kind in ("input", "select")
        }


@lru_cache(maxsize=_KEPT)
def read(html: str) -> Sight:
    """The sight of a page."""
    reader = _Reader()
    for closing, tag, attributes, text in _TOKEN.findall(html):
        if text:
            reader.text(text)
        elif closing:
            reader.close(tag)
        else:
            reader.open(tag, attributes)
    return reader.sight()


@dataclass(slots=True)
class _Reader:
    """Reads a page from its beginning to its end, once."""

    title: str = ""
    parts: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    form: int | None = None
    silent: str = ""
    label: str = ""
    pending: list[str] | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    options: list[tuple[str, str]] = field(default_factory=list)
    chosen: str | None = None

    def text(self, raw: str) -> None:
        """Text between tags."""
        text = unescape(raw)
        if self.silent == "title":
            self.title += text
        elif self.silent == "label":
            self.label += text
        elif not self.silent:
            (self.parts if self.pending is None else self.pending).append(text)

    def open(self, tag: str, attributes: str) -> None:
        """A tag opens."""
        if self.silent in ("svg", "footer"):
            return
        if tag in _SILENT:
            self.silent = tag
            self.label = "" if tag == "label" else self.label
        elif tag in _BLOCKS:
            self.parts.append(
                "\n# " if tag == "h1" else "\n## " if tag == "h2" else "\n- " if tag == "li" else "\n"
            )
        elif tag in ("td", "th", "span", "small", "strong"):
            self.parts.append("  ")
        if tag not in ("a", "button", "form", "input", "select", "option"):
            return
        given = {name: unescape(value) for name, value in _ATTRIBUTE.findall(attributes)}
        if tag == "form":
            self.form = len(self.forms)
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        elif tag == "input":
            self._input(given)
        elif tag == "option":
            self.pending = []
            self.about = {**self.about, "option": given.get("value", "")}
            if "selected" in given:
                self.chosen = given.get("value", "")
        else:
            self.pending, self.about, self.options, self.chosen = [], given, [], None

    def close(self, tag: str) -> None:
        """A tag closes."""
        if self.silent:
            self.silent = "" if tag == self.silent else self.silent
        elif tag == "form":
            self.form = None
            self.parts.append("\n")
        elif tag == "a":
            self._add(Item("link", self._said(), target=self.about.get("href", "")))
        elif tag == "button":
            self._add(Item("button", self._said(), form=self.form))
        elif tag == "option":
            self.options.append((self.about["option"], self._said()))
        elif tag == "select":
            self._select()

    def sight(self) -> Sight:
        """What has been read."""
        text = "".join(self.parts)
        lines = (_SPACE.sub(" ", line).strip() for line in text.split("\n"))
        return Sight(
            self.title,
            "\n".join(line for line in lines if line.strip("-# ")),
            tuple(self.items),
            tuple(self.forms),
        )

    def _input(self, given: Mapping[str, str]) -> None:
        name, value = given.get("name", ""), given.get("value", "")
        if given.get("type") == "hidden":
            if self.form is not None:
                old = self.forms[self.form]
                self.forms[self.form] = Form(old.action, old.method, (*old.hidden, (name, value)))
            return
        label = given.get("aria-label") or self.label
        self._add(Item("input", label, name=name, value=value, form=self.form))

    def _select(self) -> None:
        value = self.chosen if self.chosen is not None else self.options[0][0] if self.options else ""
        name = self.about.get("name", "")
        self._add(
            Item("select", self.label, name=name, value=value, form=self.form, options=tuple(self.options))
        )

    def _said(self) -> str:
        said, self.pending = "".join(self.pending or ()), None
        return _SPACE.sub(" ", said).strip()

    def _add(self, item: Item) -> None:
        self.items.append(item)
        self.label, self.pending = "", None
        self.parts.append(f" {shown(len(self.items), item)} ")


def shown(number: int, item: Item, value: str | None = None) -> str:
    """An item as it stands in the text; `value` is what has been filled in since."""
    held = item.value if value is None else value
    if item.kind == "link":
        return f"[{number} {item.label}]"
    if item.kind == "button":
        return f"[{number} ({item.label})]"
    if item.kind == "input":
        return f'[{number} {item.label}: "{held}"]'
    texts = dict(item.options)
    others = "".join(f" | {text}" for key, text in item.options if key != held)
    return f'[{number} {item.label}: "{texts.get(held, "")}"{others}]'
