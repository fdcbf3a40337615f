"""`trace-gym eval`: play held-out tasks and say how sure the numbers are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from trace_gym.cli.display import Display
from trace_gym.cli.options import budget_of, episode_limits_of, see_that_free
from trace_gym.cli.resume import as_recorded, evaluation_store, resumable
from trace_gym.cli.tables import listed, output, print_report
from trace_gym.core.agent import Agent
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, TraceGymError
from trace_gym.core.heap import settled
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import (
    AdaptiveConfig,
    EvalConfig,
    Part,
    Planned,
    Report,
    evaluate,
    evaluate_adaptively,
    planned,
)
from trace_gym.evaluate.benchmark import is_benchmark, read_benchmark
from trace_gym.evaluate.compare import read_evaluated
from trace_gym.parts import agent_names, make_agent, with_torch
from trace_gym.store import RunStatus, Store

TURN_TOKENS = 256


@click.command(
    "eval",
    epilog="Examples: trace-gym eval bfcl --agent oracle --json | "
    "trace-gym eval guess wikihop_compact --policy tiny -k 4 --tasks 200 --out runs/e | "
    "trace-gym eval bfcl --policy tiny --adaptive --budget tokens=200000 | "
    "trace-gym eval --resume --out runs/e",
)
@click.argument("suites", nargs=-1)
@click.option("--agent", "agent_name", help="An agent that needs no policy: oracle, random, noop, human, ...")
@click.option("--policy", help="tiny, smollm2, a Hugging Face id, a folder of a model or run, or vllm:ONE.")
@click.option("--renderer", help="How the policy speaks; default: the one that suits the model.")
@click.option("--split", type=click.Choice([str(s) for s in Split]), default="test", show_default=True)
@click.option("-k", "--attempts", default=1, show_default=True, help="Episodes per task.")
@click.option("--tasks", type=int, help="Tasks per suite at most, a fixed sample.")
@click.option("--max-tokens", default=TURN_TOKENS, show_default=True, help="Tokens per turn at most.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=1.0, show_default=True, help="0 is greedy."
)
@click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=1.0, show_default=True)
@click.option("--context", type=click.IntRange(min=1), help="Context size in tokens; default: the model's.")
@click.option(
    "--budget", "budgets", multiple=True, help="Of all: tokens=N, trajectories=N, seconds=S or usd=D."
)
@click.option(
    "--limit", "limits", multiple=True, help="Of one episode: turns=N, tokens=N, seconds=S or usd=D."
)
@click.option(
    "--adaptive", is_flag=True, help="Play where it narrows this task set's interval most per token."
)
@click.option("--width", type=float, help="With --adaptive: stop at an interval of plus or minus this.")
@click.option(
    "--prior",
    type=click.Path(path_type=Path),
    help="With --adaptive: an earlier evaluation of these tasks, to know where to look.",
)
@click.option(
    "--screenshots", is_flag=True, help="Keep a picture of every turn of suites that can draw themselves."
)
@click.option("--workers", default=64, show_default=True, help="Episodes played at once.")
@click.option("--seed", default=0, show_default=True, help="Of what is drawn in play.")
@click.option("--sample", default=0, show_default=True, help="Which sample --tasks takes.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Keep the run in this folder, to resume and read."
)
@click.option(
    "--resume", is_flag=True, help="Continue the evaluation in --out, as it was asked for; mid-episode too."
)
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Evaluate an agent or a policy on SUITES (NAME, NAME:SUBSET, NAME?option=value, file.py:Class), or on a
    benchmark: core, full, or a TOML file of your own.

    Exits with 1 if not one episode has an outcome and some are invalid: nothing was measured.
    """
    if given["resume"]:
        source = ParameterSource.COMMANDLINE
        given = as_recorded(given, [key for key in given if ctx.get_parameter_source(key) is source])
    if not given["suites"]:
        raise BadConfig("name at least one suite to evaluate on; see trace-gym list")
    if given["out"] and not given["resume"]:
        see_that_free(given["out"])
    parts = _parts(given)
    config = EvalConfig(
        split=Split(given["split"]),
        attempts=given["attempts"],
        tasks=given["tasks"],
        seed=given["seed"],
        sample=given["sample"],
        workers=given["workers"],
        turn_tokens=given["max_tokens"],
        limits=episode_limits_of(given["limits"]),
        screenshots=given["screenshots"],
    )
    report = _evaluated(parts, config, given)
    _say(report, given)
    _demand_outcome(report)


def _parts(given: dict[str, Any]) -> list[Part]:
    """The suites that were named, or the parts of a benchmark, which then decides attempts and tokens."""
    named = [name for name in given["suites"] if is_benchmark(name)]
    if not named:
        return [Part(suite(spec)) for spec in given["suites"]]
    if len(given["suites"]) > 1:
        raise BadConfig(f"{named[0]} is a benchmark: it is evaluated alone")
    found = read_benchmark(named[0])
    if given["attempts"] != 1 and not given["resume"]:
        raise BadConfig(f"{named[0]} says itself how often its tasks are played: leave -k out")
    if given["max_tokens"] not in (TURN_TOKENS, found.max_tokens):
        raise BadConfig(f"{named[0]} says itself what a turn may sample: leave --max-tokens out")
    given["max_tokens"], given["benchmark"] = found.max_tokens, found.content
    most = given["tasks"]
    return [
        replace(part, tasks=min(part.tasks or most, most) if most else part.tasks) for part in found.parts
    ]


