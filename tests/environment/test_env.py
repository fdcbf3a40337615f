"""The environment: order of a step, rewards, refusals, failures, and what `info` promises."""

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import EnvironmentFailed, UnknownName
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import MAX_CALLS, AgenticEnv
from trace_gym.environment.tools import ToolError, tool


class Counter(AgenticEnv):
    """Count to the goal, then close."""

    suite = "counter"

    def begin(self, task):
        self.state = {"count": 0, "closed": False}
        return f"Count to {task.payload['goal']}."

    @tool
    def add(self, amount: int = 1) -> str:
        """Add.

        Args:
            amount: How much.
        """
        if amount == 13:
            raise ToolError("Not thirteen.")
        if amount == 66:
            raise OSError("the adder broke")
        if amount == 99:
            return None
        self.state["count"] += amount
        return str(self.state["count"])

    @tool
    def close_it(self) -> str:
        """Close."""
        self.state["closed"] = True
        self.finish()
        return "closed"

    def checks(self):
        share = max(0.0, min(1.0, self.state["count"] / self.task.payload["goal"]))
        status = Status.ERROR if self.state["count"] == 404 else Status.PASS if share == 1.0 else Status.FAIL
        yield Verdict("counted", status, share, f"count {self.state['count']}")
        yield Verdict.of("closed", self.state["closed"], evidence="the lid", weight=3.0)

    @classmethod
    def tasks(cls, split):
        return [task(str(n), split=split) for n in range(5)]


def task(name="t", *, goal=4, max_turns=6, split=Split.TRAIN, suite="counter"):
    return Task(name, suite, split, "f", payload={"goal": goal}, limits=Limits(max_turns=max_turns))


def begun(reward="outcome", **limits):
    env = Counter(reward=reward)
    env.reset(seed=0, options={"task": task(**limits)})
    return env


def add(amount):
    return Action.call("add", amount=amount)


CLOSE = Action.call("close_it")


def test_reset_tells_the_task_and_the_verdicts():
    observation, info = Counter().reset(seed=0, options={"task": task()})
    assert observation == "Count to 4."
    assert {key: info[key] for key in ("task", "tools", "turn", "success")} == {
        "task": "counter/t",
        "tools": ("add", "close_it"),
        "turn": 0,
        "success": False,
    }
    assert [v.name for v in info["verdicts"]] == ["counted", "closed"]


def test_outcome_is_paid_once_at_the_end():
    env = begun()
    rewards = [env.step(action)[1] for action in (add(2), add(2), CLOSE)]
    assert rewards == [0.0, 0.0, 1.0]


def test_failure_pays_nothing():
    env = begun()
    observation, reward, terminated, truncated, info = env.step(CLOSE)
    assert (observation, reward, terminated, truncated) == ("closed", 0.0, True, False)
    assert info["success"] is False


def test_shaped_rewards_are_differences_of_the_potential_and_sum_to_the_outcome():
    # potential = (1 * count/4 + 3 * closed) / 4, and 0 at the end
    env = begun("shaped")
    rewards = [env.step(action)[1] for action in (add(2), add(-1), add(3), CLOSE)]
    assert rewards == pytest.approx([1 / 8, -1 / 16, 3 / 16, 1.0 - 1 / 4])
    assert sum(rewards) == pytest.approx(1.0)


def test_shaped_rewards_of_a_truncated_failure_sum_to_nothing():
    env = begun("shaped", max_turns=2)
    assert env.step(add(3))[1] + env.step(add(0))[1] == pytest.approx(0.0)


def test_truncation_at_max_turns_and_then_a_reset_is_needed():
    env = begun(max_turns=2)
    assert env.step("hello")[2:4] == (False, False)
    assert env.step("hello")[2:4] == (False, True)
    with pytest.raises(ResetNeeded, match="is over"):
        env.step("hello")


def test_a_truncated_episode_whose_checks_all_pass_is_paid():
    class Open(Counter):
        def checks(self):
            yield Verdict.of("counted", self.state["count"] >= 4, evidence="count")

    env = Open()
    env.reset(options={"task": task(max_turns=1)})
    assert env.step(add(4))[1:4] == (1.0, False, True)


