"""What must have been mended, and what rejected."""

import json

from checklist import lines, run, same

CLEAN = json.loads(
    '[{"id": 1, "name": "Ann", "tags": ["a", "b"]}, {"id": 2, "name": "Bob\'s", "tags": []}, {"id": 3, "name": "Cy", "tags": ["x"]}, {"id": 4, "name": "Di", "tags": ["y", "z"]}, {"id": 5, "name": "Ed", "tags": [], "score": null}, {"id": 6, "name": "Flo", "tags": ["q"], "score": 1.5}]'
)
REJECTED = ["7", "11"]


def clean():
    """The mended objects."""
    return same(
        [json.loads(line, parse_constant=str) for line in lines("/app/clean.jsonl")], CLEAN, "clean.jsonl"
    )


run(
    {
        "clean": clean,
        "rejected": lambda: same(lines("/app/rejected.txt"), REJECTED, "rejected.txt"),
    }
)
