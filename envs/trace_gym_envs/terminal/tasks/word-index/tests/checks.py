"""What the index must hold."""

from checklist import lines, run, same

INDEX = [
    "bell: 6, 8",
    "brig: 7",
    "cast: 8",
    "comes: 1, 6",
    "counts: 3, 7",
    "day: 1, 4",
    "fog: 6",
    "gulls: 7",
    "harbour: 2, 8",
    "keeper: 3, 4",
    "light: 2, 4",
    "night: 3",
    "nobody: 7",
    "old: 8",
    "rings: 6",
    "ships: 2, 3",
    "sleeps: 4",
    "sloop: 6",
    "stroke: 6",
    "strokes: 7",
    "tide: 1",
    "twice: 1",
    "two: 7",
]
FREQUENT = [
    "3 harbour",
    "2 bell",
    "2 comes",
    "2 counts",
    "2 day",
    "2 keeper",
    "2 light",
    "2 ships",
    "2 sleeps",
    "2 tide",
]

run(
    {
        "index": lambda: same(lines("/app/index.txt"), INDEX, "index.txt"),
        "frequent": lambda: same(lines("/app/frequent.txt"), FREQUENT, "frequent.txt"),
    }
)
