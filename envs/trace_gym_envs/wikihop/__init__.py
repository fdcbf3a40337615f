"""Multi-hop question answering over a generated encyclopedia, in prose and in a compact rendering."""

from trace_gym_envs.wikihop.compact import COMPACT_VOCABULARY, WikiHopCompact
from trace_gym_envs.wikihop.suite import WikiHop

__all__ = ["COMPACT_VOCABULARY", "WikiHop", "WikiHopCompact"]
