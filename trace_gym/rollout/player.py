"""Playing one rollout: enter the environment at its tip, then agent and environment in turn until it ends.

It keeps what a step's rollouts share while they run: the tools at every node, the snapshots to fork from, the
purse. It leaves out who is granted a rollout and what becomes of its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Agent, Attending, Move, View
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.errors import ContextExceeded, EnvironmentFailed, ForkDiverged, ModelFailed, SandboxFailed
from trace_gym.core.scheduler import TurnDone
from trace_gym.core.tree import RolloutTree
from trace_gym.rollout.allowance import allowance
from trace_gym.rollout.ending import Ending, TakenBack, over
from trace_gym.rollout.parties import Parties
from trace_gym.rollout.seat import EnvironmentTimedOut, Seat, Stand
from trace_gym.rollout.seeds import Seeds
from trace_gym.rollout.snapshots import Snapshots
from trace_gym.rollout.stopwatch import Stopwatch


class Player:
    """Plays the rollouts of one step. `on_turn` hears of every turn after which its rollout goes on."""

    def __init__(
        self,
        parties: Parties,
        step: int,
        *,
        budget: Budget,
        taken_back: TakenBack,
        on_turn: Callable[[RolloutTree, TurnDone], None],
    ) -> None:
        self._parties = parties
        self._step = step
        self._budget = budget
        self._taken_back = taken_back
        self._on_turn = on_turn
        self._tools: dict[tuple[int, int], tuple[ToolSpec, ...]] = {}
        self._snapshots = Snapshots(parties.config.snapshots)
        self._seeds = Seeds(parties.config.seed, step)
        self._attending = parties.agent if isinstance(parties.agent, Attending) else None
        self._tokens_held = 0
        self._tokens_freed = asyncio.Event()

    def close(self) -> None:
        """Free the snapshots; nothing is played any more."""
        self._snapshots.close()

    async def play(
        self,
        worker: Seat | None,
        tree: RolloutTree,
        number: int,
        *,
        guided: bool = False,
        begun: bool = False,
    ) -> Ending:
        """Play rollout `number` to its end; no worker means that there is no budget for it. `guided`: the
        guide plays it, as far as the oracle has an answer. `begun`: the journal knows it, so it was let in
        before; a soft limit that was reached since then lets nobody in, but turns nobody out."""
        ended = over(tree.turns[tree.rollouts[number].tip]) or self._taken_back.ending(tree, number)
        if ended is not None:
            return ended
        if worker is None or not (begun or self._budget.open_soft):
            return StopReason.CENSORED, None, "the budget was spent"
        try:
            watch = Stopwatch(worker.name)
            agent = self._agent(guided)
            hint = await self._enter(worker, agent, tree, number)
            watch.entered()
            while True:
                if guided and hint is None:
                    return StopReason.TERMINATED, None, "the oracle has no more to say"
                ending, hint = await self._turn(worker, watch, agent, tree, number, hint)
                if ending is not None:
                    return ending
        except EnvironmentTimedOut as error:
            return StopReason.INVALID, FailureCause.TIMEOUT, str(error)
        except ForkDiverged as error:
            return StopReason.INVALID, FailureCause.FORK, str(error)
        except SandboxFailed as error:
            return StopReason.INVALID, FailureCause.SANDBOX, str(error)
        except EnvironmentFailed as error:
            return StopReason.INVALID, FailureCause.ENVIRONMENT, str(error)
        except ModelFailed as error:
            return StopReason.INVALID, FailureCause.MODEL, str(error)
        finally:
            if self._attending is not None:
                await self._attending.leave(tree.turns[tree.rollouts[number].tip])

    def _agent(self, guided: bool) -> Agent:
        """Who plays: the agent, or the guide, which the step has made sure of."""
        guide = self._parties.guide if guided else None
        return self._parties.agent if guide is None else guide

    async def _enter(self, worker: Seat, agent: Agent, tree: RolloutTree, number: int) -> Action | None:
        """Bring the worker's environment to the rollout's tip; returns the oracle's next action."""
        node, task, oracle = tree.rollouts[number].tip, tree.task, agent.wants_oracle
        if node == 0:
            stand = await worker.begin(task, keep=False, oracle=oracle)
            if not tree.turns[0].digest:
                tree.turns[0] = root_turn(stand)
                if self._parties.journal:
                    self._parties.journal.planted(self._step, tree)
                self._keep_picture(tree, 0, stand)
            elif tree.turns[0].digest != stand.digest:
                raise ForkDiverged(f"{task.key}: two resets with the same seed differ")
            self._tools[tree.index, 0] = stand.tools
            return stand.oracle
        with self._snapshots.lent((tree.index, node)) as snapshot:
            if snapshot is not None:
                return await worker.resume(task, snapshot, oracle=oracle)
        path = tree.path(node)
        actions = [action for n in path if (action := tree.turns[n].action) is not None]
        stands = await worker.replay(task, actions, [tree.turns[n].digest for n in (0, *path)])
        for n, stand in zip((0, *path), stands, strict=True):
            self._tools[tree.index, n] = stand.tools
        return await worker.oracle(task) if oracle else None

    async def _turn(
        self,
        worker: Seat,
        watch: Stopwatch,
        agent: Agent,
        tree: RolloutTree,
        number: int,
        hint: Action | None,
    ) -> tuple[Ending | None, Action | None]:
        """Play one turn; returns how the rollout ended, if it did, and the oracle's next action."""
        tip = tree.rollouts[number].tip
        taken = self._taken_back.ending(tree, number)
        if taken is not None:
            return taken, None
        allowed, why_not = allowance(tree, tip, self._parties.config.turn_tokens)
        if why_not:
            return (StopReason.LIMIT, None, why_not), None
        held = await self._hold_tokens(allowed)
        if held == 0:
            return (StopReason.CENSORED, None, "the token budget was spent"), None
        view = self._view(tree, number, held, (lambda: hint) if agent.wants_oracle else None)
        move: Move | None = None
        try:
            move = await agent.act(view)
        except ContextExceeded as error:
            if tip == 0:
                return (StopReason.INVALID, FailureCause.CONTEXT, str(error)), None
            return (StopReason.CONTEXT, None, str(error)), None
        finally:
            if move is None:
                self._free_tokens(held)
        watch.acted()
        try:
            stand = await worker.step(
                tree.task,
                move.action,
                keep=self._parties.scheduler.forks,
                oracle=agent.wants_oracle,
            )
        except EnvironmentFailed:
            self._record(tree, number, move, None, held, watch)
            raise
        node = self._record(tree, number, move, stand, held, watch)
        ended = over(tree.turns[node])
        if ended is not None:
            return ended, None
        self._on_turn(tree, TurnDone(tree.index, number, node, (len(tree.turns), len(tree.rollouts))))
        return None, stand.oracle

    def _view(
        self, tree: RolloutTree, number: int, max_tokens: int, oracle: Callable[[], Action | None] | None
    ) -> View:
        path = [0, *tree.path(tree.rollouts[number].tip)]
        tools = tuple(self._tools[tree.index, node] for node in path)
        return View(
            suite=tree.task.suite,
            turns=tuple(tree.turns[node] for node in path),
            tools=tools[-1],
            tools_before=tools[:-1],
            seed=self._seeds.turn(tree, number, len(path)),
            max_tokens=max_tokens,
            oracle=oracle,
        )

    def _record(
        self, tree: RolloutTree, number: int, move: Move, stand: Stand | None, held: int, watch: Stopwatch
    ) -> int:
        """Append the turn, charge it and make it durable. Without a stand the environment broke: the turn
        keeps what it cost, the rollout ends as invalid."""
        env_seconds = (stand.seconds if stand else 0.0) + self._parties.config.tool_latency_s
        turn = Turn(
            parent=tree.rollouts[number].tip,
            rollout=number,
            actor=move.actor,
            observation=stand.observation if stand else "",
            verdicts=stand.verdicts if stand else (),
            action=move.action,
            text=move.text,
            context_ids=move.context_ids,
            action_ids=move.action_ids,
            logprobs=move.logprobs,
            entropy=move.entropy,
            hidden=move.hidden,
            policy_version=move.policy_version,
            reward=stand.reward if stand else 0.0,
            terminated=stand.terminated if stand else False,
            truncated=stand.truncated if stand else False,
            digest=stand.digest if stand else "",
            cost=self._paced(move, Cost(steps=1, env_seconds=env_seconds)),
            span=watch.span(),
        )
        node = tree.append(turn)
        self._free_tokens(held, charged=turn.cost)
        if self._parties.journal:
            self._parties.journal.turned(self._step, tree, node)
        if stand:
            self._keep_picture(tree, node, stand)
            self._tools[tree.index, node] = stand.tools
            if stand.snapshot is not None:
                self._snapshots.keep((tree.index, node), stand.snapshot)
        return node

    def _paced(self, move: Move, step: Cost) -> Cost:
        """What a turn is charged: what it took, or what it takes at the pace set."""
        pace, cost = self._parties.config.pace, move.cost + step
        return cost if pace is None else pace.timed(cost, context=len(move.context_ids))

    def _keep_picture(self, tree: RolloutTree, node: int, stand: Stand) -> None:
        if self._parties.journal and stand.picture is not None:
            self._parties.journal.pictured(self._step, tree, node, stand.picture)

    # Tokens are reserved before they are sampled, so that their limit is hard.

    async def _hold_tokens(self, wanted: int) -> int:
        while True:
            granted = self._budget.reserve("tokens", wanted)
            if granted == wanted or not self._tokens_held:
                self._tokens_held += granted
                return granted
            self._budget.refund("tokens", granted)
            self._tokens_freed.clear()
            await self._tokens_freed.wait()

    def _free_tokens(self, held: int, charged: Cost | None = None) -> None:
        self._tokens_held -= held
        self._budget.charge(charged or Cost(), reserved_tokens=held)
        self._tokens_freed.set()


def root_turn(stand: Stand) -> Turn:
    """The root of a tree, from an environment that was just reset."""
    return Turn(
        parent=-1,
        rollout=-1,
        actor=Actor.TASK,
        observation=stand.observation,
        verdicts=stand.verdicts,
        digest=stand.digest,
    )
