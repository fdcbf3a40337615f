"""What the crontab and the two lists must hold."""

from checklist import lines, run, same

CRONTAB = [
    "30 2 * * * /usr/local/bin/backup",
    "45 2 * * 1 /usr/local/bin/report",
    "*/15 * * * * /usr/local/bin/poll",
    "0 3 1 * * /usr/local/bin/clean",
    "0 */6 * * * /usr/local/bin/index",
    "40 2 * * 1-5 /usr/local/bin/audit",
]
RUNS = [
    "00:00 index",
    "00:00 poll",
    "00:15 poll",
    "00:30 poll",
    "00:45 poll",
    "01:00 poll",
    "01:15 poll",
    "01:30 poll",
    "01:45 poll",
    "02:00 poll",
    "02:15 poll",
    "02:30 backup",
    "02:30 poll",
    "02:40 audit",
    "02:45 poll",
    "02:45 report",
    "03:00 clean",
    "03:00 poll",
    "03:15 poll",
    "03:30 poll",
    "03:45 poll",
    "04:00 poll",
    "04:15 poll",
    "04:30 poll",
    "04:45 poll",
    "05:00 poll",
    "05:15 poll",
    "05:30 poll",
    "05:45 poll",
]
OVERLAPS = [
    "audit backup",
    "audit poll",
    "audit report",
    "backup clean",
    "backup poll",
    "backup report",
    "clean poll",
    "clean report",
    "index poll",
    "poll report",
]

run(
    {
        "crontab": lambda: same(lines("/app/crontab"), CRONTAB, "crontab"),
        "runs": lambda: same(lines("/app/runs.txt"), RUNS, "runs.txt"),
        "overlaps": lambda: same(lines("/app/overlaps.txt"), OVERLAPS, "overlaps.txt"),
    }
)
