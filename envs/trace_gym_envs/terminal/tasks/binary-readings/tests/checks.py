"""What must have been read."""

import json

from checklist import lines, read, run, same

READINGS = [
    [1672531200, "garden", 25.85, 1, 1],
    [1672532100, "garden", 21.6, 1, 0],
    [1672533000, "cellar", 21.93, 1, 1],
    [1672533900, "cellar", -12.29, 1, 1],
    [1672535700, "attic", 28.77, 1, 1],
    [1672536600, "garden", 33.56, 1, 0],
    [1672537500, "attic", 23.28, 0, 0],
    [1672538400, "attic", -17.08, 1, 0],
    [1672539300, "cellar", 29.12, 0, 0],
    [1672540200, "garden", 6.72, 1, 1],
    [1672542000, "hall", 20.94, 0, 0],
    [1672542900, "attic", 17.46, 0, 1],
    [1672543800, "garden", 25.15, 0, 0],
    [1672544700, "hall", 5.82, 1, 0],
    [1672545600, "hall", -17.57, 0, 0],
    [1672546500, "attic", 12.8, 0, 0],
]
DAMAGED = ["4", "11"]
SUMMARY = ["attic 5", "cellar 3", "garden 5", "hall 3"]
KEYS = ("time", "sensor", "celsius", "alarm", "battery_low")


def readings():
    """Every sound record."""
    found = json.loads(read("/app/readings.json"))
    for entry in found:
        same(sorted(entry), sorted(KEYS), "keys")
        assert isinstance(entry["alarm"], bool) and isinstance(entry["battery_low"], bool), (
            "flags are true or false"
        )
    return same([[entry[key] for key in KEYS] for entry in found], READINGS, "readings.json")


run(
    {
        "readings": readings,
        "damaged": lambda: same(lines("/app/damaged.txt"), DAMAGED, "damaged.txt"),
        "summary": lambda: same(lines("/app/summary.txt"), SUMMARY, "summary.txt"),
    }
)
