"""Which files stay, and what is said about the others."""

import hashlib
import os

from checklist import lines, read, run, same

KEPT = {
    "2021/autumn/img 785.dat": "e79e0625d0f0fb4b7db5a85c5059a2fc657b526c",
    "2021/spring/img 981.dat": "2a3d388777145b058222a5eeaa53433384d7682f",
    "2022/empty2.dat": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "2022/img 331.dat": "104aabd91f3dd24a2f0c9744097055c3580754ac",
    "2022/img 864.dat": "d55cbb085b047605bde92b4331dce2d20e06a19c",
    "inbox/img 160-copy.dat": "2ecb1f851519561eef4e959bfbe2ac5c848a1924",
    "inbox/img 697-copy.dat": "af20cd07d9ae5677a9b3126c075ce9fa4a5b0f3b",
    "inbox/img 723-copy.dat": "d086ef3333e965f720b6bbe052c0881a210a4c1c",
    "inbox/img 817.dat": "ff31737002d42b83dccc6a42d3551f53fc82a466",
    "inbox/nearly.dat": "1c5219c98fd74c9de82d8cecf908a0469baf6353",
    "inbox/phone/img 973-copy.dat": "af18c8bc41769652671109a948476e0e23557ea2",
}
REMOVED = [
    "removed,kept",
    "2022/img 374.dat,2021/spring/img 981.dat",
    "inbox/empty1.dat,2022/empty2.dat",
    "inbox/img 539.dat,2022/img 864.dat",
    "inbox/img 592-copy.dat,2022/img 864.dat",
    "inbox/img 711.dat,2021/autumn/img 785.dat",
    "inbox/phone/img 298.dat,inbox/img 723-copy.dat",
    "inbox/phone/img 347-copy.dat,2021/autumn/img 785.dat",
    "inbox/phone/img 494.dat,inbox/img 160-copy.dat",
    "inbox/phone/img 586.dat,inbox/img 160-copy.dat",
    "inbox/phone/img 729.dat,inbox/img 160-copy.dat",
]


def kept():
    """The right files are there, unchanged, and no others."""
    found = {}
    for folder, _, names in os.walk("/app/photos"):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, "/app/photos")] = hashlib.sha1(read(path).encode()).hexdigest()
    same(sorted(found), sorted(KEPT), "files in photos")
    return same(found, KEPT, "contents")


run(
    {
        "kept": kept,
        "removed": lambda: same(lines("/app/removed.csv"), REMOVED, "removed.csv"),
        "saved": lambda: same(lines("/app/saved.txt"), ["1656"], "saved.txt"),
    }
)
