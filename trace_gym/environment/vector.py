"""Several environments stepped as one, for Gymnasium's `make_vec`.

Gymnasium looks a vectoriser up as `module:name`; here every suite's name is one. Observations are tuples of
strings. Leaves out worker processes: shared memory cannot hold text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv

from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import env_class_of, suite_names


class TextVectorEnv(SyncVectorEnv):
    """A SyncVectorEnv that batches every entry of `info` as an object array, so that an undecided success
    (None) among booleans stays None."""

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        for key, value in env_info.items():
            column = vector_infos.setdefault(key, np.full(self.num_envs, None, dtype=object))
            column[env_num] = value
            mask = vector_infos.setdefault(f"_{key}", np.zeros(self.num_envs, dtype=np.bool_))
            mask[env_num] = True
        return vector_infos


def vectorise(env_class: type[AgenticEnv], *, num_envs: int = 1, **options: Any) -> TextVectorEnv:
    """`num_envs` environments of a class, built with the keyword options Gymnasium passes."""
    return TextVectorEnv([partial(env_class, **options) for _ in range(num_envs)])


def __getattr__(name: str) -> Callable[..., TextVectorEnv]:
    if name not in suite_names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return partial(vectorise, env_class_of(name))
