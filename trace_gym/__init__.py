"""trace-gym: forkable, verifiable agentic environments, a rollout-budget scheduler, a tree trainer.

The names below are what an environment's author and a script need; they are loaded on first use, so that
`import trace_gym` and `trace-gym --help` stay instant. Everything else is imported from its module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trace_gym.core.action import Action, ToolCall, ToolSpec
    from trace_gym.core.budget import Budget, Cost
    from trace_gym.core.check import Status, Verdict
    from trace_gym.core.sandbox import ExecResult, SandboxLimits, SandboxSpec
    from trace_gym.core.task import Limits, Split, Task
    from trace_gym.environment.env import AgenticEnv
    from trace_gym.environment.registry import register, suite
    from trace_gym.environment.sandbox_env import SandboxEnv
    from trace_gym.environment.tools import ToolError, tool

_HOMES = {
    "trace_gym.core.action": ("Action", "ToolCall", "ToolSpec"),
    "trace_gym.core.budget": ("Budget", "Cost"),
    "trace_gym.core.check": ("Status", "Verdict"),
    "trace_gym.core.sandbox": ("ExecResult", "SandboxLimits", "SandboxSpec"),
    "trace_gym.core.task": ("Limits", "Split", "Task"),
    "trace_gym.environment.env": ("AgenticEnv",),
    "trace_gym.environment.registry": ("register", "suite"),
    "trace_gym.environment.sandbox_env": ("SandboxEnv",),
    "trace_gym.environment.tools": ("ToolError", "tool"),
}

__all__ = [
    "Action",
    "AgenticEnv",
    "Budget",
    "Cost",
    "ExecResult",
    "Limits",
    "SandboxEnv",
    "SandboxLimits",
    "SandboxSpec",
    "Split",
    "Status",
    "Task",
    "ToolCall",
    "ToolError",
    "ToolSpec",
    "Verdict",
    "register",
    "suite",
    "tool",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'trace_gym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
