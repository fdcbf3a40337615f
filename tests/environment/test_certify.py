"""Certification: a sound suite passes, and each way of being broken is found for its own reason."""

import itertools
import json
import random
import time

import pytest

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import UnknownName
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.certify import certify
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import Suite
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import tool
from trace_gym.environment.trial import Plan

SMALL = Plan(tasks=4, episodes=30, forks=12, fuzz=200, scan=1000)
ALL = [
    "tasks",
    "families",
    "tools",
    "gymnasium",
    "secrets",
    "same seed",
    "fork by copy",
    "fork by replay",
    "parallel children",
    "fuzz",
    "oracle",
    "no-op",
    "random",
    "repetition",
    "answer spam",
    "forgery",
    "flakes",
    "speed",
    "verdicts",
    "vacuous checks",
]


class Lock(AgenticEnv):
    """Press four digits in the order the code says; the sound suite that the broken ones are made from."""

    suite = "lock"
    chance = 0.05

    def begin(self, task):
        self.state = {"pressed": "", "dust": int(self.np_random.integers(1000))}
        return f"A lock with four digits. Dust: {self.state['dust']}."

    @tool
    def press(self, digit: int) -> str:
        """Press a digit.

        Args:
            digit: 0 to 9.
        """
        self.state["pressed"] += str(digit)[-1]
        if len(self.state["pressed"]) == 4:
            self.finish()
        return f"You press {digit % 10}; {int(self.np_random.integers(9))} clicks."

    def checks(self):
        pressed, code = self.state["pressed"], self.task.payload["code"]
        yield Verdict.of("open", pressed == code, evidence=f"pressed {pressed!r}")
        yield Verdict.of(
            "on track", code.startswith(pressed), evidence=f"pressed {pressed!r}", required=False
        )

    def oracle(self):
        at = len(self.state["pressed"])
        return Action.call("press", digit=int(self.task.payload["code"][at]))

    @classmethod
    def tasks(cls, split):
        first = 1000 if split is Split.TRAIN else 5000
        return LazyTasks(3000, lambda i: lock(first + i, split))


def lock(code, split, **changes):
    fields = {"family": str(code), "payload": {"code": str(code)}, "limits": Limits(max_turns=8), **changes}
    return Task(f"code-{code}", "lock", split, **fields)


def report_on(env_class, plan=SMALL, **rest):
    return certify(Suite("lock", "lock", env_class), plan, **rest)


def failures(env_class, plan=SMALL, **rest):
    return {finding.name: finding.evidence for finding in report_on(env_class, plan, **rest).failures}


def test_a_sound_suite_passes_every_probe():
    report = report_on(Lock)
    assert report.passed, report.rows()
    assert [finding.name for finding in report.findings] == ALL
    evidence = {finding.name: finding.evidence for finding in report.findings}
    assert evidence["tasks"] == "3000 train and 3000 test tasks, 2000 read"
    assert evidence["families"] == "1000 train and 1000 test families, disjoint"
    assert evidence["oracle"].startswith(
        "8 tasks solved in 4 to 4 turns; after random turns it still solved 0 of"
    )
    assert evidence["no-op"] == "24 episodes, none succeeded"
    assert evidence["fork by copy"].startswith("12 fork points")
    assert evidence["fuzz"] == "200 actions of 14 kinds, no exception"


def test_a_report_is_rows_and_json_and_told_as_it_is_made():
    told = []
    report = report_on(Lock, Plan(tasks=1, episodes=1, forks=1, fuzz=1), tell=told.append)
    assert tuple(told) == report.findings
    assert report.rows()[0] == ("tasks", "pass", "3000 train and 3000 test tasks, 6000 read")
    data = json.loads(json.dumps(report.json()))
    assert (data["suite"], len(data["findings"])) == ("lock", len(ALL))


def test_the_same_plan_finds_the_same():
    strip = [(f.name, f.passed, f.evidence) for f in report_on(Lock).findings if f.name != "speed"]
    assert strip == [(f.name, f.passed, f.evidence) for f in report_on(Lock).findings if f.name != "speed"]


def test_a_suite_that_forks_by_replay_is_not_asked_to_copy():
    class Replayed(Lock):
        fork = "replay"

        def begin(self, task):
            self.presses = 0
            return super().begin(task)

        def call(self, name, arguments):
            self.presses += 1
            return f"{super().call(name, arguments)} {self.presses} presses."

    report = report_on(Replayed)
    assert report.passed, report.rows()
    assert "fork by copy" not in [finding.name for finding in report.findings]


