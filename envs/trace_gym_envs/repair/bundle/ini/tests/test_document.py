"""Documents."""

import unittest

from inidoc.document import Document
from inidoc.lines import BadLine

TEXT = """name = demo
[defaults]
retries = 3
[Server]
host = example
Port = 80
paths = /a
    /b

[client]
port = 81
[Server]
port = 82
"""


class DocumentTest(unittest.TestCase):
    def test_sections_in_order(self):
        self.assertEqual(Document.read(TEXT).sections(), ["", "defaults", "Server", "client"])

    def test_the_later_pair_wins(self):
        self.assertEqual(Document.read(TEXT).get("Server", "port"), "82")

    def test_keys(self):
        self.assertEqual(Document.read(TEXT).keys("Server"), ["host", "port", "paths"])
        self.assertEqual(Document.read(TEXT).keys("nowhere"), [])

    def test_continuation(self):
        self.assertEqual(Document.read(TEXT).get("Server", "paths"), "/a\n/b")

    def test_nothing_to_continue(self):
        with self.assertRaises(BadLine):
            Document.read("[a]\n  b\n")
        with self.assertRaises(BadLine):
            Document.read("a = 1\n\n  b\n")

    def test_defaults(self):
        document = Document.read(TEXT)
        self.assertEqual(document.get("client", "retries"), "3")
        self.assertEqual((document.get("client", "nothing"), document.get("x", "y", "z")), (None, "z"))

    def test_remove(self):
        document = Document.read(TEXT)
        self.assertEqual(
            (document.remove("client", "port"), document.remove("client", "port")), (True, False)
        )
        self.assertEqual("client" in document.sections(), True)

    def test_merge(self):
        document = Document.read("[a]\nx = 1\ny = 2\n")
        document.merge(Document.read("[a]\ny = 3\n[b]\nz = 4\n"))
        self.assertEqual(document.write(), "[a]\nx = 1\ny = 3\n\n[b]\nz = 4\n")

    def test_write_is_read_back(self):
        document = Document.read(TEXT)
        self.assertEqual(Document.read(document.write()).write() == document.write(), True)
