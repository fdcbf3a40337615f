"""`trace-gym view` as people type it: refusals name the way out."""

from socket import create_server

from tests.cli.conftest import Run


def test_a_port_that_is_taken_is_one_sentence_that_names_another(run: Run) -> None:
    run("eval", "guess", "--agent", "noop", "--tasks", "1", "--out", "one", "--json")
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = run("view", "one", "--port", str(port)).sentence(2)
    assert told.startswith(f"port {port} cannot be used (another one: --port 0): ")
