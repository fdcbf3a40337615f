"""Threads are taken away for a while, and given back."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from trace_gym.model.threads import one_thread_of_blas


def counts() -> list[int]:
    """Threads of NumPy's and SciPy's libraries for linear algebra, which are loaded here."""
    assert np.linalg.det(np.eye(3)) == 1.0
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_multiplies_with_one_thread_meanwhile_and_then_as_before() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = counts()
        assert before
        with one_thread_of_blas():
            assert set(counts()) == {1}
        assert counts() == before
        with pytest.raises(KeyError), one_thread_of_blas():
            raise KeyError
        assert counts() == before
