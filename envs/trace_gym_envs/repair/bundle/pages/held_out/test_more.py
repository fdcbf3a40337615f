"""Cases that are not shown."""

import unittest

from pages.render import Template
from pages.scan import TemplateError, scan
from pages.tree import parse
from pages.values import Missing, apply, lookup, show


def render(source, **values):
    return Template(source).render(values)


PAGE = """<ul>
{% for item in items %}
{% if item.price %}
<li class="{{ loop.number }}">{{ item.name | title }}: {{ item.price }}</li>
{% else %}
<li>{{ item.name | upper | raw }}</li>
{% end %}
{% end %}
</ul>
"""


class MoreTest(unittest.TestCase):
    def test_a_page(self):
        items = [{"name": "red <tea>", "price": 3}, {"name": "<b>", "price": 0}]
        self.assertEqual(
            render(PAGE, items=items), '<ul>\n<li class="1">Red &lt;tea&gt;: 3</li>\n<li><B></li>\n</ul>\n'
        )

    def test_lines_after_blocks_and_comments(self):
        self.assertEqual(
            scan("{% a %}\n{# x\ny #}\n{{ b }}"), [("block", "a", 1), ("text", "\n", 3), ("value", "b", 4)]
        )

    def test_lines_in_errors(self):
        lines = []
        for source in ("a\n\n{{ b", "x\n{% if %}{% end %}", "\n\n{% end %}", "{% for a in b %}\nx"):
            try:
                parse(source)
            except TemplateError as error:
                lines.append(error.line)
        self.assertEqual(lines, [3, 2, 3, 1])

    def test_marks_next_to_each_other(self):
        self.assertEqual(render("{{ a }}{{ b }}{# c #}{% if a %}{{ b }}{% end %}", a=1, b=2), "122")

    def test_the_scope_of_a_loop(self):
        self.assertEqual(
            render("{{ x }}{% for x in xs %}{{ x }}{{ loop.first }}{% end %}{{ x }}", x="o", xs=[1, 2]),
            "o1yes2noo",
        )

    def test_paths(self):
        self.assertEqual(
            [lookup("a.1", {"a": (1, 2)}), lookup("a.1", {"a": {"1": "k"}}), lookup("a", {"a": None})],
            [2, "k", None],
        )
        with self.assertRaises(Missing):
            lookup("a.-1", {"a": [1]})
        with self.assertRaises(Missing):
            lookup("a.b.c", {"a": {"b": "c"}})

    def test_showing_lists_of_lists(self):
        self.assertEqual(
            [show([[1, True], ()]), show(1.5), apply("count", ""), apply("title", "a  b")],
            ["1, yes, ", "1.5", 0, "A  B"],
        )

    def test_cutting_to_one(self):
        self.assertEqual([apply("cut:1", "ab"), apply("cut:1", "a"), apply("cut:2", 100)], ["~", "a", "1~"])

    def test_strict_templates(self):
        with self.assertRaises(TemplateError):
            Template("{% for x in xs %}{% end %}", strict=True).render({})
        with self.assertRaises(TemplateError):
            Template("\n{% if a %}{% end %}", strict=True).render({"b": 1})
        self.assertEqual(Template("{{ a }}", strict=True).render({"a": None}), "")

    def test_raw_only_counts_at_the_end(self):
        with self.assertRaises(TemplateError):
            render("{{ a | raw | upper }}", a="<")

    def test_else_twice(self):
        with self.assertRaises(TemplateError):
            parse("{% if a %}1{% else %}2{% else %}3{% end %}")
        with self.assertRaises(TemplateError):
            parse("{% for x of xs %}{% end %}")
