"""BFCL v4 multi-turn: 800 dialogues with a user, worked on with the tools of eight stateful services."""

from trace_gym_envs.bfcl.suite import Bfcl

__all__ = ["Bfcl"]
