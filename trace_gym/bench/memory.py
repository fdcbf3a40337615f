"""The most memory that was held at once, on a CUDA device or in this process. Leaves out who held it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch


def watch_peak(device: torch.device) -> int | None:
    """Begin to watch memory: bytes held now, None where nobody can tell. What was freed is given back to the
    system first, lest it be used again unseen."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def peak_bytes(device: torch.device) -> int | None:
    """The most bytes held since `watch_peak`."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int | None:
    """A size from Linux's account of this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else None
