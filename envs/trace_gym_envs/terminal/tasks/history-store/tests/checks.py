"""What the store, the restored files and the answers must be."""

import hashlib
import os

from checklist import lines, read, run, same

DAMAGED = "f600435020994cf23cf7a0ec11de4d018a244099"
FILES = {
    "README.md": "8bab1c4fa47751efdf6015bd7a47d39cdef2a777",
    "bin/harvest.sh": "f166bc81ce87cbb66672cc71f40e5fde1af0a6b9",
    "config/limits.ini": "3b0588339d617d0d6c227ec41f3821c78ea72eeb",
    "data/trees.csv": "f600435020994cf23cf7a0ec11de4d018a244099",
}
LOG = [
    "eb9c57ff63c72c6a8e1ae2860ab04e1ab9f2d75c Begin",
    "6d88abf1bc6d5daace3fa3354766d1e603ae21b3 Add the trees",
    "dd7e23175b31b4a74451d797fa57371411bccdcb Limit the harvest",
    "5b8d075739513c5f0fb36472db4dec286473706c Plant a plum",
    "51f998ebd940fa4aefa1ef634e62d48eb69c5a4d Harvest instead of counting",
    "590d81c111063cb4ce41df7ae4afd2c4ae158d75 Raise the limit",
]


def digest(path):
    """The SHA-1 of a file."""
    return hashlib.sha1(read(path).encode()).hexdigest()


def mended():
    """The damaged object matches its name again."""
    return same(digest("/app/store/blobs/" + DAMAGED), DAMAGED, "the damaged object")


def restored():
    """The files of the branch, and no others."""
    found = {}
    for folder, _, names in os.walk("/app/release"):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, "/app/release")] = digest(path)
    same(sorted(found), sorted(FILES), "paths in release")
    for path, wanted in FILES.items():
        same(found[path], wanted, path)
    return f"{len(FILES)} files are restored"


run(
    {
        "mended": mended,
        "restored": restored,
        "log": lambda: same(lines("/app/log.txt"), LOG, "log.txt"),
        "introduced": lambda: same(
            lines("/app/introduced.txt"), ["dd7e23175b31b4a74451d797fa57371411bccdcb"], "introduced.txt"
        ),
    }
)
