"""Workers of measurements and the process that started them."""

import subprocess
import sys
from pathlib import Path

from tests.loop_files.processes import alive, children, wait_until

PROGRAM = """
import os, threading
from trace_gym.bench.workers import workers

def busy(_):
    threading.Event().wait()

if __name__ == "__main__":
    with workers(2) as pool:
        waiting = [pool.submit(busy, number) for number in range(2)]
        print("they wait", flush=True)
        waiting[0].result()
"""


def test_workers_do_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "they wait\n"
        theirs = children(started.pid)
        assert len(theirs) >= 2
        started.kill()
        wait_until(lambda: not any(map(alive, theirs)))
