"""One episode of an external program: requests answered by the endpoint, tool calls turned into moves.

Two sides meet here. The program's requests come in through `complete`, one at a time; the collector asks for
moves through `advance`. A request that calls tools of the environment waits until the environment has
answered. Leaves out HTTP on both sides, and the process.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Cost
from trace_gym.core.errors import ModelFailed, TraceGymError
from trace_gym.interop.chat_endpoint import ChatEndpoint, Price, Reply
from trace_gym.interop.external.door import Answer, error_of
from trace_gym.interop.external.program import Program
from trace_gym.interop.external.recorder import Recorder
from trace_gym.interop.external.unseen import Unseen, divided, exchange

LEAST_SHARE = 4
OURS = ("stream", "stream_options", "max_tokens", "max_completion_tokens", "tools", "messages")


@dataclass(frozen=True, slots=True)
class Terms:
    """What every episode of an agent has in common; the fields are the agent's options."""

    words: tuple[str, ...]
    endpoint: ChatEndpoint
    key: str
    model: str | None
    limit: str
    price: Price | None
    answer: Literal["message", "stdout"]
    idle_s: float
    max_calls: int
    runs: int | None


@dataclass(slots=True)
class Wish:
    """An action that waits for the environment's answer."""

    action: Action
    observation: asyncio.Future[str]