def _evaluated(parts: list[Part], config: EvalConfig, given: dict[str, Any]) -> Report:
    """Play it, in a run folder if one was named."""
    purse, plan, adaptive = budget_of(given["budgets"]), planned(parts, config), _adaptive(given)
    with resumable("eval", given["out"]), ExitStack() as stack:
        rollouts = None if adaptive else sum(each.attempts for each in plan)
        display = stack.enter_context(Display(rollouts=rollouts, quiet=given["as_json"]))
        if adaptive is not None and any(part.attempts not in (None, 1) for part in parts):
            display.note("how often a task is played is decided as it goes, not by the benchmark's k")
        agent = _agent(given, [part.suite for part in parts], stack, display)
        store = stack.enter_context(evaluation_store(given)) if given["out"] else None
        if store is not None:
            ends = store.stops()
            open_still = ends.get("running", 0) + ends.get(StopReason.INVALID, 0)
            display.taken_up(sum(ends.values()) - open_still)
            display.note(f"run folder: {store.folder}")
            stack.push(store.note_end)
            if store.status is not RunStatus.FINISHED:
                store.set_status(RunStatus.RUNNING)
                _record_access(store, plan, given)
        if adaptive is None:
            playing = evaluate(
                parts, agent, config=config, budget=purse, journal=store, listener=display.event
            )
        else:
            playing = evaluate_adaptively(
                parts,
                agent,
                adaptive=adaptive,
                config=config,
                budget=purse,
                journal=store,
                listener=display.event,
            )
        with settled():
            report = asyncio.run(playing)
        if store is not None:
            store.record_metrics(0, {"report": report.json()})
            store.set_status(RunStatus.FINISHED)
    return report


def _adaptive(given: dict[str, Any]) -> AdaptiveConfig | None:
    """How to play adaptively, if that was asked for."""
    if not given["adaptive"]:
        if given["width"] is not None or given["prior"]:
            raise BadConfig("--width and --prior steer an adaptive evaluation: add --adaptive")
        return None
    if given["attempts"] != 1:
        raise BadConfig("an adaptive evaluation decides itself how often a task is played: leave -k out")
    prior = {}
    if given["prior"]:
        outcomes = read_evaluated(Path(given["prior"])).outcomes
        prior = {key: (float(sum(found)), float(len(found))) for key, found in outcomes.items()}
    return AdaptiveConfig(half_width=given["width"], prior=prior)


def _record_access(store: Store, plan: Sequence[Planned], given: dict[str, Any]) -> None:
    """Note in the run which held-out tasks are about to be played."""
    held_out: dict[str, list[str]] = {}
    for each in plan:
        if each.task.split is Split.TEST:
            held_out.setdefault(each.task.suite, []).append(each.task.key)
    for name, keys in held_out.items():
        store.record_access(name, keys, purpose=f"evaluation of {_actor(given)}")


def _actor(given: dict[str, Any]) -> str:
    return str(given["agent_name"] or given["policy"])


def _say(report: Report, given: dict[str, Any]) -> None:
    if given["as_json"]:
        facts = {
            "suites": list(given["suites"]),
            "agent": _actor(given),
            "split": given["split"],
            "seed": given["seed"],
        }
        run = str(given["out"]) if given["out"] else None
        click.echo(json.dumps({**facts, **report.json(), "run": run}))
        return
    print_report(
        output(), report, title=f"{_actor(given)} on {', '.join(given['suites'])} ({given['split']})"
    )


def _demand_outcome(report: Report) -> None:
    """Raises TraceGymError where the world broke every episode that might have had an outcome."""
    uncounted = report.invalid + report.censored + report.cancelled + report.undecided
    if report.invalid and report.episodes == uncounted:
        causes = listed(report.invalid, report.failures)
        raise TraceGymError(f"not one of {report.episodes} episodes has an outcome; invalid: {causes}")


def _agent(given: dict[str, Any], suites: list[Suite], stack: ExitStack, display: Display) -> Agent:
    if bool(given["agent_name"]) == bool(given["policy"]):
        names = ", ".join(agent_names())
        raise BadConfig(f"say who acts: either --agent ({names}) or --policy (tiny, smollm2, a model, a run)")
    if given["agent_name"]:
        return make_agent(given["agent_name"])
    with_torch()
    from trace_gym.policies import Voice, find_model, open_policy
    from trace_gym.warm import WarmConfig

    model = find_model(
        given["policy"], suites, warm=WarmConfig(), note=display.note, progress=display.warming
    )
    voice = Voice(given["renderer"], given["max_tokens"], given["temperature"], given["top_p"])
    folder = given["out"] / "vllm" if given["out"] else None
    opened = open_policy(given["policy"], model, voice, context_size=given["context"], folder=folder)
    stack.callback(opened.close)
    agent: Agent = opened.agent
    return agent
