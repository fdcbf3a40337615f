"""Fakes and conformance tests, shipped for whoever builds a policy, agent, scheduler or journal of their
own."""

from trace_gym.testing.agent import AgentRule, ScriptedAgent
from trace_gym.testing.demand import demand, demand_same_tree, demand_same_turn
from trace_gym.testing.journal import Crashed, CrashingJournal, MemoryJournal, record_forest
from trace_gym.testing.journalling import check_journal
from trace_gym.testing.policy import Rule, ScriptedPolicy
from trace_gym.testing.sampling import check_policy
from trace_gym.testing.scheduling import Trial, check_scheduler
from trace_gym.testing.toy import ToyTokenizer
from trace_gym.testing.trees import ENDS, grow_forest, grow_tree, toy_task

__all__ = [
    "ENDS",
    "AgentRule",
    "Crashed",
    "CrashingJournal",
    "MemoryJournal",
    "Rule",
    "ScriptedAgent",
    "ScriptedPolicy",
    "ToyTokenizer",
    "Trial",
    "check_journal",
    "check_policy",
    "check_scheduler",
    "demand",
    "demand_same_tree",
    "demand_same_turn",
    "grow_forest",
    "grow_tree",
    "record_forest",
    "toy_task",
]
