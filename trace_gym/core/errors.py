"""Errors, flat: one class per kind of trouble, and the one place where foreign exceptions become ours.

Our own mistakes (a wrong argument, an unknown name) are `ValueError`s raised where the value comes in.
What the world does wrong is one of the classes below, chained to its cause by `boundary`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

MOST_NAMED = 100


class TraceGymError(Exception):
    """Any failure that this library reports on purpose; its text names the fix where there is one."""


class UnknownName(TraceGymError, ValueError):
    """A suite, agent, policy, configuration key or value that does not exist."""


class BadConfig(TraceGymError, ValueError):
    """A configuration that cannot work, found before anything ran."""


class MissingExtra(TraceGymError):
    """An optional package is not installed; the text holds the exact install command."""


class ForkDiverged(TraceGymError):
    """Replaying recorded actions did not reproduce the recorded episode."""


class DatasetUnavailable(TraceGymError):
    """Task data can neither be fetched nor found in the cache, or its hash is wrong."""


class MalformedData(TraceGymError):
    """Task data that cannot be read; the text names file, line and field."""


class EnvironmentFailed(TraceGymError):
    """The environment broke for a reason outside the agent's control; the episode is invalid."""


class SandboxFailed(EnvironmentFailed):
    """A sandbox, or the daemon behind it, broke for a reason outside the agent's control."""


class SandboxUnavailable(TraceGymError):
    """This machine has no sandbox of the kind asked for; the text says how to get one."""


class BrowserFailed(EnvironmentFailed):
    """A page, or the browser behind it, broke for a reason outside the agent's control."""


class BrowserUnavailable(TraceGymError):
    """This machine has no browser; the text says how to get one."""


class PathRefused(TraceGymError):
    """A file of a sandbox cannot be read or written: it is not there, too large, or outside the writable
    folders. The agent's doing or mistake, so the answer to a tool call, never a broken environment."""


class ModelFailed(TraceGymError):
    """The model or its server did not answer as it must; the episode is invalid."""


class ContextExceeded(TraceGymError):
    """A task does not fit the model's context window."""


class SplitViolation(TraceGymError):
    """A task of the test split was offered to training."""


class RunFolderError(TraceGymError):
    """The run folder cannot be used: it exists, is read-only, is full, or is of another schema."""


class JournalDiverged(TraceGymError):
    """A resumed run did not repeat the decisions that its journal holds."""


class TrainingHalted(TraceGymError):
    """A watchdog stopped the run; the text says what it saw."""


def unknown(kind: str, name: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> UnknownName:
    """The error for an unknown name, with the nearest valid one, else with those there are, or the first."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    told = f"known: {', '.join(names[:MOST_NAMED]) or 'none'}{more}."
    hint = f"did you mean {near[0]!r}?" if near else told
    return UnknownName(f"unknown {kind} {name!r}; {hint}")


@contextmanager
def boundary(error: type[TraceGymError], *foreign: type[BaseException], what: str) -> Iterator[None]:
    """Turn the `foreign` exceptions raised inside into `error`, chained, saying `what` failed."""
    try:
        yield
    except TraceGymError:
        raise
    except foreign as cause:
        raise error(f"{what}: {type(cause).__name__}: {cause}") from cause
