"""How many threads torch, or NumPy and SciPy, compute with, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def threads_of_torch(count: int | None) -> Iterator[None]:
    """Torch computes with `count` threads meanwhile, in the whole process; None changes nothing."""
    before = torch.get_num_threads()
    if count in (None, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """NumPy and SciPy multiply with one thread meanwhile, in the whole process."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