class Sitting:
    """Lifecycle: `open`, `advance` once a turn, `close`; `complete` any time between.

    Invariant: at most one wish is open, and nothing is asked of the endpoint while one is.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._recorder = Recorder(terms.endpoint, terms.price)
        self._unseen = Unseen()
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._program: Program | None = None
        self._ended: asyncio.Task[int] | None = None
        self._wish: Wish | None = None
        self._trouble: TraceGymError | None = None
        self._failure = ""
        self._runs = self._requests = self._left = 0
        self._quiet_since = 0.0
        self._last_said = ""
        self._environment: dict[str, str] = {}

    def open(self, url: str, key: str) -> None:
        """Where the program will find its model."""
        self._environment = {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url}
        self._environment |= {"OPENAI_API_KEY": key, self._terms.key: key}

    async def advance(self, view: View) -> Move:
        """Tell what came of the last move, and wait for the next. Raises ModelFailed, BadConfig."""
        started = self._clock()
        self._view, self._left = view, view.max_tokens
        self._quiet_since = started
        wish, self._wish = self._wish, None
        self._news.clear()
        if wish is not None:
            if not wish.observation.done():
                wish.observation.set_result(view.turns[-1].observation)
        elif not self._failure and (self._terms.runs is None or self._runs < self._terms.runs):
            await self._run()
        action = await self._next()
        spent, record = self._recorder.taken()
        return Move(action, text=record, cost=spent + Cost(model_seconds=self._clock() - started))

    async def close(self) -> None:
        """End the program; whoever still waits is sent away. Idempotent."""
        if self._wish is not None:
            self._wish.observation.cancel()
        await self._stop()

    # The collector's side.

    async def _run(self) -> None:
        """Start the command on the conversation so far."""
        await self._stop()
        self._runs += 1
        self._last_said = ""
        self._program = await Program.start(self._terms.words, self._told(), self._environment)
        self._ended = asyncio.ensure_future(self._program.wait())

    def _told(self) -> str:
        """The task; after a run that did not end the episode, also what was said."""
        opening, *turns = self._view.turns
        parts = [opening.observation]
        for turn in turns:
            if turn.action is not None and turn.action.message is not None:
                parts.append(f"You answered: {turn.action.message}")
                parts.append(f"To that came: {turn.observation}")
        return "\n\n".join(parts)

    async def _stop(self) -> None:
        if self._program is not None and self._ended is not None:
            await self._program.close()
            await self._ended
            self._program = self._ended = None

    async def _next(self) -> Action:
        """The next wish, or what the program's end amounts to."""
        while True:
            if self._trouble is not None:
                raise self._trouble
            if self._failure:
                await self._stop()
                return Action(error=self._failure)
            if self._wish is not None:
                return self._wish.action
            if self._ended is None:
                return Action(message="")
            if self._ended.done() and not self._requests:
                return await self._outcome(self._program, self._ended.result())
            idle_s = self._terms.idle_s - (self._clock() - self._quiet_since)
            if idle_s <= 0 and not self._requests:
                self._failure = f"the program asked nothing for {self._terms.idle_s:g} s"
                continue
            await self._something(max(idle_s, 0.01) if not self._requests else self._terms.idle_s)

    async def _something(self, timeout_s: float) -> None:
        """Wait for news, the program's end, or the time."""
        news = asyncio.ensure_future(self._news.wait())
        waited = {news} if self._ended is None or self._ended.done() else {news, self._ended}
        try:
            await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        self._news.clear()

    async def _outcome(self, program: Program | None, status: int) -> Action:
        """A program that has ended: its answer, its failure, or trouble that is not its own."""
        assert program is not None
        said = program.output.strip() if self._terms.answer == "stdout" else self._last_said
        complaint = program.complaint
        await self._stop()
        if status == 0:
            return Action(message=said)
        how = f"the program ended with status {status}: {complaint}"
        if not self._recorder.answered:
            raise ModelFailed(f"{how} (before it had any answer from {self._recorder.url})")
        self._failure = how
        return Action(error=how)

    # The program's side.

    async def complete(self, body: dict[str, Any]) -> Answer:
        """Answer a request of the program's."""
        self._requests += 1
        try:
            async with self._turn:
                return await self._completed(body)
        except TraceGymError as error:
            self._trouble = error
            return 503, error_of(str(error), "server_error")
        finally:
            self._requests -= 1
            self._quiet_since = self._clock()
            self._news.set()

    async def _completed(self, body: dict[str, Any]) -> Answer:
        flaw = _flaw(body)
        if flaw:
            return 400, error_of(flaw)
        own = [tool for tool in body.get("tools") or () if _named(tool) not in self._names()]
        messages, played = self._unseen.restored(body["messages"]), list[dict[str, Any]]()
        while True:
            reply = await self._ask(body, [*messages, *played], own)
            if reply is None:
                return 400, error_of(f"more than {self._terms.max_calls} model calls in one episode")
            if not reply.ok:
                return reply.status, _relayed(reply)
            message = self._recorder.message(reply)
            ours, theirs = divided(message, frozenset(str(_named(tool)) for tool in own))
            if ours:
                played += exchange(message, ours, theirs, await self._play(Action.parse(ours)))
            if ours and not theirs:
                continue
            shown = {**message, "role": "assistant"}
            if ours:
                shown["tool_calls"] = theirs
            if played:
                whole = played if ours else [*played, {**message, "role": "assistant"}]
                self._unseen.keep(body["messages"], shown, whole)
            self._last_said = str(message.get("content") or "")
            choice = {**reply.body["choices"][0], "index": 0, "message": shown}
            return 200, {**reply.body, "choices": [choice]}

    async def _ask(self, body: dict[str, Any], messages: list[Any], own: list[Any]) -> Reply | None:
        """Ask the endpoint, within what this turn may still sample; None: the program asked too often."""
        while self._left < max(1, self._view.max_tokens // LEAST_SHARE):
            spent = f"the model calls of this turn used up its {self._view.max_tokens} tokens"
            await self._play(Action(error=f"{spent} without an action"))
        if self._recorder.calls >= self._terms.max_calls:
            self._failure = f"the program made more than {self._terms.max_calls} model calls"
            return None
        most = [self._left, body.get("max_tokens"), body.get("max_completion_tokens")]
        request = {key: value for key, value in body.items() if key not in OURS and value is not None}
        request |= {"messages": messages, self._terms.limit: min(n for n in most if isinstance(n, int))}
        request.setdefault("seed", self._view.seed % 2**31)
        if self._terms.model is not None:
            request["model"] = self._terms.model
        tools = [*(spec.openai() for spec in self._view.tools), *own]
        if tools:
            request["tools"] = tools
        rng = random.Random(self._view.seed + self._recorder.calls)
        reply, sampled = await self._recorder.ask(request, rng)
        self._left -= sampled
        return reply

    async def _play(self, action: Action) -> str:
        """Have the environment carry out an action; returns what came of it."""
        self._wish = Wish(action, asyncio.get_running_loop().create_future())
        self._news.set()
        return await self._wish.observation

    def _names(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self._view.tools)


def _flaw(body: Mapping[str, Any]) -> str:
    """What makes a request one that cannot be served; empty if nothing does."""
    messages, tools = body.get("messages"), body.get("tools") or []
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages) or not messages:
        return "messages must be a list of objects"
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return "tools must be a list of objects"
    if body.get("n") not in (None, 1):
        return "n must be 1 here: the environment goes one way"
    return ""


def _named(tool: Mapping[str, Any]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None


def _relayed(reply: Reply) -> Mapping[str, Any]:
    """The endpoint's own words about a request, as an object."""
    try:
        said = json.loads(reply.text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else error_of(reply.text[:2000])