def test_stepping_before_a_reset_is_refused():
    for call in (lambda: Counter().step("x"), Counter().snapshot, Counter(render_mode="ansi").render):
        with pytest.raises(ResetNeeded, match="call reset"):
            call()


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        (add(13), "Not thirteen."),
        (Action.call("ad"), "There is no tool 'ad'. Did you mean 'add'? Tools: add, close_it."),
        (add("1"), "add: argument 'amount' must be an integer, got '1'. Usage: add(amount?: integer)"),
        ("{'bad'", "The action could not be understood: the action is not valid JSON"),
        (42, "The action could not be understood: an action is a tool call or a message; got int"),
        ("just talk", "A message ends nothing here; call one of the tools: add, close_it."),
        ([{"name": "add"}] * (MAX_CALLS + 1), f"An action holds at most {MAX_CALLS} calls, got 65; none"),
    ],
)
def test_bad_actions_are_answered_and_change_nothing(action, answer):
    env = begun()
    observation, reward, terminated, truncated, info = env.step(action)
    assert observation.startswith(answer)
    assert (reward, terminated, truncated, info["turn"]) == (0.0, False, False, 1)
    assert env.state == {"count": 0, "closed": False}


def test_several_calls_run_in_order_until_the_episode_ends():
    env = begun()
    calls = (ToolCall("add", {"amount": 4}), ToolCall("nope"), ToolCall("close_it"), ToolCall("add"))
    observation, reward, terminated, _, _ = env.step(Action(calls=calls))
    assert observation == "4\nThere is no tool 'nope'. Tools: add, close_it.\nclosed"
    assert (reward, terminated, env.state["count"]) == (1.0, True, 4)


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (66, "counter/t broke in turn 1: OSError: the adder broke"),
        (99, "tool 'add' must give a string, got NoneType"),
        (404, "required check 'counted' broke: count 404"),
    ],
)
def test_what_breaks_in_the_suite_invalidates_the_episode(amount, reason):
    env = begun()
    with pytest.raises(EnvironmentFailed, match=reason):
        env.step(add(amount))
    with pytest.raises(ResetNeeded, match="has failed"):
        env.step(add(1))
    assert env.reset(options={"task": task()})[0] == "Count to 4."


def test_a_reset_that_fails_leaves_no_episode_to_play_on():
    env = begun()
    for options in ({"tusk": task()}, {"task": task(suite="other")}, {"task": task(goal=0)}):
        with pytest.raises((ValueError, EnvironmentFailed)):
            env.reset(seed=1, options=options)
        with pytest.raises(ResetNeeded):
            env.step(add(1))
        env.reset(seed=0, options={"task": task()})


def test_the_cause_of_a_failure_is_chained():
    with pytest.raises(EnvironmentFailed) as caught:
        begun().step(add(66))
    assert isinstance(caught.value.__cause__, OSError)


def test_arguments_and_texts_are_made_safe():
    class Echo(Counter):
        def reply(self, message):
            self.state["said"] = message
            return "\udc80" + message

        def checks(self):
            yield Verdict.of("said", "said" in self.state, evidence="\ud800")

    env = Echo()
    env.reset(options={"task": task()})
    observation, _, _, _, info = env.step(Action(message="a\ud800b"))
    assert (observation, env.state["said"], info["verdicts"][0].evidence) == ("?a?b", "a?b", "?")


def test_a_tool_never_shares_its_arguments_with_the_caller():
    class Keep(Counter):
        @tool
        def keep(self, items: list[int]) -> str:
            """Keep.

            Args:
                items: What to keep.
            """
            self.state["kept"] = items
            items.append(0)
            return "kept"

    env, items = Keep(), [1]
    env.reset(options={"task": task()})
    env.step({"name": "keep", "arguments": {"items": items}})
    assert (items, env.state["kept"]) == ([1], [1, 0])


def test_tools_may_come_and_go():
    extra = ToolSpec("extra", "More.", {"type": "object", "properties": {}, "additionalProperties": False})

    class Growing(Counter):
        @classmethod
        def toolbox(cls):
            return (*super().toolbox(), extra)

        def available(self):
            return self.toolbox() if self.state["count"] else self.toolbox()[:-1]

        def call(self, name, arguments):
            return "extra!" if name == "extra" else super().call(name, arguments)

    env = Growing()
    env.reset(options={"task": task()})
    assert env.step(Action.call("extra"))[0].startswith("There is no tool 'extra'")
    both = Action(calls=(ToolCall("add"), ToolCall("extra")))
    observation, _, _, _, info = env.step(both)
    assert (observation, info["tools"]) == ("1\nextra!", ("add", "close_it", "extra"))
    assert Action.call("extra") in env.action_space