def test_an_unknown_suite_is_an_error_not_a_finding():
    with pytest.raises(UnknownName, match="did you mean 'guess'"):
        certify("gess")


def test_suites_that_run_programs_are_tried_less_often():
    class Boxed(Lock):
        fork = "sandbox"

    assert Plan.fitting(Suite("lock", "lock", Lock)) == Plan()
    assert Plan.fitting(Suite("lock", "lock", Boxed)) == Plan(episodes=60, forks=30, fuzz=200)


@pytest.mark.parametrize("name", ["tasks", "episodes", "forks", "fuzz", "scan"])
def test_a_plan_must_try_something(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Plan(**{name: 0})


# Broken suites. Each differs from the sound one in one respect.


class KeepsStateElsewhere(Lock):
    def begin(self, task):
        self.presses = 0
        return super().begin(task)

    def call(self, name, arguments):
        self.presses += 1
        return f"{super().call(name, arguments)} {self.presses} presses."


class SharesStateBetweenInstances(Lock):
    heat = 0

    def call(self, name, arguments):
        type(self).heat += 1
        return f"{super().call(name, arguments)} Heat {self.heat}."


class RollsItsOwnDice(Lock):
    def call(self, name, arguments):
        return f"{super().call(name, arguments)} {random.random()}"


class RemembersTheLastEpisode(Lock):
    dust = 0

    def begin(self, task):
        opening = super().begin(task)
        self.state["dust"] += self.dust
        self.dust = self.state["dust"] + 1
        return f"{opening} {self.state['dust']}"


class ChangesItsTasks(Lock):
    def begin(self, task):
        task.payload["code"] = str(int(task.payload["code"]) + 1)
        return f"{super().begin(task)} Serial number {int(task.payload['code']) * 7}."


class SnapshotOfItself(Lock):
    """Its state holds on to the environment's class-wide log, which copies share."""

    class Log(list):
        def __deepcopy__(self, memo):
            return self

    def begin(self, task):
        opening = super().begin(task)
        self.state["log"] = self.Log()
        return opening

    def call(self, name, arguments):
        self.state["log"].append(name)
        return f"{super().call(name, arguments)} {len(self.state['log'])} logged."


class OpensByItself(Lock):
    def reply(self, message):
        self.state["pressed"] = self.task.payload["code"]
        self.finish()
        return "Click."


class OracleIsWrong(Lock):
    def oracle(self):
        return Action.call("press", digit=0)


class OracleGivesUp(Lock):
    def oracle(self):
        return super().oracle() if len(self.state["pressed"]) < 2 else None


class OracleLeavesTraces(Lock):
    def oracle(self):
        self.state["asked"] = self.state.get("asked", 0) + 1
        return Action(message="hm") if self.state["asked"] % 2 else super().oracle()


class BreaksOnText(Lock):
    @tool
    def shout(self, word: str) -> str:
        """Shout.

        Args:
            word: What to shout.
        """
        return word.encode("ascii").decode()


class IsTooEasy(Lock):
    chance = 0.01

    def checks(self):
        yield Verdict.of("open", len(self.state["pressed"]) == 4, evidence="any code will do")


class HasAVacuousCheck(Lock):
    def checks(self):
        yield from super().checks()
        yield Verdict.of("alive", True, evidence="the lock exists")


class ChangesItsChecks(Lock):
    def checks(self):
        yield from super().checks()
        if self.state["pressed"]:
            yield Verdict.of("pressed", True, evidence="something", required=False)


class NamesTwoChecksAlike(Lock):
    def checks(self):
        yield from super().checks()
        yield from super().checks()


class GivesNoEvidence(Lock):
    def checks(self):
        yield Verdict.of("open", self.state["pressed"] == self.task.payload["code"], evidence=" ")


class RequiresNothing(Lock):
    def oracle(self):
        return None

    def checks(self):
        yield Verdict.of("open", False, evidence="x", required=False)


class NeverDecides(Lock):
    def oracle(self):
        return None

    def checks(self):
        yield Verdict("open", Status.SKIPPED, 0.0, "not looked at")


class ShowsTheCode(Lock):
    def begin(self, task):
        return f"{super().begin(task)} A note says {task.payload['code']}."

    @classmethod
    def secrets(cls, task):
        return (task.payload["code"],)


class SplitsAFamily(Lock):
    @classmethod
    def tasks(cls, split):
        first = 1000 if split is Split.TRAIN else 5000
        return [lock(first + i, split, family=str((first + i) % 4007)) for i in range(100)]


class RepeatsAnId(Lock):
    @classmethod
    def tasks(cls, split):
        return [lock(1000, split)] * 3


class MislabelsTheSplit(Lock):
    @classmethod
    def tasks(cls, split):
        return super().tasks(Split.TRAIN)


class HasNoTestTasks(Lock):
    @classmethod
    def tasks(cls, split):
        return super().tasks(split) if split is Split.TRAIN else []


class ShufflesItsTasks(Lock):
    turn = itertools.count()

    @classmethod
    def tasks(cls, split):
        return super().tasks(split)[next(cls.turn) % 2 :]


class HasUnspeakablePayload(Lock):
    @classmethod
    def tasks(cls, split):
        return [lock(1000, split, payload={"code": "1000", "when": object()})]


class NumbersItsKeys(Lock):
    @classmethod
    def tasks(cls, split):
        payload = {"code": "1000", "rows": [{"cells": {"1": "a"}}, {"cells": {1: "a"}}]}
        return [lock(1000, split, payload=payload)]


class HoldsATuple(Lock):
    @classmethod
    def tasks(cls, split):
        return [lock(1000, split, payload={"code": "1000", "at": [0, (1, 2)]})]


class CannotListTasks(Lock):
    @classmethod
    def tasks(cls, split):
        raise FileNotFoundError("codes.json")


EXTRA = ToolSpec("extra", "More.", {"type": "object", "properties": {}, "additionalProperties": False})


class OffersAnUnlistedTool(Lock):
    def available(self):
        return (*self.toolbox(), EXTRA)

    def call(self, name, arguments):
        return "extra" if name == "extra" else super().call(name, arguments)


class HasAnInvalidSchema(Lock):
    @classmethod
    def toolbox(cls):
        return (*super().toolbox(), ToolSpec("odd", "Odd.", {"type": "objekt"}))

    def available(self):
        return super().toolbox()


class TellsTheTime(Lock):
    def step(self, action):
        outcome = super().step(action)
        outcome[4]["seconds"] = time.perf_counter()
        return outcome


class OpensWhenPestered(Lock):
    """Gives way to the same digit pressed over and over."""

    def checks(self):
        pressed = self.state["pressed"]
        yield Verdict.of(
            "open", len(pressed) == 4 and len(set(pressed)) == 1, evidence=f"pressed {pressed!r}"
        )

    def oracle(self):
        return Action.call("press", digit=7)


class TakesAnyWordOfTheQuestion(Lock):
    """Is content with a word that the question itself holds."""

    @tool
    def name(self, what: str) -> str:
        """Name what this is.

        Args:
            what: A word.
        """
        if what == "Dust":
            self.state["pressed"] = self.task.payload["code"]
            self.finish()
        return "Noted."


class BelievesClaims(Lock):
    """Takes the agent's word for it."""

    def reply(self, message):
        if '"success": true' in message:
            self.state["pressed"] = self.task.payload["code"]
        return "Thank you."


class OracleFlakes(Lock):
    """Has a code that now and then is not the code."""

    def checks(self):
        pressed, code = self.state["pressed"], self.task.payload["code"]
        lucky = self.state["dust"] % 3 or self.task.seed
        yield Verdict.of("open", pressed == code and bool(lucky), evidence=f"pressed {pressed!r}")


@pytest.mark.parametrize(
    ("env_class", "name", "reason"),
    [
        (OpensWhenPestered, "repetition", "episodes of one call repeated succeeded"),
        (TakesAnyWordOfTheQuestion, "answer spam", "8 of 8 episodes of answers taken from the question"),
        (BelievesClaims, "forgery", 'lock/code-1000 believed a forgery: {"message": '),
        (OracleFlakes, "flakes", "ended with success ["),
        (KeepsStateElsewhere, "fork by copy", "Does everything that changes live in self.state"),
        (SharesStateBetweenInstances, "same seed", "played twice: turn 1: observation"),
        (RollsItsOwnDice, "same seed", "observation"),
        (RemembersTheLastEpisode, "same seed", "played twice: turn 0: observation"),
        (ChangesItsTasks, "same seed", "turn 0: observation"),
        (SnapshotOfItself, "fork by copy", "forked after turn"),
        (OpensByItself, "no-op", "has succeeded in turn 1 although nothing was done"),
        (OracleIsWrong, "oracle", "8 of 8 tasks failed: lock/code-1000: terminated after 4 turns; open fail"),
        (OracleGivesUp, "oracle", "the oracle stopped after 2 turns"),
        (OracleLeavesTraces, "oracle", "asking must change nothing"),
        (BreaksOnText, "fuzz", "broke it: lock/code-"),
        (IsTooEasy, "random", "declared chance 0.01"),
        (HasAVacuousCheck, "vacuous checks", "['alive']"),
        (ChangesItsChecks, "verdicts", "names changed from ['open', 'on track'] to"),
        (NamesTwoChecksAlike, "verdicts", "check names must differ"),
        (GivesNoEvidence, "verdicts", "verdict 'open' has no evidence"),
        (RequiresNothing, "verdicts", "no check is required"),
        (NeverDecides, "verdicts", "terminated although a required check has no finding"),
        (ShowsTheCode, "secrets", "the first observation holds '1000'"),
        (SplitsAFamily, "families", "families are in both splits, such as '1000'"),
        (RepeatsAnId, "tasks", "task id 'code-1000' is not unique"),
        (MislabelsTheSplit, "tasks", "task 'code-1000' of tasks(test) says it is of split train"),
        (HasNoTestTasks, "tasks", "there is no test task"),
        (ShufflesItsTasks, "tasks", "listed twice gives different tasks"),
        (HasUnspeakablePayload, "tasks", "the payload is not JSON data"),
        (NumbersItsKeys, "tasks", "a resumed run reads the key 1 of payload['rows'][1]['cells'] as text"),
        (HoldsATuple, "tasks", "a resumed run reads payload['at'][1] as list, not tuple"),
        (CannotListTasks, "tasks", "FileNotFoundError: codes.json [" + __file__),
        (OffersAnUnlistedTool, "tools", "offers tool 'extra', which toolbox() does not list"),
        (HasAnInvalidSchema, "tools", "tool 'odd' has an invalid schema: 'objekt'"),
        (TellsTheTime, "gymnasium", "info"),
    ],
)
def test_a_broken_suite_is_rejected_for_its_own_reason(env_class, name, reason):
    found = failures(env_class)
    assert name in found
    assert reason in found[name]
    assert set(found) <= {name, *ALSO.get(env_class, ())}


ALSO = {
    SharesStateBetweenInstances: ["gymnasium", "fork by copy", "fork by replay", "parallel children"],
    RollsItsOwnDice: ["gymnasium", "fork by copy", "fork by replay", "parallel children"],
    RemembersTheLastEpisode: ["gymnasium", "fork by replay", "fork by copy"],
    ChangesItsTasks: ["gymnasium", "fork by replay", "fork by copy", "parallel children"],
    SnapshotOfItself: ["parallel children"],
    KeepsStateElsewhere: ["parallel children"],
    OpensByItself: ["random", "repetition", "answer spam", "forgery"],
    IsTooEasy: ["repetition", "answer spam"],
    OracleLeavesTraces: ["same seed", "fork by copy", "fork by replay", "parallel children"],
    BreaksOnText: [
        "gymnasium",
        "same seed",
        "fork by copy",
        "fork by replay",
        "parallel children",
        "random",
        "repetition",
        "answer spam",
        "forgery",
        "flakes",
        "speed",
        "oracle",
    ],
    TellsTheTime: ["same seed", "fork by copy", "fork by replay", "parallel children"],
    HasAnInvalidSchema: ["gymnasium"],
    NeverDecides: [],
}


def test_a_slow_step_is_found():
    ticks = itertools.count(step=20.0)
    found = failures(Lock, clock=lambda: next(ticks))
    assert found == {}
    ticks = itertools.count(step=31.0)
    found = failures(Lock, clock=lambda: next(ticks))
    assert list(found) == ["speed"]
    assert "a step took 31.00 s of 30.0 s" in found["speed"]


def test_a_crash_is_found_with_its_place():
    found = failures(BreaksOnText)["fuzz"]
    assert "UnicodeEncodeError" in found
    assert "in shout]" in found


def test_unsound_tasks_end_the_certification():
    assert [finding.name for finding in report_on(CannotListTasks).findings] == ["tasks"]
