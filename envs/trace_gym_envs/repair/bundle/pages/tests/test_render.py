"""Rendering."""

import unittest

from pages.render import Template
from pages.scan import TemplateError


def render(source, **values):
    return Template(source).render(values)


class RenderTest(unittest.TestCase):
    def test_values_are_escaped(self):
        self.assertEqual(render("{{ a }} {{ a | raw }}", a="<b>"), "&lt;b&gt; <b>")

    def test_plain_text_is_not(self):
        self.assertEqual(Template("{{ a }}", html=False).render({"a": "<b>"}), "<b>")

    def test_if(self):
        source = "{% if a %}yes{% else %}no{% end %}"
        self.assertEqual([render(source, a=1), render(source, a=0), render(source)], ["yes", "no", "no"])

    def test_if_not(self):
        self.assertEqual([render("{% if not a %}x{% end %}", a=v) for v in (0, 1)], ["x", ""])

    def test_loops(self):
        source = "{% for x in xs %}{{ loop.number }}{{ x }}{% if not loop.last %}, {% end %}{% end %}"
        self.assertEqual(render(source, xs=["a", "b", "c"]), "1a, 2b, 3c")
        self.assertEqual(render(source), "")

    def test_loops_in_loops(self):
        source = "{% for row in rows %}{% for x in row %}{{ x }}{{ loop.number }} {% end %}{% end %}"
        self.assertEqual(render(source, rows=[["a", "b"], ["c"]]), "a1 b2 c1 ")

    def test_missing_is_empty(self):
        self.assertEqual(render("[{{ a.b }}]"), "[]")

    def test_strict(self):
        with self.assertRaises(TemplateError):
            Template("{{ a }}", strict=True).render({})
        self.assertEqual(Template("{{ a | default:x }}", strict=True).render({}), "x")

    def test_filters_in_turn(self):
        self.assertEqual(render("{{ a | upper | cut:3 }}", a="hello"), "HE~")

    def test_unknown_filter(self):
        with self.assertRaises(TemplateError):
            render("{{ a | lower }}", a="A")
