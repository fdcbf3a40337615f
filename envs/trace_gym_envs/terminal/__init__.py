"""The terminal suite: tasks in Harbor's format, worked on with a shell and judged by their own tests."""

from trace_gym_envs.terminal.suite import Terminal

__all__ = ["Terminal"]
