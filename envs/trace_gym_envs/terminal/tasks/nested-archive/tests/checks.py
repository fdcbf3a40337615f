"""What must have been unpacked, decoded, put together and packed."""

import hashlib
import io
import os
import stat
import tarfile

from checklist import lines, read, run, same

PIECES = {
    "delta": "7a54d34303eb447b89a18c40dd17b994243c783943282c1ff5992ebb8e136c1a",
    "alpha": "85716cc27005667e5672d031788f97b2f68c132a8d920c260008c4897d669c0b",
    "echo": "dc70b6c8867e16e6544bfe1129dda687f71345746d790497967142db78579ae7",
    "bravo": "6cf418632bbb0a8f48d2c9502baaa54fd584425dcd7830dd04bf8ba5643c2074",
}
LETTER = "e800c660ccc9f7002701a41d883c41506a8cccfc6869b90a2f8f1ef7f71160d6"
MANIFEST = "cafc08e31d1c44aa3ddd8eec24852b78db7124947e75fded200bcd58558372c8"


def digest(path):
    """The SHA-256 of a file."""
    return hashlib.sha256(read(path).encode()).hexdigest()


def decoded():
    """Every piece, decoded, and nothing else."""
    same(sorted(os.listdir("/app/decoded")), sorted(PIECES), "files in decoded")
    for name, wanted in PIECES.items():
        same(digest("/app/decoded/" + name), wanted, name)
    return f"{len(PIECES)} pieces are decoded"


def sums():
    """The line that sha256sum prints."""
    return same(
        [line.split() for line in lines("/app/out/SHA256SUMS")], [[LETTER, "letter.txt"]], "SHA256SUMS"
    )


def packed():
    """The archive holds both files."""
    found = os.lstat("/app/letter.tar.gz")
    assert stat.S_ISREG(found.st_mode) and found.st_size < 100_000, "letter.tar.gz is no small regular file"
    with open("/app/letter.tar.gz", "rb") as opened:
        archive = tarfile.open(fileobj=io.BytesIO(opened.read()), mode="r:gz")
    entries = {entry.name.removeprefix("./"): entry for entry in archive if not entry.isdir()}
    same(sorted(entries), ["letter/SHA256SUMS", "letter/letter.txt"], "entries")
    inside = archive.extractfile(entries["letter/letter.txt"]).read()
    return same(hashlib.sha256(inside).hexdigest(), LETTER, "the packed letter")


run(
    {
        "unpacked": lambda: same(digest("/app/parcel/manifest.txt"), MANIFEST, "manifest.txt"),
        "decoded": decoded,
        "verified": lambda: same(
            lines("/app/verified.txt"), [name + " OK" for name in PIECES], "verified.txt"
        ),
        "letter": lambda: same(digest("/app/out/letter.txt"), LETTER, "letter.txt"),
        "sums": sums,
        "packed": packed,
    }
)
