"""Probes of what a suite offers: its tasks and splits, its tools, Gymnasium's own rules, secrets, speed.

Each probe returns its evidence or raises Rejected.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tasks import straddling
from trace_gym.environment.toolbox import flaw
from trace_gym.environment.trial import Rejected, Subject, Wanderer, opened, stepped

SPEED_STEPS = 300
_STRIDE = 7919


def tasks_are_sound(subject: Subject) -> str:
    """Both splits have tasks; ids are unique, payloads are JSON, an index always gives the same task."""
    counts: list[str] = []
    ids: dict[str, Split] = {}
    for split in (Split.TRAIN, Split.TEST):
        listed = subject.suite.tasks(split)
        if not len(listed):
            raise Rejected(f"there is no {split} task")
        for task in _spread(listed, subject.plan.scan):
            _check_task(task, subject.suite.env_class, split)
            if task.id in ids:
                raise Rejected(f"task id {task.id!r} is not unique ({ids[task.id]} and {split})")
            ids[task.id] = split
        sample = _spread(listed, subject.plan.tasks)
        again = _spread(subject.suite.tasks(split), subject.plan.tasks)
        if sample != again:
            raise Rejected(f"tasks({split}) listed twice gives different tasks")
        subject.tasks[split] = sample
        counts.append(f"{len(listed)} {split}")
    return f"{' and '.join(counts)} tasks, {len(ids)} read"


def families_do_not_straddle(subject: Subject) -> str:
    """No family has tasks in both splits."""
    train, test = (
        _spread(subject.suite.tasks(split), subject.plan.scan) for split in (Split.TRAIN, Split.TEST)
    )
    shared = straddling(train, test)
    if shared:
        raise Rejected(f"{len(shared)} families are in both splits, such as {shared[0]!r}")
    sizes = [len({task.family for task in side}) for side in (train, test)]
    return f"{sizes[0]} train and {sizes[1]} test families, disjoint"


def tools_are_sound(subject: Subject) -> str:
    """Schemas are valid, and every tool that a task offers is in the suite's toolbox; only the `examples` in
    it may change from turn to turn."""
    env = subject.make()
    listed = tuple(env.toolbox())
    for spec in listed:
        found = flaw(spec)
        if found:
            raise Rejected(found)
        json.dumps(spec.openai())
    schemas = {spec.name: _bare(spec.parameters) for spec in listed}
    for task in subject.sampled():
        for spec in opened(env, task, 0).tools:
            if spec.name not in schemas:
                raise Rejected(f"{task.key} offers tool {spec.name!r}, which toolbox() does not list")
            if _bare(spec.parameters) != schemas[spec.name]:
                raise Rejected(f"{task.key} offers tool {spec.name!r} with other parameters than toolbox()")
    env.close()
    return f"{len(listed)} tools"


def gymnasium_agrees(subject: Subject) -> str:
    """Gymnasium's `check_env` has nothing to say, not even a warning."""
    suite = subject.suite
    env = suite.make()

    def maker(**options: Any) -> AgenticEnv:
        return suite.make(render_mode=options.get("render_mode"))

    env.spec = EnvSpec(f"trace_gym/{suite.name}-v0", entry_point=maker)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(env)
    env.close()
    if said:
        raise Rejected(" | ".join(str(warning.message) for warning in said[:3]))
    return "check_env is clean"


def answers_are_hidden(subject: Subject) -> str:
    """The first observation gives away none of the texts the suite declares secret."""
    env, secrets = subject.make(), 0
    for task in subject.sampled():
        observation = opened(env, task, 0).observation
        for secret in env.secrets(task):
            secrets += 1
            if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", observation, re.IGNORECASE):
                raise Rejected(f"{task.key}: the first observation holds {secret!r}: {observation[:200]!r}")
    env.close()
    return f"{secrets} secrets, none shown" if secrets else "the suite declares no secrets"


def steps_are_quick(subject: Subject) -> str:
    """No step of random play exceeds its task's time limit; says how much the peak of memory rose."""
    before = getrusage(RUSAGE_SELF).ru_maxrss
    env, rng = subject.make(), subject.rng(8)
    wanderer, times = Wanderer(rng), list[float]()
    for number, task in subject.cases(SPEED_STEPS):
        seen = opened(env, task, number)
        while not seen.done and len(times) < SPEED_STEPS:
            action = wanderer(env)
            start = subject.clock()
            seen = stepped(env, action)
            times.append(subject.clock() - start)
            if times[-1] > task.limits.step_timeout_s:
                raise Rejected(f"{task.key}: a step took {times[-1]:.2f} s of {task.limits.step_timeout_s} s")
        if len(times) >= SPEED_STEPS:
            break
    env.close()
    middle, slow = 1000 * median(times), 1000 * float(np.quantile(times, 0.99))
    grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024
    evidence = f"median {middle:.3g} ms a step, 99 % below {slow:.3g} ms, of {len(times)}"
    return f"{evidence}; peak memory rose by {grown:.3g} MiB"


def _spread(tasks: Sequence[Task], count: int) -> tuple[Task, ...]:
    """At most `count` tasks, the first among them: one of every stretch of the list, at a place that varies,
    lest a list that repeats a pattern be met at the same point of it each time."""
    size, count = len(tasks), min(count, len(tasks))
    edges = [i * size // count for i in range(count + 1)] if count else []
    return tuple(tasks[a + i * _STRIDE % (b - a)] for i, (a, b) in enumerate(pairwise(edges)))


def _check_task(task: Task, env_class: type[AgenticEnv], split: Split) -> None:
    if task.suite != env_class.suite:
        raise Rejected(f"task {task.id!r} says it is of suite {task.suite!r}, not {env_class.suite!r}")
    if task.split != split:
        raise Rejected(f"task {task.id!r} of tasks({split}) says it is of split {task.split}")
    if not task.id or not task.family:
        raise Rejected(f"task {task.id!r} needs an id and a family, has family {task.family!r}")
    payload = dict(task.payload)
    try:
        stored = json.loads(json.dumps(payload, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Rejected(f"task {task.id!r}: the payload is not JSON data: {error}") from error
    if stored != payload:
        lost = _altered(payload, stored, "payload")
        raise Rejected(f"task {task.id!r}: the payload is not JSON data: a resumed run reads {lost}")


def _altered(given: Any, stored: Any, where: str) -> str:
    """Where a value first differs from what JSON makes of it, and how."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            if not isinstance(key, str):
                return f"the key {key!r} of {where} as text"
            if value != stored.get(key):
                return _altered(value, stored.get(key), f"{where}[{key!r}]")
    if isinstance(given, list):
        for place, (value, other) in enumerate(zip(given, stored, strict=True)):
            if value != other:
                return _altered(value, other, f"{where}[{place}]")
    return f"{where} as {type(stored).__name__}, not {type(given).__name__}"


def _bare(schema: Any) -> Any:
    """A JSON Schema without its examples, which bind nobody."""
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _bare(value) for key, value in schema.items() if key != "examples" or isinstance(value, Mapping)
    }
