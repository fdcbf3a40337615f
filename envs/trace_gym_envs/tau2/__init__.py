"""tau2-bench telecom, solo: a service agent works on tickets with the tools of provider and phone."""

from trace_gym_envs.tau2.suite import Tau2

__all__ = ["Tau2"]
