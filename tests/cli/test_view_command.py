"""`trace-gym view` as people type it: refusals name the way out."""

import sys
from signal import SIGINT
from socket import create_server
from subprocess import PIPE, Popen
from urllib.request import urlopen

from tests.cli.conftest import Run


def test_a_port_that_is_taken_is_one_sentence_that_names_another(run: Run) -> None:
    run("eval", "guess", "--agent", "noop", "--tasks", "1", "--out", "one", "--json")
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = run("view", "one", "--port", str(port)).sentence(2)
    assert told.startswith(f"port {port} cannot be used (another one: --port 0): ")


def test_control_c_is_how_it_ends_and_no_failure(run: Run) -> None:
    run("eval", "guess", "--agent", "noop", "--tasks", "1", "--out", "one", "--json")
    words = [sys.executable, "-m", "trace_gym.cli", "view", "one", "--port", "0"]
    with Popen(words, stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        said, address, *_ = process.stderr.readline().split()
        assert said == "open"
        with urlopen(address) as page:  # now it serves
            assert page.status == 200
        process.send_signal(SIGINT)
        assert (process.wait(timeout=30), process.stderr.read()) == (0, "")


def test_a_report_holds_as_many_trees_as_it_was_told(run: Run) -> None:
    run("eval", "guess", "--agent", "noop", "--tasks", "3", "--out", "one", "--json")
    assert run("view", "one", "--export", "two.html", "--trees", "2").err == "wrote two.html with 2 trees\n"
    assert run("view", "one", "--export", "none.html", "--trees", "0").err == "wrote none.html with 0 trees\n"
    assert run("view", "one", "--trees", "2").sentence(2).startswith("--trees bounds an export: add --export")
    assert "-1 is not in the range" in run("view", "one", "--export", "odd.html", "--trees", "-1").sentence(2)
