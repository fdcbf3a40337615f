"""The repair suite: small multi-file packages with an injected fault, mended with edits and judged by
tests."""

from trace_gym_envs.repair.suite import Repair

__all__ = ["Repair"]
