"""Runs a task's checks and writes their results where Harbor looks for the reward.

`/logs/verifier/reward.json` holds `reward` (1 if all checks hold, else 0) and 1 or 0 for every check;
`/logs/verifier/evidence.json` says why. Checks only read files: nothing that was made for the task is run.
"""

import json
import os
import stat


def read(path, most=1_000_000):
    """The text of a regular file: a link could lead to what was not made for the task."""
    found = os.lstat(path)
    assert stat.S_ISREG(found.st_mode), f"{path} is no regular file"
    assert found.st_size <= most, f"{path} has {found.st_size} bytes, more than {most}"
    with open(path, encoding="utf-8", errors="replace", newline="") as opened:
        return opened.read()


def lines(path):
    """The lines of a text file."""
    return read(path).splitlines()


def same(found, wanted, what):
    """Are two values equal? Says where they differ."""
    if isinstance(wanted, list) and isinstance(found, list) and found != wanted:
        for number, (one, other) in enumerate(zip(found, wanted), start=1):
            assert one == other, f"{what}: line {number} is {str(one)[:80]!r}"
        assert len(found) == len(wanted), f"{what}: {len(found)} lines, expected {len(wanted)}"
    assert found == wanted, f"{what}: found {str(found)[:80]!r}"
    return f"{what}: as expected"


def run(checks):
    """Run checks by name; each says what it saw or raises."""
    results, evidence = {}, {}
    for name, check in checks.items():
        try:
            evidence[name] = str(check())
            results[name] = 1
        except Exception as error:
            evidence[name] = f"{type(error).__name__}: {error}"[:300]
            results[name] = 0
    os.makedirs("/logs/verifier", exist_ok=True)
    with open("/logs/verifier/reward.json", "w", encoding="utf-8") as out:
        json.dump({"reward": int(all(results.values())), **results}, out)
    with open("/logs/verifier/evidence.json", "w", encoding="utf-8") as out:
        json.dump(evidence, out)
