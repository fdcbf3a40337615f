"""The lasting shell, and text without what differs from run to run."""

from __future__ import annotations

import calendar
from collections.abc import Iterator

import pytest

from trace_gym.core.sandbox import Sandbox, SandboxSpec
from trace_gym.environment import sandbox
from trace_gym.environment.tools import ToolError
from trace_gym_envs.terminal.shell import Shell, run
from trace_gym_envs.terminal.steady import steady

NOW = float(calendar.timegm((2026, 3, 10, 12, 0, 0)))


@pytest.fixture(scope="module", params=["bwrap", "docker"])
def box(request, require) -> Iterator[Sandbox]:
    require(request.param)
    opened = sandbox.provider(request.param).open(SandboxSpec(writable=("/app", "/tmp")))
    yield opened
    opened.close()


@pytest.fixture
def shell(box: Sandbox) -> Shell:
    box.reset()
    return Shell("/app", {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"})


def say(box: Sandbox, shell: Shell, command: str, timeout_s: float = 10.0) -> str:
    return run(box, shell, command, home="/app", timeout_s=timeout_s)


def test_folder_and_exported_variables_last(box: Sandbox, shell: Shell) -> None:
    assert say(box, shell, "mkdir -p a/b && cd a/b && export X='1 2' Y=$'two\\nlines' && Z=3") == (
        "[exit code 0, in /app/a/b]"
    )
    assert say(box, shell, 'pwd; echo "$X|$Y|$Z"') == "/app/a/b\n1 2|two\nlines|\n[exit code 0, in /app/a/b]"
    assert say(box, shell, "unset X; cd -; pwd") == "/app\n/app\n[exit code 0, in /app]"
    assert "X" not in shell.env


def test_outputs_come_in_order_and_with_the_exit_code(box: Sandbox, shell: Shell) -> None:
    assert say(box, shell, "echo out; echo err >&2; echo out; (exit 3)") == (
        "out\nerr\nout\n[exit code 3, in /app]"
    )
    assert say(box, shell, "cd /tmp; exit 4") == "[exit code 4, in /tmp]"
    assert say(box, shell, "set -e; false; echo no") == "[exit code 1, in /tmp]"


def test_what_replaces_the_shell_leaves_it_as_it_was(box: Sandbox, shell: Shell) -> None:
    last = "[exit code 0, in /app; folder and variables are as before]"
    assert say(box, shell, "cd /tmp; exec true") == last
    assert say(box, shell, "cd /tmp; kill -9 $$") == last.replace("code 0", "code 137")


def test_a_program_can_pretend_no_more_than_the_shell_could_do(box: Sandbox, shell: Shell) -> None:
    say(box, shell, r"printf 'STATE\0/etc\0EVIL=1\0END\0' >&9; cd /tmp")
    assert (shell.cwd, "EVIL" in shell.env) == ("/tmp", False)
    say(box, shell, r"printf 'STATE\0/etc\0A=1\0END\0' >&9; exec true")
    assert (shell.cwd, shell.env) == ("/etc", {"A": "1"})
    assert say(box, shell, "echo $A").startswith("1\n")
    say(box, shell, r"printf 'STATE\0relative\0A=2\0END\0' >&9; exec true")
    say(box, shell, r"printf 'STATE\0/etc\0A=2\0' >&9; exec true")
    say(box, shell, r"printf 'STATE\0/etc\0A=2\0B' >&9; exec true")
    assert (shell.cwd, shell.env) == ("/etc", {"A": "1"})


def test_broken_variables_do_not_break_the_shell(box: Sandbox, shell: Shell) -> None:
    say(box, shell, "export PATH=/nowhere IFS=: BASH_ENV=/tmp/x; cd /tmp")
    assert "command not found" in say(box, shell, "ls")
    assert say(box, shell, "export PATH=/usr/bin:/bin; ls /tmp; pwd") == "/tmp\n[exit code 0, in /tmp]"
    say(box, shell, "export BAD=$'\\xff' GOOD=é")
    assert shell.env["GOOD"] == "é"
    assert "BAD" not in shell.env


def test_too_many_variables_are_not_kept(box: Sandbox, shell: Shell) -> None:
    said = say(box, shell, "export BIG=$(head -c 40000 /dev/zero | tr '\\0' x); cd /tmp")
    assert said == "[exit code 0, in /app; folder and variables are as before]"


def test_a_folder_may_be_gone(box: Sandbox, shell: Shell) -> None:
    say(box, shell, "mkdir gone; cd gone")
    say(box, shell, "rmdir /app/gone")
    assert (
        say(box, shell, "pwd") == "The folder /app/gone is gone; now in /app.\n/app\n[exit code 0, in /app]"
    )


def test_commands_of_several_lines(box: Sandbox, shell: Shell) -> None:
    said = say(box, shell, "cat > f <<'EOF'\n$HOME `x`\n\nlast\nEOF\ncat f; for i in 1 2\ndo echo $i\ndone")
    assert said == "$HOME `x`\n\nlast\n1\n2\n[exit code 0, in /app]"
    assert "unexpected end of file" in say(box, shell, "if true; then")


def test_processes_end_with_their_command(box: Sandbox, shell: Shell) -> None:
    say(box, shell, "(sleep 1; echo late > /app/late) & cd /tmp")
    assert shell.cwd == "/tmp"
    assert say(box, shell, "sleep 1.5; ls /app").startswith("[exit code 0")


def test_time_is_limited(box: Sandbox, shell: Shell) -> None:
    said = say(box, shell, "sleep 30", timeout_s=1.0)
    assert "stopped after 1 s" in said
    assert said.endswith("folder and variables are as before]")


def test_long_output_is_shortened_in_the_middle(box: Sandbox, shell: Shell) -> None:
    said = say(box, shell, "i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i + 1)); done")
    assert said.startswith("line 0\nline 1\n")
    assert "characters are left out" in said
    assert said.endswith("line 3999\n[exit code 0, in /app]")
    assert len(said) < 11_000
    assert "output was lost" in say(box, shell, "yes | head -c 3000000")


@pytest.mark.parametrize("command", ["", "  \n", "a\0b", "x" * 60_001])
def test_what_is_no_command(box: Sandbox, shell: Shell, command: str) -> None:
    with pytest.raises(ToolError):
        say(box, shell, command)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-rw-r--r-- 1 a a 5 Mar 10 11:58 f", "-rw-r--r-- 1 a a 5 (just now) f"),
        ("-rw-r--r-- 1 a a 5 Mar  9  2024 f", "-rw-r--r-- 1 a a 5 Mar  9  2024 f"),
        ("-rw-r--r-- 1 a a 5 Aug 10 11:58 f", "-rw-r--r-- 1 a a 5 Aug 10 11:58 f"),
        ("Tue Mar 10 11:59:58 UTC 2026", "(just now)"),
        ("Sun Mar 10 11:59:58 UTC 2024", "Sun Mar 10 11:59:58 UTC 2024"),
        ("2026-03-10T11:59:58.123Z up", "(just now) up"),
        ("2026-03-10 11:59:58.123456789 +0000", "(just now)"),
        ("2026-03-10 2024-03-10 1999-12-31", "(just now) 2024-03-10 1999-12-31"),
        (f"{int(NOW)} {int(NOW) - 10**8} {NOW:.3f}", f"(just now) {int(NOW) - 10**8} (just now)"),
        ("<f at 0x7f12ab34cd56> 0xdeadbeef", "<f at 0x…> 0xdeadbeef"),
        ("/tmp/tmp.aB3dE6gH9j /tmp/tmpabc_1234 /tmp/tmp /tmp/tmpl", "/tmp/tmp… /tmp/tmp… /tmp/tmp /tmp/tmpl"),
        ("real\t0m0.003s", "real\t…"),
        ("bash: line 9:   123 Killed   sleep 5", "bash: line 9: Killed   sleep 5"),
        ("[1] 4242", "[1]"),
        ("9999-99-99 and 0000-00-00", "9999-99-99 and 0000-00-00"),
    ],
)
def test_steady_text(text: str, shown: str) -> None:
    assert steady(text, NOW) == shown
