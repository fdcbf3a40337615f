"""What every sandbox must do, whoever built it: running programs, and their streams, limits and ends.

`SANDBOX_LAWS` maps names to tests that take a provider; `check_sandbox` runs those of files and forks too
(`sandbox_files.py`). Leaves out programs that mean harm (`hostile.py`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import ExecResult, Sandbox, SandboxLimits, SandboxProvider, SandboxSpec
from trace_gym.testing.demand import demand
from trace_gym.testing.sandbox_files import FILE_LAWS, opened

Law = Callable[[SandboxProvider], None]

SMALL = SandboxLimits(memory_mb=128, pids=32, disk_mb=32, output_bytes=1 << 16, timeout_s=20.0)


def python(box: Sandbox, program: str) -> ExecResult:
    """Run a Python program."""
    return box.run(["python3", "-c", program])


def check_sandbox(provider: SandboxProvider) -> None:
    """Does a provider keep every law? AssertionError names the one that it breaks."""
    for name, law in {**SANDBOX_LAWS, **FILE_LAWS}.items():
        try:
            law(provider)
        except AssertionError as error:
            raise AssertionError(f"{provider.name} breaks the law of {name}: {error}") from error


def streams_are_apart(provider: SandboxProvider) -> None:
    """Both streams come back whole, in bytes, and not mixed."""
    with opened(provider) as box:
        every = bytes(range(256)) * 8
        program = f"import os; os.write(1, {every!r}); os.write(2, b'error')"
        result = python(box, program)
        demand(result.stdout == every, "standard output changed on its way")
        demand(result.stderr == b"error", f"standard error is {result.stderr!r}")
        demand(result.ok and not result.truncated, f"the result is {result}")


def stdin_arrives(provider: SandboxProvider) -> None:
    """All of standard input arrives, then its end; a program that does not read it does not stop anything."""
    with opened(provider) as box:
        sent = os.urandom(1 << 20)
        demand(
            box.run(["sha256sum"], stdin=sent).stdout.split()[0].decode() == _sha256(sent), "stdin changed"
        )
        demand(box.run(["cat"]).stdout == b"", "an empty stdin does not end")
        demand(box.run(["true"], stdin=sent).ok, "an unread stdin makes a command fail")
        echo = box.run(["cat"], stdin=sent[: 1 << 15])
        demand(echo.stdout == sent[: 1 << 15], "what cat echoes is not what it was sent")


def exit_codes_are_a_shells(provider: SandboxProvider) -> None:
    """Exit codes; 128 + the signal; 127 for a program that is not there, 126 for one that cannot run."""
    with opened(provider) as box:
        for code in (0, 1, 7, 255):
            demand(box.run(["sh", "-c", f"exit {code}"]).exit_code == code, f"exit {code} is reported wrong")
        for name, number in (("TERM", 15), ("SEGV", 11), ("KILL", 9)):
            result = box.run(["sh", "-c", f"kill -{name} $$"])
            demand(result.exit_code == 128 + number, f"SIG{name} is reported as {result.exit_code}")
            demand(not result.timed_out and not result.out_of_memory, f"SIG{name} is taken for a limit")
        demand(box.run(["no-such-program"]).exit_code == 127, "a missing program is not 127")
        demand(box.run(["/etc/passwd"]).exit_code == 126, "a file that is no program is not 126")
        demand(box.run(["/workspace"]).exit_code == 126, "a folder as a program is not 126")
        box.write("/workspace/tool", b"#!/bin/sh\nexit 9\n", mode=0o755)
        demand(box.run(["./tool"]).exit_code == 9, "a program in the current folder does not run")
        box.write("/workspace/torn", b"#!/no/such/interpreter\n", mode=0o755)
        demand(box.run(["./torn"]).exit_code in (126, 127), "a script without interpreter is not 126 or 127")


def wall_time_ends(provider: SandboxProvider) -> None:
    """A command past its time is killed, with everything it started; what it printed is kept."""
    with opened(provider) as box:
        begun = time.monotonic()
        result = box.run(["sh", "-c", "echo said; sleep 60 & sleep 60"], timeout_s=0.5)
        demand(result.timed_out and not result.ok, f"it did not time out: {result}")
        demand(result.stdout == b"said\n", f"what it printed is {result.stdout!r}")
        demand(time.monotonic() - begun < 15, "it took long to be killed")
        ignoring = "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)"
        demand(box.run(["python3", "-c", ignoring], timeout_s=0.5).timed_out, "signals can be ignored")
        demand(box.run(["sleep", "0"]).ok, "the sandbox is unusable after a timeout")


def nothing_outlives_its_command(provider: SandboxProvider) -> None:
    """When a command ends, what it left in the background is dead, whatever it did to hide."""
    leave = (
        "import os, time\n"
        "for depth in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            while True:\n"
        "                open(f'/workspace/alive{depth}', 'a').write('x'); time.sleep(0.01)\n"
        "        os._exit(0)\n"
        "time.sleep(0.3)\n"
    )
    with opened(provider) as box:
        begun = time.monotonic()
        demand(python(box, leave).ok, "the program that leaves processes failed")
        demand(box.run(["sh", "-c", "sleep 300 & echo on"]).stdout == b"on\n", "background output is lost")
        demand(time.monotonic() - begun < 15, "a background process holds the command up")
        before = box.files("/workspace")
        mine = "('1', str(os.getpid()))"
        count = f"import os; print(sum(n.isdigit() and n not in {mine} for n in os.listdir('/proc')))"
        demand(python(box, count).stdout.strip() == b"0", "there are processes left")
        demand(box.files("/workspace") == before, "a file still grows")


def output_floods_are_cut(provider: SandboxProvider) -> None:
    """Each stream is cut at its limit, and said to be; the command goes on to its own end."""
    with opened(provider, limits=SMALL) as box:
        flood = "import os\nfor _ in range(400): os.write(1, b'o' * 65536); os.write(2, b'e' * 65536)"
        result = python(box, flood)
        demand(result.exit_code == 0 and result.truncated, f"the flood ended with {result.exit_code}")
        demand(result.stdout == b"o" * SMALL.output_bytes, f"{len(result.stdout)} bytes of standard output")
        demand(result.stderr == b"e" * SMALL.output_bytes, f"{len(result.stderr)} bytes of standard error")
        exact = python(box, f"print('x' * {SMALL.output_bytes}, end='')")
        demand(not exact.truncated, "output of just the limit counts as cut")


def commands_know_their_place(provider: SandboxProvider) -> None:
    """Working folder, environment, arguments and user are what was asked for."""
    with opened(provider, env={"SPEC": "one", "BOTH": "spec"}) as box:
        demand(
            box.run(["pwd"]).stdout == b"/workspace\n", "commands do not start in the first writable folder"
        )
        demand(box.run(["pwd"], cwd="/tmp").stdout == b"/tmp\n", "cwd is not taken")
        missing = box.run(["pwd"], cwd="/nowhere")
        demand(missing.exit_code == 126, "a missing cwd is not 126")
        shown = box.run(
            ["sh", "-c", "echo $SPEC $BOTH $MORE $HOME"], env={"BOTH": "call", "MORE": "two"}
        ).stdout
        demand(shown == b"one call two /workspace\n", f"the environment is {shown!r}")
        words = ["a b", "", "$HOME", "ü\n", "*"]
        given = python_words(box, words)
        demand(given == words, f"arguments arrive as {given!r}")
        demand(box.run(["id", "-u"]).stdout.strip() not in (b"0", b""), "commands run as root")
        for variable in ("TRACE_GYM_CACHE", "PYTHONPATH", "VIRTUAL_ENV"):
            demand(box.run(["printenv", variable]).exit_code == 1, f"{variable} of the host leaks in")


def wrong_arguments_are_ours(provider: SandboxProvider) -> None:
    """What cannot be right raises ValueError, at once, and the sandbox stays as it was."""
    with opened(provider) as box:
        wrong: list[Callable[[], object]] = [
            lambda: box.run([]),
            lambda: box.run("echo"),
            lambda: box.run(["a\0b"]),
            lambda: box.run(["true"], timeout_s=0),
            lambda: box.run(["true"], cwd="relative"),
            lambda: box.run(["true"], env={"A=B": "c"}),
            lambda: box.read("relative"),
            lambda: box.write("relative", b""),
        ]
        for index, action in enumerate(wrong):
            try:
                action()
            except ValueError:
                continue
            demand(False, f"wrong call number {index} is not refused")
        demand(box.run(["true"]).ok, "a refused call breaks the sandbox")


def limits_hold(provider: SandboxProvider) -> None:
    """Memory and processes are bounded for a command's processes together; what is within works."""
    limits = SandboxLimits(memory_mb=96, pids=16, disk_mb=32, timeout_s=20.0)
    with opened(provider, limits=limits) as box:
        demand(
            python(box, "x = bytearray(40 << 20); x[::4096] = b'1' * len(x[::4096])").ok, "40 of 96 MiB fail"
        )
        one = python(box, "x = bytearray(400 << 20); x[::4096] = b'1' * len(x[::4096])")
        demand(not one.ok, "400 MiB fit into 96")
        crowd = (
            "import os, time\n"
            "for _ in range(8):\n"
            "    if os.fork() == 0:\n"
            "        x = bytearray(40 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(3); os._exit(0)\n"
            "bad = [os.wait()[1] for _ in range(8)]\n"
            "print(sum(map(bool, bad)))\n"
        )
        many = python(box, crowd)
        demand(not many.ok or int(many.stdout) > 0, "eight times 40 MiB fit into 96")
        demand(one.out_of_memory or b"MemoryError" in one.stderr, "running out of memory is not said")
        forks = (
            "import os, time\n"
            "done = 0\n"
            "try:\n"
            "    for _ in range(100):\n"
            "        if os.fork() == 0: time.sleep(5); os._exit(0)\n"
            "        done += 1\n"
            "except OSError: pass\n"
            "print(done)\n"
        )
        number = int(python(box, forks).stdout or b"0")
        demand(8 <= number <= limits.pids, f"{number} processes with a limit of {limits.pids}")
        demand(box.run(["true"]).ok, "the sandbox is unusable after its limits were met")


