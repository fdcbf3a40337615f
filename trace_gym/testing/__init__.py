"""Fakes and conformance tests, shipped for whoever builds a policy, agent, scheduler, journal or
sandbox of their own."""

from trace_gym.testing.agent import AgentRule, ScriptedAgent
from trace_gym.testing.demand import demand, demand_same_tree, demand_same_turn
from trace_gym.testing.hostile import check_hostile
from trace_gym.testing.hostile_programs import HOSTILE
from trace_gym.testing.journal import Crashed, CrashingJournal, MemoryJournal, record_forest
from trace_gym.testing.journalling import check_journal
from trace_gym.testing.policy import Rule, ScriptedPolicy
from trace_gym.testing.sampling import check_policy
from trace_gym.testing.sandbox import SANDBOX_LAWS, check_sandbox
from trace_gym.testing.sandbox_files import FILE_LAWS
from trace_gym.testing.scheduling import Trial, check_scheduler
from trace_gym.testing.toy import ToyTokenizer
from trace_gym.testing.trees import ENDS, grow_forest, grow_tree, toy_task

__all__ = [
    "ENDS",
    "FILE_LAWS",
    "HOSTILE",
    "SANDBOX_LAWS",
    "AgentRule",
    "Crashed",
    "CrashingJournal",
    "MemoryJournal",
    "Rule",
    "ScriptedAgent",
    "ScriptedPolicy",
    "ToyTokenizer",
    "Trial",
    "check_hostile",
    "check_journal",
    "check_policy",
    "check_sandbox",
    "check_scheduler",
    "demand",
    "demand_same_tree",
    "demand_same_turn",
    "grow_forest",
    "grow_tree",
    "record_forest",
    "toy_task",
]
