"""The circle, closed in one place: policy -> rollouts -> trees -> better policy, step by step, until the
budget or the number of steps is used up.

Everything that must outlive a crash is in the run folder before the next thing starts: turns and decisions in
the journal, weights and what goes with them in `checkpoints/`. A resumed run loads the newest checkpoint and
plays the next step from the journal as far as that goes. With `max_staleness` the next steps are played
while one is trained; without, one thing happens at a time. It leaves out how parts are made from names.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from trace_gym.core.budget import Budget
from trace_gym.core.errors import EnvironmentFailed, RunFolderError, TrainingHalted, boundary
from trace_gym.core.policy import Checkpoint
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import Suite
from trace_gym.evaluate import Report, chosen, evaluate
from trace_gym.outfit import LoopConfig, Outcome, Parts, Reporter, Sink, clocked, left_over
from trace_gym.policies import note_renderer
from trace_gym.rollout.ahead import Ahead
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.seat import Seats
from trace_gym.rollout.summary import by_suite, described
from trace_gym.schedule.clocked import Stopwatch
from trace_gym.schedule.quality import PredictionQuality, bare_samples
from trace_gym.store import RunStatus, Store
from trace_gym.train.probe import parity, probed
from trace_gym.train.watchdog import Alarm

_STATE = ".loop.pt"
"""How the file of scheduler and predictor ends, beside the weights of a step."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A step that was played and that scheduler and predictor have learnt from: its trees and metrics, and
    the `state` of both, which the next step starts from."""

    step: int
    forest: Forest
    metrics: Mapping[str, float]
    state: Mapping[str, Any]


class TrainingRun:
    """Lifecycle: made over an open store, `go` once. `budget` is the run's purse; `sink` gets metrics."""

    def __init__(
        self,
        parts: Parts,
        store: Store,
        budget: Budget,
        *,
        config: LoopConfig,
        reporter: Reporter,
        sink: Sink | None = None,
    ) -> None:
        self._watches = {"schedule": Stopwatch(), "predictor": Stopwatch()}
        self._parts = clocked(parts, self._watches)
        self._store = store
        self._first = store.next_step()
        self._budget = budget
        self._config = config
        self._reporter = reporter
        self._sink = sink
        self._quality = PredictionQuality()
        self._reports: dict[int, Report] = {}
        self._sampled: Checkpoint | None = None
        self._left_over = False

    async def go(self) -> Outcome:
        """Train until the steps or the budget are used up. Raises what stopped it otherwise."""
        parts, config = self._parts, self._config
        step = await self._take_up()
        for past in filter(self._evaluates, range(step + 1)):
            await self._evaluate(past)
        drawing = parts.eval_config.screenshots
        makers = {n: each.make_drawing if drawing else each.make for n, each in parts.suites.items()}
        async with (
            Collector(
                makers,
                parts.agent,
                parts.scheduler,
                journal=self._store,
                predictor=parts.predictor,
                reader=parts.agent,
                reading=self._watches["predictor"].running,
                listener=self._reporter.event,
                config=parts.collecting,
                seats=self._seats(list(parts.suites.values()), parts.collecting.workers),
            ) as collector,
            Ahead(
                lambda number: self._gather(collector, number),
                staleness=config.max_staleness,
                end=config.steps,
            ) as ahead,
        ):
            while step < config.steps and (gathered := await ahead.take(step)) is not None:
                await self._train(gathered)
                step += 1
                if self._evaluates(step):
                    await self._evaluate(step)
        if step not in self._reports:
            await self._evaluate(step)
        self._store.set_status(RunStatus.FINISHED)
        spent = "what is left of the budget pays for no rollout" if self._left_over else "the budget is spent"
        reason = "all steps done" if step >= config.steps else spent
        return Outcome(reason, step, self._store.cost(), self._reports)

    async def _gather(self, collector: Collector, step: int) -> Gathered | None:
        """Play a step, and let scheduler and predictor learn from it; None: the budget is spent, but for a
        rest that pays for nothing."""
        parts, config = self._parts, self._config
        if self._left_over or not self._budget.open:
            return None
        purse = Budget(**config.step, parent=self._budget)
        self._reporter.step_begins(step, purse)
        started = time.perf_counter()
        forest = await collector.collect(step, parts.stream.pool(step, config.pool), purse)
        if left_over(self._store, forest, config.step, self._budget):
            self._left_over = True
            return None
        seconds = time.perf_counter() - started
        metrics = described(forest) | by_suite(forest, parts.suites) | {"seconds_collect": seconds}
        if parts.predictor is not None:
            metrics |= _under("predictor", self._quality.measure(bare_samples(forest, parts.predictor)))
            metrics |= _under("predictor", parts.predictor.learn(forest))
        metrics |= _under("schedule", parts.scheduler.learn(forest))
        metrics |= {f"{name}/seconds": watch.take() for name, watch in self._watches.items()}
        return Gathered(step, forest, metrics, self._state())

    async def _train(self, gathered: Gathered) -> None:
        """Train on a step's trees, give the sampler the new weights, and close the step."""
        parts, step, forest = self._parts, gathered.step, gathered.forest
        metrics, started = dict(gathered.metrics), time.perf_counter()
        metrics |= _under("train", await asyncio.to_thread(parts.trainer.update, forest))
        trained = time.perf_counter()
        checkpoint = self._save(gathered, updated=not metrics.get("train/skipped"))
        if checkpoint is not self._sampled:
            await parts.policy.load(checkpoint)
            self._sampled = checkpoint
            metrics |= _under("watch", await self._parity(forest, checkpoint))
        metrics |= {"seconds_train": trained - started, "seconds_rest": time.perf_counter() - trained}
        alarms = parts.watchdogs.look(metrics)
        metrics["watch/alarms"] = float(len(alarms))
        self._store.close_step(step, metrics)
        if self._sink is not None:  # before the step counts: a resumed run writes no step again that does
            self._sink(step, metrics)
        self._store.record_checkpoint(checkpoint, step=step)
        self._tidy()
        self._reporter.step_done(step, metrics)
        self._heed(step, alarms)

    async def _parity(self, forest: Forest, checkpoint: Checkpoint) -> dict[str, float]:
        """How far apart sampler and trainer are on probes that the sampler, with its new weights, answers."""
        parts, watch = self._parts, self._parts.watchdogs.config
        if watch.parity == "off":
            return {}
        pairs, completions = await probed(
            forest,
            parts.policy,
            count=watch.probes,
            max_tokens=watch.probe_tokens,
            temperature=parts.temperature,
        )
        scored = await asyncio.to_thread(parts.trainer.score, pairs)
        return parity(completions, scored, version=checkpoint.version)

    def _heed(self, step: int, alarms: Sequence[Alarm]) -> None:
        """Tell of warnings; raise TrainingHalted where the run must stop."""
        for alarm in alarms:
            if not alarm.stops:
                self._reporter.note(f"step {step}: {alarm.text}")
        fatal = [alarm.text for alarm in alarms if alarm.stops]
        if fatal:
            raise TrainingHalted(f"step {step}: {'; '.join(fatal)}")

    async def _take_up(self) -> int:
        """The first step to play; weights, predictor and scheduler stand where they stood before it."""
        saved = self._store.checkpoints()
        for cost in (cost for step, cost in self._store.ledger().items() if saved and step <= saved[-1][0]):
            self._budget.charge(cost)
        if not saved:
            return 0
        step, checkpoint = saved[-1]
        path = self._store.folder / "checkpoints" / f"step-{step:05d}{_STATE}"
        with boundary(
            RunFolderError, Exception, what=f"cannot read {path}, which step {step + 1} starts from"
        ):
            state = torch.load(path, weights_only=True)
        self._parts.scheduler.load_state_dict(state["scheduler"])
        self._quality.load_state_dict(state["quality"])
        for past in range(step + 1):
            self._parts.watchdogs.look(self._store.metrics(past))
            if past > step - self._config.replay:
                self._parts.trainer.remember(self._store.forest(past))
        if self._parts.predictor is not None:
            self._parts.predictor.load_state_dict(state["predictor"])
        await self._parts.policy.load(checkpoint)
        self._sampled = checkpoint
        self._reporter.note(f"resumed after step {step}")
        return step + 1

    def _state(self) -> Mapping[str, Any]:
        """A copy of what of scheduler and predictor the next step starts from."""
        predictor = self._parts.predictor
        state = {
            "scheduler": self._parts.scheduler.state_dict(),
            "quality": self._quality.state_dict(),
            "predictor": predictor.state_dict() if predictor is not None else None,
        }
        return deepcopy(state)

    def _save(self, gathered: Gathered, *, updated: bool) -> Checkpoint:
        """Write what the next step starts from; the journal's checkpoint row makes it count. Weights that the
        step did not change are those of the checkpoint before."""
        home, name = self._store.folder / "checkpoints", f"step-{gathered.step:05d}"
        home.mkdir(exist_ok=True)
        torch.save(gathered.state, home / f"{name}{_STATE}")
        if self._sampled is not None and not updated:
            return self._sampled
        checkpoint = self._parts.trainer.save(home / name)
        note_renderer(home / name, self._parts.renderer)
        return checkpoint

    def _tidy(self) -> None:
        """Remove all but the newest checkpoints, also those that another of the same version replaced."""
        newest = self._store.checkpoints()[-self._config.keep :]
        kept = {checkpoint.path.name for _, checkpoint in newest}
        kept |= {f"step-{step:05d}{_STATE}" for step, _ in newest}
        for entry in sorted((self._store.folder / "checkpoints").glob("step-*")):
            if entry.name in kept:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def _evaluates(self, step: int) -> bool:
        """Are held-out tasks played before this step?"""
        every = self._config.eval_every
        return step == 0 or (every > 0 and step % every == 0)

    async def _evaluate(self, step: int) -> None:
        """Play held-out tasks, in a run folder of their own inside this one; taken up where it was cut."""
        parts = self._parts
        if not parts.eval_suites:
            return
        folder = self._store.folder / "eval" / f"step-{step:05d}"
        config = {"step": step, "suites": [suite.spec for suite in parts.eval_suites]}
        with Store.create(folder, kind="eval", config=config, exist_ok=True) as journal:
            fresh = journal.status is not RunStatus.FINISHED
            if fresh:
                self._record_access(step)
            report = await evaluate(
                parts.eval_suites,
                parts.agent,
                config=parts.eval_config,
                journal=journal,
                seats=self._seats(parts.eval_suites, parts.eval_config.workers),
            )
            broken = report.success.mean is None and report.invalid > 0
            journal.set_status(RunStatus.FAILED if broken else RunStatus.FINISHED)
        if broken:
            shutil.rmtree(folder)
            causes = ", ".join(f"{cause} {count}" for cause, count in report.failures.items())
            raise EnvironmentFailed(
                f"no held-out episode after {step} steps could be played ({causes} invalid); mend it, resume"
            )
        self._reports[step] = report
        if self._sink is not None and step >= self._first:
            found = report.success
            bounds = {"success": found.mean, "success_low": found.low, "success_high": found.high}
            self._sink(step, {f"eval/{name}": x for name, x in bounds.items() if x is not None})
        self._reporter.evaluated(step, report)

    def _seats(self, suites: Sequence[Suite], size: int) -> Seats | None:
        return self._parts.seats(suites, size) if self._parts.seats is not None else None

    def _record_access(self, step: int) -> None:
        """Note which held-out tasks are about to be played."""
        for suite in self._parts.eval_suites:
            keys = [task.key for task in chosen(suite, self._parts.eval_config)]
            self._store.record_access(suite.name, keys, purpose=f"evaluation after {step} steps")


def _under(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}