def calls_may_be_many(provider: SandboxProvider) -> None:
    """Sandboxes of many threads work at the same time and do not see each other."""

    def one(number: int) -> bool:
        with opened(provider) as box:
            box.write("/workspace/mine", str(number).encode())
            for _ in range(3):
                if box.run(["cat", "mine"]).stdout != str(number).encode():
                    return False
            return list(box.files("/workspace")) == ["mine"] and not box.files("/tmp")

    with ThreadPoolExecutor(8) as threads:
        demand(all(threads.map(one, range(16))), "a sandbox shows the files of another")


def closed_is_closed(provider: SandboxProvider) -> None:
    """After close, calls raise SandboxFailed; closing again is nothing; a new sandbox begins empty."""
    box = provider.open(SandboxSpec())
    box.write("/workspace/left", b"behind")
    box.close()
    box.close()
    try:
        box.run(["true"])
    except SandboxFailed:
        with opened(provider) as fresh:
            demand(not fresh.files("/workspace"), "a new sandbox has files of an old one")
        return
    demand(False, "a closed sandbox runs commands")


def python_words(box: Sandbox, words: list[str]) -> list[str]:
    """The arguments that a program sees."""
    program = "import sys; sys.stdout.buffer.write('\\0'.join(sys.argv[1:]).encode())"
    return box.run(["python3", "-c", program, *words]).stdout.decode().split("\0")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


SANDBOX_LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            streams_are_apart,
            stdin_arrives,
            exit_codes_are_a_shells,
            wall_time_ends,
            nothing_outlives_its_command,
            output_floods_are_cut,
            commands_know_their_place,
            wrong_arguments_are_ours,
            limits_hold,
            calls_may_be_many,
            closed_is_closed,
        )
    }
)
