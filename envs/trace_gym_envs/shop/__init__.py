"""A web shop: errands of twelve kinds, in a text browser or in a real one."""

from trace_gym_envs.shop.suite import Shop

__all__ = ["Shop"]
