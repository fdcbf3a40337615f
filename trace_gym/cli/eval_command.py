"""`trace-gym eval`: play held-out tasks and say how sure the numbers are."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from trace_gym.cli.display import Display, print_report
from trace_gym.cli.options import budget_of, see_that_free
from trace_gym.core.agent import Agent
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EvalConfig, Report, chosen, evaluate
from trace_gym.parts import agent_names, make_agent, with_torch
from trace_gym.store import RunStatus, Store


@click.command(
    "eval",
    epilog="Examples: trace-gym eval bfcl --agent oracle --json | "
    "trace-gym eval wikihop_compact --policy tiny -k 4 --tasks 200",
)
@click.argument("suites", nargs=-1, required=True)
@click.option("--agent", "agent_name", help="An agent that needs no policy: oracle, random, noop, human, ...")
@click.option("--policy", help="tiny, smollm2, a Hugging Face id, a model folder, or the folder of a run.")
@click.option("--renderer", help="How the policy speaks; default: the one that suits the model.")
@click.option("--split", type=click.Choice([str(s) for s in Split]), default="test", show_default=True)
@click.option("-k", "--attempts", default=1, show_default=True, help="Episodes per task.")
@click.option("--tasks", type=int, help="Tasks per suite at most (a sample fixed by the seed).")
@click.option("--max-tokens", default=256, show_default=True, help="Tokens per turn at most.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=1.0, show_default=True, help="0 is greedy."
)
@click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=1.0, show_default=True)
@click.option("--context", type=click.IntRange(min=1), help="Context size in tokens; default: the model's.")
@click.option("--budget", "budgets", multiple=True, help="tokens=N, trajectories=N, seconds=S or usd=D.")
@click.option("--workers", default=64, show_default=True, help="Episodes played at once.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Keep the run in this folder, to resume and read."
)
@click.option("--resume", is_flag=True, help="Continue the evaluation in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
def command(**given: Any) -> None:
    """Evaluate an agent or a policy on SUITES (NAME, NAME:SUBSET, NAME?option=value, file.py:Class)."""
    suites = [suite(spec) for spec in given["suites"]]
    config = EvalConfig(
        split=Split(given["split"]),
        attempts=given["attempts"],
        tasks=given["tasks"],
        seed=given["seed"],
        workers=given["workers"],
        turn_tokens=given["max_tokens"],
    )
    purse = budget_of(given["budgets"])
    if given["resume"] and not given["out"]:
        raise BadConfig("--resume continues the evaluation in a run folder: say which with --out")
    if given["out"] and not given["resume"]:
        see_that_free(given["out"])
    rollouts = config.attempts * sum(len(chosen(each, config)) for each in suites)
    with ExitStack() as stack:
        display = stack.enter_context(Display(rollouts=rollouts, quiet=given["as_json"]))
        agent = _agent(given, suites, stack, display)
        store = stack.enter_context(_store(given)) if given["out"] else None
        report = asyncio.run(
            evaluate(suites, agent, config=config, budget=purse, journal=store, listener=display.event)
        )
        if store is not None:
            store.record_metrics(0, {"report": report.json()})
            store.set_status(RunStatus.FINISHED)
    _say(report, given)


def _say(report: Report, given: dict[str, Any]) -> None:
    actor = given["agent_name"] or given["policy"]
    if given["as_json"]:
        facts = {
            "suites": list(given["suites"]),
            "agent": actor,
            "split": given["split"],
            "seed": given["seed"],
        }
        run = str(given["out"]) if given["out"] else None
        click.echo(json.dumps({**facts, **report.json(), "run": run}))
        return
    print_report(Console(), report, title=f"{actor} on {', '.join(given['suites'])} ({given['split']})")


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
    opened = open_policy(given["policy"], model, voice, context_size=given["context"])
    stack.callback(opened.close)
    agent: Agent = opened.agent
    return agent


def _store(given: dict[str, Any]) -> Store:
    """The evaluation's own run folder."""
    asked = {key: value for key, value in given.items() if key not in ("out", "resume", "as_json", "workers")}
    config = json.loads(json.dumps(asked))
    if not given["resume"]:
        return Store.create(given["out"], kind="eval", config=config)
    store = Store.open(given["out"])
    if (store.kind, store.config) == ("eval", config):
        return store
    store.close()
    if store.kind != "eval":
        raise RunFolderError(f"{given['out']} holds a run of kind {store.kind!r}, not an evaluation")
    changed = sorted(key for key in config if store.config.get(key) != config[key])
    raise RunFolderError(f"{given['out']} holds another evaluation; what differs: {', '.join(changed)}")