def test_tasks_are_drawn_by_seed_from_the_split():
    env = Counter(split=Split.TEST)
    first = [env.reset(seed=seed)[1]["task"] for seed in range(60)]
    again = [env.reset(seed=seed)[1]["task"] for seed in range(60)]
    assert first == again
    assert len(set(first)) == 5
    assert env.task.split is Split.TEST


def test_a_pool_replaces_the_suites_tasks():
    env = Counter()
    env.pool = lambda: [task("only")]
    assert env.reset()[1]["task"] == "counter/only"
    empty = Counter()
    empty.pool = list
    with pytest.raises(EnvironmentFailed, match=r"cannot list its tasks.*there is no train task"):
        empty.reset()


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"tsak": 1}, UnknownName, "did you mean 'task'"),
        ({"task": "t"}, ValueError, "must be a Task, got str"),
        ({"task": task(suite="other")}, ValueError, "suite 'other' cannot be played in 'counter'"),
    ],
)
def test_bad_reset_options_are_refused(options, error, reason):
    with pytest.raises(error, match=reason):
        Counter().reset(options=options)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"reward": "dense"}, "reward must be"), ({"render_mode": "human"}, "render_mode must be")],
)
def test_bad_constructor_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Counter(**arguments)


def test_a_suite_needs_a_name_and_begins_unfinished():
    class Nameless(Counter):
        suite = ""

    class Hasty(Counter):
        def begin(self, task):
            self.finish()
            return super().begin(task)

    with pytest.raises(ValueError, match="Nameless must name its suite"):
        Nameless()
    with pytest.raises(EnvironmentFailed, match="begin must not finish"):
        Hasty().reset(options={"task": task()})


def test_a_tool_may_not_hide_a_method_of_the_environment():
    with pytest.raises(ValueError, match=r"Wrong.close hides a method of AgenticEnv"):

        class Wrong(Counter):
            @tool
            def close(self) -> str:
                """Close."""
                return ""


def test_what_is_no_verdict_breaks_the_episode():
    class Wrong(Counter):
        def checks(self):
            return [True]

    with pytest.raises(EnvironmentFailed, match="checks must yield verdicts, got bool"):
        Wrong().reset(options={"task": task()})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"name": ("counted", 1)}, "the name of a check must give a string, got tuple"),
        ({"evidence": 7}, "the evidence of check 'counted' must give a string, got int"),
        ({"score": np.float32("nan")}, "verdict 'counted': score must lie in"),
        ({"fingerprint": b"page"}, "TypeError"),
    ],
)
def test_whatever_a_turn_shows_that_cannot_be_written_down_breaks_that_episode_alone(fault, reason):
    class Odd(Counter):
        broken = False

        def checks(self):
            given = {"name": "counted", "status": "fail", "score": np.float32(0.5), "evidence": "so far"}
            changed = {key: fault[key] for key in fault if key in given}
            yield Verdict(**{**given, **(changed if self.broken else {})})

        def fingerprint(self):
            return fault.get("fingerprint", "") if self.broken else ""

    env = Odd()
    assert env.reset(options={"task": task()})[1]["verdicts"][0].score == 0.5
    env.broken = True
    with pytest.raises(EnvironmentFailed, match=f"counter/t broke in turn 1.*{reason}"):
        env.step(add(1))
    with pytest.raises(EnvironmentFailed, match=f"counter/t could not begin.*{reason}"):
        env.reset(options={"task": task()})
    env.broken = False
    assert env.reset(options={"task": task()})[0] == "Count to 4."


def test_history_does_not_change_with_the_callers_arguments():
    env, arguments = begun(), {"amount": 1}
    env.step({"name": "add", "arguments": arguments})
    arguments["amount"] = 2
    assert env.progress.actions == (add(1),)
    again = env.snapshot("replay")
    env.step({"name": "add", "arguments": arguments})
    env.restore(again)
    assert env.progress.observation == "1"


def test_info_is_comparable_and_the_digest_tells_turns_apart():
    one, two = begun(), begun()
    first, second = one.step(add(1))[4], two.step(add(1))[4]
    assert first == second
    assert first is not second
    assert one.step(add(1))[4]["digest"] != two.step(add(2))[4]["digest"]
    assert begun().step(add(3))[4]["digest"] != begun("shaped").step(add(3))[4]["digest"]


def test_rendering():
    env = Counter(render_mode="ansi")
    env.reset(options={"task": task()})
    env.step(add(4))
    assert env.render() == (
        "counter/t  turn 1 of 6\n> add(amount=4)\n4\n[+] counted: count 4\n[-] closed: the lid"
    )
    assert begun().render() is None
