"""Which permissions there must be."""

import os
import stat

from checklist import lines, run, same

MODES = {
    "site": "755",
    "site/README.md": "444",
    "site/bin": "755",
    "site/bin/deploy.sh": "755",
    "site/bin/notes.txt": "644",
    "site/bin/rollback.sh": "755",
    "site/public": "755",
    "site/public/index.html": "644",
    "site/public/style.css": "644",
    "site/secrets": "700",
    "site/secrets/old": "700",
    "site/secrets/old/key.pem": "600",
    "site/secrets/token": "600",
    "site/var": "755",
    "site/var/app.log": "644",
    "site/var/spool": "770",
    "site/var/spool/job1": "660",
}


def group(*starts):
    """The permissions of all paths that begin with one of these."""

    def check():
        paths = [path for path in MODES if path.startswith(starts)]
        for path in paths:
            same(oct(stat.S_IMODE(os.lstat("/app/" + path).st_mode))[2:], MODES[path], path)
        return f"{len(paths)} modes are right"

    return check


def listed():
    """The list of all modes."""
    wanted = [f"{mode} {path}" for path, mode in sorted(MODES.items())]
    return same(lines("/app/modes.txt"), wanted, "modes.txt")


run(
    {
        "scripts": group("site/bin", "site/public"),
        "secrets": group("site/secrets"),
        "spool": group("site/var"),
        "readme": group("site/README.md"),
        "listed": listed,
    }
)
