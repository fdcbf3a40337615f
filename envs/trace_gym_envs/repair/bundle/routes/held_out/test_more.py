"""Cases that are not shown."""

import unittest

from routes.pattern import BadPattern, accepts, parse, split
from routes.query import divide, first, quote, unquote, write
from routes.query import parse as parse_query
from routes.router import NotAllowed, NotFound, Router


class MoreTest(unittest.TestCase):
    def test_order_of_kinds(self):
        made = Router()
        made.add("/x/<p:path>", "path")
        made.add("/x/<s>", "str")
        made.add("/x/<i:int>", "int")
        made.add("/x/9", "nine")
        self.assertEqual(
            [made.match("/x/" + t) for t in ("9", "8", "08", "8/9")],
            [("nine", {}), ("int", {"i": 8}), ("str", {"s": "08"}), ("path", {"p": "8/9"})],
        )

    def test_names_of_different_methods(self):
        made = Router()
        made.add("/<a:int>", "get")
        made.add("/<b:int>", "put", methods=("put", "patch"))
        self.assertEqual(
            [made.match("/5"), made.match("/5", "PUT"), made.match("/5", "patch")],
            [("get", {"a": 5}), ("put", {"b": 5}), ("put", {"b": 5})],
        )

    def test_methods_of_all_branches_count(self):
        made = Router()
        made.add("/a", "plain", methods=("PUT",))
        made.add("/<x>", "named", methods=("DELETE",))
        allowed = []
        try:
            made.match("/a")
        except NotAllowed as error:
            allowed = error.allowed
        self.assertEqual((allowed, made.match("/a", "delete")), (["DELETE", "PUT"], ("named", {"x": "a"})))

    def test_deep_dead_ends(self):
        made = Router()
        made.add("/a/b/c", "abc")
        made.add("/a/<x>/d", "axd")
        made.add("/<p:path>", "rest")
        self.assertEqual(
            [made.match(p) for p in ("/a/b/c", "/a/b/d", "/a/b/e", "/a")],
            [("abc", {}), ("axd", {"x": "b"}), ("rest", {"p": "a/b/e"}), ("rest", {"p": "a"})],
        )
        with self.assertRaises(NotFound):
            made.match("/")

    def test_empty_segments(self):
        made = Router()
        made.add("/a/<x>/b", "axb")
        with self.assertRaises(NotFound):
            made.match("/a//b")
        self.assertEqual((split("///"), accepts("path", ""), accepts("int", "00")), ([], False, False))

    def test_build_and_match(self):
        made = Router()
        made.add("/u/<id:int>/f/<rest:path>", "f", name="f")
        self.assertEqual(made.match(made.build("f", id=0, rest="x/y/z")), ("f", {"id": 0, "rest": "x/y/z"}))
        with self.assertRaises(ValueError):
            made.build("f", id=1, rest="")
        with self.assertRaises(KeyError):
            made.build("g")

    def test_patterns(self):
        self.assertEqual([parse("/"), parse("/a/<b:str>/")], [[], [("plain", "a"), ("str", "b")]])
        with self.assertRaises(BadPattern):
            parse("/a>b")
        with self.assertRaises(BadPattern):
            parse("/<a:>")

    def test_codes(self):
        self.assertEqual(
            [quote("-._~%"), unquote("%2"), unquote("%41%"), unquote("a%2Bb"), quote("€")],
            ["-._~%25", "%2", "A%", "a+b", "%E2%82%AC"],
        )

    def test_queries_both_ways(self):
        values = {"x": ["1", "&="], "é": ["ü ü"]}
        self.assertEqual(parse_query(write(values)) == values, True)
        self.assertEqual(
            [parse_query(""), parse_query("a=b=c"), first({"k": [""]}, "k", "d")], [{}, {"a": ["b=c"]}, ""]
        )
        self.assertEqual(
            [write({}), write({"n": 0, "t": ("a",)}), divide("?#")], ["", "n=0&t=a", ("", "", "")]
        )
