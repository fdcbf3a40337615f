"""Puts a system call filter (`seccomp.py`) over the agent and all that it starts, from inside.

For sandboxes whose outer program takes no filter of ours. It comes on top of what is there, and no program
can take it off again. Runs inside the sandbox: Python 3.8, standard library.
"""

from __future__ import annotations

import base64
import ctypes
import os

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_INSTRUCTION = 8  # bytes


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(programs: dict[str, str]) -> None:
    """Install the program, in base 64, for this machine type, if there is one. Raises OSError."""
    text = programs.get(os.uname().machine)
    if text is None:
        return
    code = base64.b64decode(text)
    program = _Program(len(code) // _INSTRUCTION, code)
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the system call filter was refused")
