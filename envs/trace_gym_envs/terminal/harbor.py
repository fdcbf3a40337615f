"""Tasks in Harbor's format, read from their folders: `task.toml`, `instruction.md`, `environment/`, `tests/`,
`solution/`.

Of `task.toml` this reads what concerns one container and one verifier (schema 1.4 of Harbor 0.26): workdir,
resources, variables, timeouts, collect hooks. The table `[metadata.trace_gym]` is our own: `plain` (bash,
coreutils and Python's standard library suffice, so that no image is built), `step_checks` (the tests are
quick and give several rewards: they run after every step), `split`, `max_turns`. Leaves out what a sandbox
cannot be: several steps or services, other systems than Linux, images from a registry; such tasks are
refused by name. Networks are never given.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trace_gym.core.errors import BadConfig, MalformedData, boundary
from trace_gym.core.task import Split
from trace_gym_envs.parcel import Packed
from trace_gym_envs.terminal.dockerfile import Recipe, read_recipe

MAX_TURNS: Final = 60
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Collect:
    """A command that runs after the agent and before the tests."""

    command: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class HarborTask:
    """One task as its folder says it. Times in seconds, sizes in MiB; None: not said."""

    folder: Path
    instruction: str
    recipe: Recipe
    plain: bool = False
    step_checks: bool = False
    split: Split | None = None
    max_turns: int = MAX_TURNS
    category: str = ""
    verifier_s: float = 600.0
    verifier_env: Mapping[str, str] = field(default_factory=dict)
    collect: tuple[Collect, ...] = ()
    memory_mb: int | None = None
    storage_mb: int | None = None
    cpus: float | None = None
    solution_env: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def files(self) -> dict[str, Packed]:
        """What a plain task's folder holds at first, by path relative to it. Raises MalformedData for a file
        that is to be anywhere else."""
        found = self.recipe.files(self.folder / "environment")
        start = self.recipe.workdir.lstrip("/") + "/"
        outside = sorted(path for path in found if not path.startswith(start))
        if outside:
            raise MalformedData(
                f"task {self.name!r}: a plain task copies to {self.recipe.workdir}, not to /{outside[0]}"
            )
        return {path.removeprefix(start): each for path, each in found.items()}

    def tests(self) -> dict[str, Packed]:
        """What goes to /tests."""
        return packed(self.folder / "tests")

    def solution(self) -> list[str]:
        """The commands of `solution/solve.sh`; none where there is no script, or it needs files beside it.

        Where the task is checked after every step, the script is a series of commands divided by empty lines,
        which share nothing but files, the current folder and exported variables; else it is one command.
        """
        script = self.folder / "solution" / "solve.sh"
        if not script.is_file() or len(list(script.parent.iterdir())) > 1:
            return []
        lines = script.read_text("utf-8").splitlines()
        text = "\n".join(lines[1:] if lines and lines[0].startswith("#!") else lines).strip()
        exports = [f"export {name}='{value}'" for name, value in self.solution_env.items()]
        if not self.step_checks:
            return ["\n".join([*exports, text])]
        return [*exports, *(part.strip("\n") for part in re.split(r"\n[ \t]*\n", text) if part.strip())]


def packed(folder: Path) -> dict[str, Packed]:
    """All files of a folder, by path relative to it."""
    return {
        path.relative_to(folder).as_posix(): Packed(
            path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def read_task(folder: Path) -> HarborTask:
    """The task of a folder. Raises MalformedData (what is there cannot be read), BadConfig (it cannot be
    played here)."""
    what = f"task {folder.name!r} in {str(folder)!r}"
    with boundary(MalformedData, OSError, ValueError, KeyError, TypeError, AttributeError, what=what):
        data = tomllib.loads((folder / "task.toml").read_text("utf-8"))
        instruction = (folder / "instruction.md").read_text("utf-8").strip()
        if not (folder / "tests" / "test.sh").is_file():
            raise MalformedData(f"{what} has no tests/test.sh")
        _refuse(data, folder, what)
        return _task(folder, instruction, data, what)


def read_tasks(path: Path) -> list[HarborTask]:
    """The tasks of a folder of task folders, sorted by name, or of one task folder. Raises MalformedData,
    BadConfig."""
    if (path / "task.toml").is_file():
        return [read_task(path)]
    if not path.is_dir():
        raise MalformedData(f"there is no folder {str(path)!r}")
    found = [read_task(entry) for entry in sorted(path.iterdir()) if (entry / "task.toml").is_file()]
    if not found:
        raise MalformedData(f"{str(path)!r} holds no task.toml, and no folder in it does")
    return found


def _task(folder: Path, instruction: str, data: Mapping[str, Any], what: str) -> HarborTask:
    environment, verifier = data.get("environment", {}), data.get("verifier", {})
    metadata = data.get("metadata", {})
    ours = metadata.get("trace_gym", {})
    recipe = read_recipe(folder / "environment" / "Dockerfile", plain=bool(ours.get("plain")))
    env = {**recipe.env, **_resolved(environment.get("env", {}), what)}
    workdir = environment.get("workdir") or recipe.workdir
    hooks = [
        Collect(hook["command"], float(hook.get("timeout_sec", 60.0))) for hook in verifier.get("collect", [])
    ]
    return HarborTask(
        folder=folder,
        instruction=instruction,
        recipe=Recipe(workdir, env, recipe.copies),
        plain=bool(ours.get("plain")),
        step_checks=bool(ours.get("step_checks")),
        split=Split(ours["split"]) if "split" in ours else None,
        max_turns=int(ours.get("max_turns", MAX_TURNS)),
        category=str(metadata.get("category", "")),
        verifier_s=float(verifier.get("timeout_sec", 600.0)),
        verifier_env=_resolved(verifier.get("env", {}), what),
        collect=tuple(hooks),
        memory_mb=environment.get("memory_mb"),
        storage_mb=environment.get("storage_mb"),
        cpus=environment.get("cpus"),
        solution_env=_resolved(data.get("solution", {}).get("env", {}), what),
    )


def _refuse(data: Mapping[str, Any], folder: Path, what: str) -> None:
    """Raises BadConfig for a task that one sandbox cannot play."""
    environment, verifier = data.get("environment", {}), data.get("verifier", {})
    compose = [
        name
        for name in ("docker-compose.yaml", "docker-compose.yml")
        if (folder / "environment" / name).exists()
    ]
    services: Sequence[str] = [
        hook["service"] for hook in verifier.get("collect", []) if hook.get("service", "main") != "main"
    ]
    reasons = {
        "it has several steps": bool(data.get("steps")),
        "it is for another system than Linux": str(environment.get("os", "linux")).lower() != "linux",
        "it needs several services": bool(compose or services),
        "it names an image in a registry instead of a Dockerfile": bool(environment.get("docker_image")),
        "its verifier has an environment of its own": bool(verifier.get("environment")),
        "it has no environment/Dockerfile": not (folder / "environment" / "Dockerfile").is_file(),
    }
    for reason, holds in reasons.items():
        if holds:
            raise BadConfig(f"{what} cannot be played in a sandbox: {reason}")


def _resolved(variables: Mapping[str, Any], what: str) -> dict[str, str]:
    """Variables with `${NAME:-default}` replaced by the default: nothing of this machine's enters a
    sandbox."""

    def default(found: re.Match[str]) -> str:
        if found[2] is None:
            raise BadConfig(
                f"{what} needs the variable {found[1]} of this machine, which sandboxes do not get"
            )
        return found[2]

    return {name: _VARIABLE.sub(default, str(value)) for name, value in variables.items()}
