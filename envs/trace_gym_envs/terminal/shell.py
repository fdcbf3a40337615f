"""A shell that lasts: every command is a process of its own, what lasts between them is kept outside.

Current folder and exported variables are told by the shell itself when it ends, over a channel that its
programs could write to as well: they can thereby pretend no more than `cd` and `export` could bring about.
What cannot be read leaves the shell as it was. Leaves out files, which the sandbox keeps.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field
from typing import Final

from trace_gym.core.sandbox import ExecResult, Sandbox
from trace_gym.environment.tools import ToolError
from trace_gym_envs.terminal.steady import steady

MAX_COMMAND: Final = 60_000
MAX_STATE: Final = 32_768
MAX_SHOWN: Final = 10_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VOLATILE: Final = frozenset({"_", "SHLVL", "PWD"})

# Arguments: folder, folder to fall back to, command, then NAME=VALUE for every exported variable. Standard
# error is the channel that tells the state; the command's own goes where its standard output goes.
_SCRIPT: Final = r"""exec 9>&2 2>&1
__shell_folder=$1 __shell_home=$2 __shell_command=$3
shift 3
for __shell_name in $(compgen -e); do unset "$__shell_name"; done
if ! builtin cd -- "$__shell_folder" 2>/dev/null; then
  builtin cd -- "$__shell_home" && echo "The folder $__shell_folder is gone; now in $__shell_home."
fi
unset OLDPWD
export PWD
for __shell_pair in "$@"; do export "$__shell_pair"; done
set --
__shell_tell() {
  local __shell_code=$? __shell_name
  { set +efu +o posix; IFS=$' \t\n'
    [ -z "$OLDPWD" ] || export OLDPWD
    builtin printf 'STATE\0%s\0' "$PWD"
    for __shell_name in $(compgen -e); do builtin printf '%s=%s\0' "$__shell_name" "${!__shell_name}"; done
    builtin printf 'END\0'
  } >&9 2>/dev/null
  builtin exit "$__shell_code"
}
unset __shell_name __shell_pair __shell_folder __shell_home
trap __shell_tell EXIT
eval "$__shell_command"
"""


@dataclass(slots=True)
class Shell:
    """Where the shell is, and the variables that it exports."""

    cwd: str
    env: dict[str, str] = field(default_factory=dict)

    def way_to(self, wanted: Shell) -> str:
        """A command that brings this shell to the state of another; empty where there is no difference that
        matters: the folder before the current one (`cd -`) does not."""
        have, want = ({k: v for k, v in one.env.items() if k != "OLDPWD"} for one in (self, wanted))
        if (self.cwd, have) == (wanted.cwd, want):
            return ""
        unset = [f"unset {name}" for name in have if name not in want]
        export = [
            f"export {name}={shlex.quote(value)}" for name, value in want.items() if have.get(name) != value
        ]
        return "\n".join([*unset, *export, f"cd {shlex.quote(wanted.cwd)}"])


def run(box: Sandbox, shell: Shell, command: str, *, home: str, timeout_s: float) -> str:
    """Run a command and bring the shell up to date; what the agent sees of it.

    Raises ToolError for what is no command, SandboxFailed.
    """
    _check(command)
    pairs = [f"{name}={value}" for name, value in shell.env.items()]
    words = ["bash", "--noprofile", "--norc", "-c", _SCRIPT, "bash", shell.cwd, home, command, *pairs]
    ended = box.run(words, cwd="/", timeout_s=timeout_s)
    notes = [] if _update(shell, ended.stderr) else ["folder and variables are as before"]
    return shown(ended, shell, notes, timeout_s)


def shown(ended: ExecResult, shell: Shell, notes: list[str], timeout_s: float) -> str:
    """The output of a command, then a line with its exit code and the current folder."""
    text = steady(ended.stdout.decode(errors="replace"), time.time()).rstrip("\n")
    if len(text) > MAX_SHOWN:
        half = MAX_SHOWN // 2
        text = f"{text[:half]}\n… ({len(text) - 2 * half} characters are left out) …\n{text[-half:]}"
    if ended.truncated:
        notes = ["output was lost", *notes]
    if ended.out_of_memory:
        notes = ["out of memory", *notes]
    if ended.timed_out:
        notes = [f"stopped after {timeout_s:g} s", *notes]
    last = f"[exit code {ended.exit_code}, in {shell.cwd}{''.join(f'; {note}' for note in notes)}]"
    return f"{text}\n{last}" if text else last


def _check(command: str) -> None:
    if not command.strip():
        raise ToolError("Give a command.")
    if len(command) > MAX_COMMAND:
        raise ToolError(f"A command has at most {MAX_COMMAND} characters.")
    if "\0" in command:
        raise ToolError("A command cannot hold a NUL character.")


def _update(shell: Shell, told: bytes) -> bool:
    """Take over what the shell told last; False where it told nothing that can be read."""
    _, found, state = told.rpartition(b"STATE\0")
    fields = state.split(b"\0")
    if not found or len(state) > MAX_STATE or fields[-2:] != [b"END", b""]:
        return False
    try:
        cwd = fields[0].decode()
    except UnicodeDecodeError:
        return False
    if not cwd.startswith("/"):
        return False
    shell.cwd, shell.env = cwd, _variables(fields[1:-2])
    return True


def _variables(fields: list[bytes]) -> dict[str, str]:
    """Variables from NAME=VALUE fields; those that are no text, or that the shell sets itself, are left
    out."""
    found: dict[str, str] = {}
    for each in fields:
        try:
            name, equals, value = each.decode().partition("=")
        except UnicodeDecodeError:
            continue
        if equals and _NAME.fullmatch(name) and name not in _VOLATILE:
            found[name] = value
    return found
