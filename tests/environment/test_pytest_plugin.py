"""The pytest plugin: a fixture, a command line option, and nothing heavy until they are used."""

import subprocess
import sys

pytest_plugins = ["pytester"]

SUITE = '''
from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool

class Door(AgenticEnv):
    suite, chance = "door", 1.0

    def begin(self, task):
        self.state = {"open": False}
        return "A door."

    @tool
    def push(self) -> str:
        """Push."""
        self.state["open"] = True
        self.finish()
        return "It opens."

    def checks(self):
        yield Verdict.of("open", self.state["open"], evidence=str(self.state))

    def oracle(self):
        return Action.call("push")

    @classmethod
    def tasks(cls, split):
        return [Task(f"{split}-1", "door", split, split)]

class Stuck(Door):
    def oracle(self):
        return Action(message="please")
'''
TEST = """
from trace_gym.environment.trial import Plan

def test_certified(certify_suite):
    report = certify_suite("door.py:{name}", Plan(tasks=1, episodes=5, forks=2, fuzz=20))
    assert report.passed
"""


def test_the_fixture_passes_a_sound_suite_and_fails_a_broken_one(pytester):
    pytester.makepyfile(door=SUITE, test_good=TEST.format(name="Door"), test_bad=TEST.format(name="Stuck"))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*NotCertified: suite 'door.py:Stuck' is not certified:", "*oracle: 2 of 2 tasks failed: door/*"]
    )


def test_the_option_adds_a_test_per_suite(pytester):
    pytester.makepyfile(door=SUITE)
    result = pytester.runpytest_subprocess(
        "--trace-gym-suite=door.py:Door", "--trace-gym-suite", "door.py:Stuck", "-v"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*certify?door.py:Door?*PASSED*",
            "suite 'door.py:Stuck' is not certified:",
            "  oracle: 2 of 2 tasks*",
        ]
    )


def test_an_unknown_suite_is_reported_as_such(pytester):
    result = pytester.runpytest_subprocess("--trace-gym-suite=gess")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*unknown suite 'gess'; did you mean 'guess'?"])


def test_loading_the_plugin_loads_nothing_heavy():
    code = (
        "import sys; import trace_gym.environment.pytest_plugin; "
        "print([m for m in ('gymnasium', 'pydantic', 'scipy', 'torch', 'jsonschema') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
