"""A vLLM server of our own: its interpreter found, its process started, watched and ended, its log kept.

It listens on a Unix socket in a folder that only we can enter, since it runs whatever it is asked to. It ends
with us, however we end: it holds the other end of a pipe. Leaves out what is said to it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from trace_gym.core.errors import MissingExtra, ModelFailed, boundary
from trace_gym.rollout import vllm_dialect
from trace_gym.rollout.vllm_dialect import GRACE_S, MODULE, Launch

PYTHON = "TRACE_GYM_VLLM_PYTHON"
"""The environment variable that names the interpreter that has vLLM."""
LOG_LINES = 400
"""How much of the log's end is searched for why a server ended."""


def vllm_python(named: str | None = None) -> Path:
    """The interpreter that has vLLM: `named`, else what TRACE_GYM_VLLM_PYTHON names, else this one. Raises
    MissingExtra."""
    given = named or os.environ.get(PYTHON)
    if given:
        found = shutil.which(Path(given).expanduser())
        if found is None:
            raise MissingExtra(f"there is no Python {given}, which should have vLLM; see {PYTHON}")
        return Path(found).absolute()
    if find_spec("vllm") is None:
        raise MissingExtra(
            "policies vllm:MODEL need vLLM: install it into a virtual environment of its own (on a CPU "
            f".ci/vllm_cpu does) and name that environment's python in {PYTHON}, or say vllm:MODEL?python=..."
        )
    return Path(sys.executable)


class VllmServer:
    """Lifecycle: started, ended by `stop` or by itself, and started again. `socket` is where it listens, once
    it does; `log` grows over all starts."""

    def __init__(self, python: Path, folder: Path) -> None:
        """Makes `folder`, which the log goes into. Raises ModelFailed."""
        with boundary(ModelFailed, OSError, what=f"vLLM's log cannot be kept in {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            self._scratch = Path(mkdtemp(prefix="trace-gym-vllm-"))
            shutil.copy(vllm_dialect.__file__, self._scratch / f"{MODULE}.py")
        self.log = folder / "server.log"
        self.socket = self._scratch / "socket"
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = "the vLLM server was not started"

    @property
    def number(self) -> int | None:
        """The process id of the server last started."""
        return self._process.pid if self._process else None

    def start(self, launch: Launch) -> None:
        """Start it; it answers some time later. Raises ModelFailed."""
        self.end()
        self.socket.unlink(missing_ok=True)
        command = [str(self._python), str(self._scratch / f"{MODULE}.py"), *launch.arguments()]
        ours = {"PYTHONPATH": str(self._scratch), "VLLM_RPC_BASE_PATH": str(self._scratch)}
        with (
            boundary(ModelFailed, OSError, what="the vLLM server cannot be started"),
            self.log.open("ab") as log,
        ):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **launch.environment(), **ours},
                cwd=self._scratch,
                start_new_session=True,
            )

    def why_ended(self, number: int | None = None) -> str | None:
        """Why the process `number` (by default the last started) has ended, in a sentence; None while it
        runs."""
        if self._process is None or number not in (None, self._process.pid):
            return self._ended
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"the vLLM server was ended by {signal.Signals(-code).name} (log: {self.log})"
        return f"the vLLM server ended with exit code {code}: {self._last_words()} (log: {self.log})"

    def end(self) -> None:
        """End the process and all that it started. Idempotent."""
        self._ended = self.why_ended() or f"the vLLM server was stopped (log: {self.log})"
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        with suppress(ProcessLookupError):
            deadline = time.monotonic() + GRACE_S
            while time.monotonic() < deadline:  # its helpers give back shared memory once it is gone
                os.killpg(process.pid, 0)
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(GRACE_S)
        if process.stdin:
            process.stdin.close()

    def stop(self) -> None:
        """End it for good; the log stays. Idempotent."""
        self.end()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _last_words(self) -> str:
        """What the log says of the end: our program's own sentence, the last error, or its last line."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        telling = re.compile(rf"(?:\(.*?\) )?(?:ERROR .*?\] )?(?:{MODULE}: (.*)|(\w*Error: .*))")
        for line in reversed(lines[-LOG_LINES:]):
            if found := telling.fullmatch(line):
                return found[1] or found[2]
        return lines[-1] if lines else "it said nothing"
