"""What the script and the parts must be; the script has been run by the collect hook of task.toml."""

import hashlib

from checklist import lines, read, run, same

TOOL = "f5df0144f5cce63d5034bfbef0d473077aa27ca6a4d68ad843f73d32158df778"
PARTS = {
    "src/00 header.py": "d1a8a027865eea7aed7ba219ea72fd7cf6350e34472c527a0dd564f473f5db01",
    "src/10 count.py": "eead0a031d4f0379c60b33ec9eae52b2ec3e8bc1b8014984f8d0136243636cb4",
    "src/20 show.py": "f2cb140da56de7640326ae9a7bd2851cd1c5bfa71768e747c092c62a799bc87b",
    "src/30 main.py": "6432c6d76a2cb32515c6c72fc9980738cbd79a0477370dd2ea0232d146e25695",
}


def digest(path):
    """The SHA-256 of a file."""
    return hashlib.sha256(read(path).encode()).hexdigest()


def parts():
    """All parts are sound, and where they were."""
    for path, wanted in PARTS.items():
        same(digest("/app/project/" + path), wanted, path)
    return f"{len(PARTS)} parts are sound"


def checksums():
    """The line that sha256sum prints."""
    found = [line.split() for line in lines("/logs/artifacts/built/dist/CHECKSUMS")]
    return same(found, [[TOOL, "tool.py"]], "CHECKSUMS of a fresh build")


run(
    {
        "parts": parts,
        "built_once": lambda: same(digest("/app/project/dist/tool.py"), TOOL, "dist/tool.py"),
        "builds": lambda: same(lines("/logs/artifacts/code.txt"), ["0"], "exit code of a fresh build"),
        "tool": lambda: same(digest("/logs/artifacts/built/dist/tool.py"), TOOL, "tool.py of a fresh build"),
        "checksums": checksums,
    }
)
