"""An unmodified external program as an agent: whatever asks an OpenAI-compatible endpoint for its model.

    trace-gym eval guess --max-tokens 2000 --agent \\
        'external?command=python my_agent.py {task}&model=qwen3-8b&base_url=http://localhost:8000/v1'

The contract: **the program talks to a model that already has the environment's tools.** For every episode its
command is started with OPENAI_BASE_URL and OPENAI_API_KEY pointing at a recording proxy on this machine, and
with the task as the word `{task}` of the command, else on standard input. The proxy forwards every
`chat.completions` request to the real endpoint with the environment's tools added to the program's own. Calls
of the environment's tools are turns of the episode: the proxy has the environment carry them out, tells the
model what came of it, and goes on until the model says something or calls a tool of the program's own, which
is what the program gets to see. So its prompts, its plans, its own tools and its way of asking are what is
evaluated, and it need not know us; where it brings a tool of the same name, the environment's takes its
place. When the program's conversation goes on, the proxy puts back what the program never saw.

The program's answer is its last completion's text (or its standard output, `answer=stdout`) once it has ended
with status 0: a message to the environment. Where the environment answers and the episode goes on, as a user
would, the command is started again, with the conversation so far as its task.

What goes wrong is charged to who did it. The endpoint's failure, or a program that breaks before it has had
any answer from it, makes the episode invalid; a program that breaks later, asks nothing for `idle_s` seconds
or asks more than `max_calls` times has failed: its remaining turns are errors and cost nothing. Errors about
a request itself, a context that is too long among them, are handed to the program.

Every model call is recorded in the turn that follows it: messages that were new, answer, usage. Its tokens,
money and time are the turn's cost. Tokens are a hard limit: all calls of one turn share its allowance
(`--max-tokens`); when less than a quarter is left and nothing was done, the turn is over and the next one's
allowance counts.

The program runs as you, outside any sandbox, in the folder you are in, and is killed with all its children
when the episode ends. It never sees the real endpoint's key. Leaves out `n` > 1, the Responses and Assistants
APIs, embeddings, and resuming a program in the middle of an episode: the episode is then played from its
start. Needs the extra `external`.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Literal

from trace_gym.core.agent import Move, View
from trace_gym.core.episode import Turn
from trace_gym.core.errors import BadConfig, ModelFailed
from trace_gym.interop.chat_endpoint import ChatEndpoint, read_price
from trace_gym.interop.external.door import Door
from trace_gym.interop.external.sitting import Sitting, Terms


class ExternalAgent:
    """Runs `command` once an episode behind a recording proxy; see the module for the contract.

    `model` takes the place of the model that the program names; `base_url`, `key`, `timeout_s`, `retries` are
    the real endpoint's, as `ChatEndpoint` says; `prices` a table for `model`, as `read_price` takes it;
    `limit` the name that the endpoint gives the limit of sampled tokens. `runs` is how often the command is
    started in an episode at most, None as often as the environment answers.
    """

    trainable = False
    wants_oracle = False

    def __init__(
        self,
        *,
        command: str,
        model: str | None = None,
        base_url: str | None = None,
        key: str = "OPENAI_API_KEY",
        answer: Literal["message", "stdout"] = "message",
        idle_s: float = 300.0,
        max_calls: int = 200,
        runs: int | None = None,
        prices: str | None = None,
        limit: str = "max_tokens",
        timeout_s: float = 120.0,
        retries: int = 6,
    ) -> None:
        """Raises BadConfig: a command that is not there, a price table that cannot be read."""
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise BadConfig(f"the command {command!r} cannot be split into words: {error}") from error
        if not words or shutil.which(words[0]) is None:
            raise BadConfig(f"there is no program {words[0] if words else ''!r} (command {command!r})")
        if idle_s <= 0 or max_calls < 1 or (runs is not None and runs < 1):
            given = f"{idle_s}, {max_calls}, {runs}"
            raise ValueError(f"idle_s must be positive, max_calls and runs at least 1, got {given}")
        if prices and model is None:
            raise BadConfig("a price table needs to know the model: add model=NAME")
        price = read_price(Path(prices), model) if prices and model else None
        endpoint = ChatEndpoint(base_url, key=key, timeout_s=timeout_s, retries=retries)
        self._terms = Terms(words, endpoint, key, model, limit, price, answer, idle_s, max_calls, runs)
        self._door = Door()
        self._sittings: dict[int, Sitting] = {}

    async def act(self, view: View) -> Move:
        """What the program does next. Raises ModelFailed, BadConfig (an endpoint that refuses us)."""
        sitting = self._taken(view)
        try:
            if sitting is None:
                sitting = Sitting(self._terms)
                sitting.open(*await self._door.admit(sitting.complete))
            move = await sitting.advance(view)
        except BaseException:
            if sitting is not None:
                await self._end(sitting)
            raise
        self._sittings[id(move.action)] = sitting
        return move

    async def leave(self, tip: Turn) -> None:
        """The rollout whose newest turn is `tip` has ended: end its program."""
        sitting = self._sittings.pop(id(tip.action), None)
        if sitting is not None:
            await self._end(sitting)

    def _taken(self, view: View) -> Sitting | None:
        """The sitting whose last action the view's newest turn holds; None for a new episode."""
        if len(view.turns) == 1:
            return None
        sitting = self._sittings.pop(id(view.turns[-1].action), None)
        if sitting is None:
            raise ModelFailed("an external program cannot be taken up in the middle of an episode")
        return sitting

    async def _end(self, sitting: Sitting) -> None:
        await sitting.close()
        await self._door.dismiss(sitting.complete)
