"""Core objects as rows and back, exactly. Leaves out where rows are kept.

Text from the world may hold lone surrogates, which UTF-8 cannot spell: such a text is kept as bytes. JSON is
ASCII, so it never has that trouble; whole and broken numbers, NaN and infinities included, come back as they
went.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.budget import Cost
from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids
from trace_gym.store.schema import COST

HIDDEN = {"float32": "<f4", "float16": "<f2"}
"""How hidden states may be kept, as numpy types; `none` keeps none."""

Row: TypeAlias = tuple[Any, ...]


def text(value: str) -> str | bytes:
    """A string as SQLite can hold it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def untext(value: str | bytes) -> str:
    """What `text` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def dump(value: object) -> str:
    """JSON text; numpy scalars become plain numbers."""
    return json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a run keeps JSON data only, got {type(value).__name__}")


def blob(array: NDArray[Any], dtype: DTypeLike) -> bytes:
    """The array's bytes as little-endian `dtype`."""
    return np.asarray(array, dtype=dtype).tobytes()


def read_ids(data: bytes) -> IntArray:
    """Token ids from a blob."""
    return ids(np.frombuffer(data, dtype="<i4"))


def read_floats(data: bytes, dtype: DTypeLike = "<f4") -> FloatArray:
    """Numbers from a blob of `dtype`, as float32."""
    return floats(np.frombuffer(data, dtype=dtype).astype(np.float32))


def _hidden_blob(state: FloatArray, kept: str) -> bytes | None:
    """A hidden state as `kept` says; what is too large for float16 becomes its largest number."""
    if kept == "none":
        return None
    return blob(np.clip(state, -65504.0, 65504.0) if kept == "float16" else state, HIDDEN[kept])


def task_row(task: Task) -> Row:
    """A task under the digest of all that it says. Bounds that it does not have are not written."""
    bounds = {name: getattr(task.limits, name) for name in ("max_tokens", "max_seconds", "max_usd")}
    record = dump(
        {
            "id": task.id,
            "suite": task.suite,
            "split": task.split,
            "family": task.family,
            "seed": task.seed,
            "subset": task.subset,
            "payload": dict(task.payload),
            "max_turns": task.limits.max_turns,
            "step_timeout_s": task.limits.step_timeout_s,
            **{name: bound for name, bound in bounds.items() if bound is not None},
        }
    )
    digest = hashlib.blake2b(record.encode(), digest_size=16).digest()
    names = (text(task.key), text(task.suite), str(task.split), text(task.family), text(task.subset))
    return (digest, *names, record)


def read_task(record: str) -> Task:
    """The task that `task_row` was given."""
    data = json.loads(record)
    limits = Limits(**{f.name: data.pop(f.name) for f in fields(Limits) if f.name in data})
    return Task(**{**data, "split": Split(data["split"])}, limits=limits)


def prediction_row(prediction: Prediction | None) -> Row:
    """Mean, concentration, tokens, turns; all NULL without a prediction."""
    if prediction is None:
        return (None, None, None, None)
    spent = (prediction.tokens, prediction.turns)
    rest = (None if number is None else float(number) for number in spent)
    return (float(prediction.mean), float(prediction.concentration), *rest)


def read_prediction(row: Sequence[Any]) -> Prediction | None:
    """The prediction that `prediction_row` was given."""
    return None if row[0] is None else Prediction(*row)


def candidate_row(step: int, candidate: Candidate, digest: bytes) -> Row:
    """A candidate of a step's pool, whose task has the digest `digest`."""
    names = (text(candidate.task), text(candidate.suite), text(candidate.family))
    place = (step, candidate.index, digest, *names, candidate.max_turns)
    return (*place, *prediction_row(candidate.prediction))


def read_candidate(row: Row) -> Candidate:
    """The candidate that `candidate_row` was given, from its columns `number` and `task` to the end."""
    number, task, suite, family, max_turns, *prediction = row
    names = (untext(task), untext(suite), untext(family))
    return Candidate(number, *names, max_turns, read_prediction(prediction))


def turn_row(place: tuple[int, int, int], turn: Turn, *, context_of: int | None, hidden: str) -> Row:
    """A turn at `place` = (step, tree, node) in the order of `schema.TURN`."""
    cost = [getattr(turn.cost, name) for name in COST]
    return (
        *place,
        None if turn.parent < 0 else int(turn.parent),
        None if turn.rollout < 0 else int(turn.rollout),
        str(turn.actor),
        None if turn.policy_version is None else int(turn.policy_version),
        float(turn.reward),
        int(turn.terminated),
        int(turn.truncated),
        *map(int, cost[:5]),
        *map(float, cost[5:]),
        text(turn.digest),
        context_of,
        None if turn.action is None else _action(turn.action),
        text(turn.text),
        text(turn.observation),
        blob(turn.context_ids, "<i4") if context_of is None else None,
        blob(turn.action_ids, "<i4"),
        blob(turn.logprobs, "<f4"),
        blob(turn.entropy, "<f4"),
        None if turn.hidden is None else _hidden_blob(turn.hidden, hidden),
    )


def read_turn(row: Row, verdicts: tuple[Verdict, ...], *, siblings: Sequence[Turn], hidden: str) -> Turn:
    """The turn of a row in the order of `schema.TURN`; `siblings` are the turns of its tree before it."""
    parent, rollout, actor, version, reward, terminated, truncated, *rest = row[3:]
    digest, context_of, action, said, observation, context, *arrays = rest[len(COST) :]
    action_ids, logprobs, entropy, state = arrays
    return Turn(
        parent=-1 if parent is None else parent,
        rollout=-1 if rollout is None else rollout,
        actor=Actor(actor),
        observation=untext(observation),
        verdicts=verdicts,
        action=None if action is None else read_action(action),
        text=untext(said),
        context_ids=read_ids(context) if context_of is None else siblings[context_of].context_ids,
        action_ids=read_ids(action_ids),
        logprobs=read_floats(logprobs),
        entropy=read_floats(entropy),
        hidden=None if state is None else read_floats(state, HIDDEN[hidden]),
        policy_version=version,
        reward=reward,
        terminated=bool(terminated),
        truncated=bool(truncated),
        digest=untext(digest),
        cost=Cost(*rest[: len(COST)]),
    )


def verdict_rows(place: tuple[int, int, int], verdicts: Sequence[Verdict]) -> list[Row]:
    """The verdicts of the turn at `place` in the order of `schema.VERDICT`."""
    return [
        (
            *(*place, position, text(verdict.name), str(verdict.status), float(verdict.score)),
            *(float(verdict.weight), int(verdict.required), text(verdict.evidence)),
        )
        for position, verdict in enumerate(verdicts)
    ]


def read_verdict(row: Row) -> Verdict:
    """The verdict of a row in the order of `schema.VERDICT`."""
    name, status, score, weight, required, evidence = row[4:]
    found = (untext(name), Status(status), score, untext(evidence))
    return Verdict(*found, weight=weight, required=bool(required))


def _action(action: Action) -> str:
    """Every field, where `Action.json` keeps only the one that counts."""
    calls: list[tuple[str, Mapping[str, Any]]] = [(c.name, dict(c.arguments)) for c in action.calls]
    return dump({"calls": calls, "message": action.message, "error": action.error})


def read_action(record: str) -> Action:
    """The action that a turn's column holds."""
    data = json.loads(record)
    calls = tuple(ToolCall(name, arguments) for name, arguments in data["calls"])
    return Action(calls, data["message"], data["error"])
