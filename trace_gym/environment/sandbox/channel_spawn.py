"""Starts a program as the agent's child without a copy of the agent between the two (`posix_spawn`).

The new process shares the agent's memory until it becomes the program, so nothing has to be copied, and no
Python runs in it. It takes everything from the agent: user, limits, priority, folder. The agent therefore is
what a command should be for as long as that takes, and then itself again. Its limits stay: they are those of
all commands of a sandbox. Runs with `channel_agent.py`. Leaves out what only a fork can do or report
(`channel_child.py`).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the enumerations around it take long to load
import ctypes
import os
import resource

from trace_gym.environment.sandbox.channel_child import NICE, candidates, ignoring, limit

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from typing import Any

CAP_SYS_NICE = 23
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_CAPABILITIES_V3 = 0x20080522  # the version word of capset(2)
_FIRST_VICTIM = b"1000"  # where memory runs out, the kernel is to end a command rather than the agent
_FALLEN_BACK = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)  # which the agent ignores
_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})


class Spawner:
    """Starts programs as `uid` (None: as the agent's own user). `grouped`: a control group limits what they
    use, and they give way to the agent in it. To be made before the agent hides."""

    def __init__(self, uid: int | None, *, grouped: bool) -> None:
        self._uid = uid
        self._score, self._own_score = _score()
        self._libc = ctypes.CDLL(None)
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._nice_of_commands = min(self._nice + (NICE if grouped else 0), 19)
        self.able = hasattr(os, "posix_spawn") and (not grouped or _may_return())
        self._processors = os.sched_getaffinity(0)
        self._limits: dict[str, int] | None = None
        self._whole = self._condition()
        os.umask(0o022)
        os.chdir("/")
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)

    def start(self, request: dict[str, Any], streams: tuple[int, int, int]) -> int | None:
        """The process that runs the request's program with these standard streams. None: it takes a fork, be
        it to say why the program cannot be run."""
        self.able &= not request["watch_bytes"]  # without control groups a child has limits of its own
        if not self.able or request["op"] != "run" or not self._limited(request["rlimits"]):
            return None
        self._become()
        try:
            return _spawned(request, streams)
        except (OSError, ValueError, TypeError):
            return None
        except NotImplementedError:
            self.able = False
            return None
        finally:
            self._return()

    def victims(self, first: bool) -> None:
        """Are the processes that the agent starts from now on to die first where memory runs out?"""
        if self._score is not None:
            os.pwrite(self._score, _FIRST_VICTIM if first else self._own_score, 0)

    @property
    def harmed(self) -> bool:
        """Has a command changed about the agent, whose user is its own, what the agent cannot change back?"""
        return self._uid is None and self._condition() != self._whole

    def _condition(self) -> object:
        limits = [resource.getrlimit(kind) for kind in _LIMITS]
        with ignoring(OSError):  # a C library may know of no policies
            return limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
        return limits, os.getpriority(os.PRIO_PROCESS, 0)

    def _limited(self, limits: dict[str, int]) -> bool:
        """Does the agent have these limits? It takes those of the first request, for good."""
        if self._limits is None:
            self._limits = limits
            limit(limits)
            self._whole = self._condition()
        return limits == self._limits

    def _become(self) -> None:
        """Be what a command is. The saved user remains, by which the way back leads, and for whose sake
        nobody may trace this process or change its limits; a program that runs has none."""
        self._roam()
        self.victims(True)
        if self._nice_of_commands != self._nice:
            os.setpriority(os.PRIO_PROCESS, 0, self._nice_of_commands)
        if self._uid is not None:
            os.setresuid(self._uid, self._uid, 0)

    def _return(self) -> None:
        """Be the agent again, whatever the program has meanwhile done to a process that was of its user."""
        if self._uid is not None:
            os.setresuid(0, 0, 0)
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # lost with the user
        if self._nice_of_commands != self._nice:
            if os.sched_getscheduler(0) != os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, self._nice)
        self._roam()
        self.victims(False)
        os.chdir("/")  # stays in no folder that is to be taken away

    def _roam(self) -> None:
        """Take back what processors a command has chosen for the agent: the next command would share them."""
        if os.sched_getaffinity(0) != self._processors:
            os.sched_setaffinity(0, self._processors)


def _spawned(request: dict[str, Any], streams: tuple[int, int, int]) -> int | None:
    """The new process; None where the program is not found. Raises OSError, NotImplementedError."""
    environment = request["env"]
    os.chdir(request["cwd"])
    for path in candidates(request["argv"][0], environment.get("PATH", os.defpath)):
        if os.access(path, os.X_OK):
            return os.posix_spawn(
                path,
                request["argv"],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, end, place) for place, end in enumerate(streams)],
                setsid=True,
                setsigdef=_FALLEN_BACK,
            )
    return None


def _score() -> tuple[int | None, bytes]:
    """A descriptor of how soon the kernel ends this process where memory runs out, and what that is now;
    None where it cannot be changed and changed back."""
    with ignoring(OSError):
        opened = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        own = os.pread(opened, 16, 0).strip()
        os.pwrite(opened, own, 0)
        return opened, own
    return None, b""


def hide(shared_user: bool) -> None:
    """Keep processes of the same user from looking into this one, where all share one; else give up what
    capabilities would be inherited."""
    libc = ctypes.CDLL(None)
    if shared_user:
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        return
    head, held = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
    libc.capget(head, held)
    held[2] = held[5] = 0  # of effective, permitted, inheritable for each half
    libc.capset(head, held)


def _may_return() -> bool:
    """Can this process go back to its priority and policy? A C library may know of no policies."""
    with ignoring(OSError):
        return os.sched_getscheduler(0) == os.SCHED_OTHER and holds("CapEff", CAP_SYS_NICE)
    return False


def holds(kind: str, capability: int) -> bool:
    """Is a capability in a set of this process? `kind`: the set's name in /proc/self/status."""
    with ignoring(OSError), open("/proc/self/status") as opened:
        held = next(line for line in opened if line.startswith(f"{kind}:"))
        return bool(int(held.split()[1], 16) >> capability & 1)
    return False
