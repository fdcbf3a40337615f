"""A suite whose environments break for as long as a file is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.loop_files.easy import Easy

MARK = "BREAKING_MARK"
"""Names the file."""


class Breaking(Easy):
    """`Easy`, unless it is broken."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        if Path(os.environ[MARK]).exists():
            raise OSError("the page crashed")
        return super().call(name, arguments)
