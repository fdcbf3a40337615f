"""The router."""

import unittest

from routes.pattern import BadPattern
from routes.router import NotAllowed, NotFound, Router


def router():
    made = Router()
    made.add("/", "home")
    made.add("/users", "list")
    made.add("/users", "create", methods=("POST",))
    made.add("/users/<id:int>", "show", name="user")
    made.add("/users/<name>", "named", name="named")
    made.add("/users/me", "me")
    made.add("/files/<rest:path>", "file", name="file")
    made.add("/users/<id:int>/posts/<post:int>", "post", name="post")
    return made


class RouterTest(unittest.TestCase):
    def test_root(self):
        self.assertEqual(router().match("/"), ("home", {}))

    def test_methods(self):
        self.assertEqual(
            [router().match("/users")[0], router().match("/users/", "post")[0]], ["list", "create"]
        )

    def test_the_allowed_methods_are_named(self):
        allowed = []
        try:
            router().match("/users", "DELETE")
        except NotAllowed as error:
            allowed = error.allowed
        self.assertEqual(allowed, ["GET", "POST"])

    def test_not_found(self):
        with self.assertRaises(NotFound):
            router().match("/nothing")
        with self.assertRaises(NotFound):
            router().match("/users/7/posts")

    def test_plain_before_int_before_str(self):
        self.assertEqual(
            [router().match("/users/" + t) for t in ("me", "7", "ann")],
            [("me", {}), ("show", {"id": 7}), ("named", {"name": "ann"})],
        )

    def test_path(self):
        self.assertEqual(router().match("/files/a/b.txt"), ("file", {"rest": "a/b.txt"}))
        with self.assertRaises(NotFound):
            router().match("/files")

    def test_several_values(self):
        self.assertEqual(router().match("/users/7/posts/12"), ("post", {"id": 7, "post": 12}))

    def test_twice(self):
        with self.assertRaises(BadPattern):
            router().add("/users/<other:int>", "again")

    def test_build(self):
        self.assertEqual(
            [router().build("user", id=7), router().build("file", rest="a/b")], ["/users/7", "/files/a/b"]
        )

    def test_build_refuses(self):
        with self.assertRaises(KeyError):
            router().build("user")
        with self.assertRaises(ValueError):
            router().build("user", id="x")
        with self.assertRaises(ValueError):
            router().build("named", name="a/b")

    def test_back_from_a_dead_end(self):
        made = Router()
        made.add("/a/b", "ab")
        made.add("/<x>/c", "xc")
        self.assertEqual(made.match("/a/c"), ("xc", {"x": "a"}))
