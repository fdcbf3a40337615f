"""What every file must keep: importing loads nothing heavy, the floors of the house, size, a docstring."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "trace_gym", ROOT / "envs" / "trace_gym_envs", ROOT / "agents" / "trace_gym_agents"]
HEAVY = {"torch", "transformers", "vllm", "docker", "playwright", "httpx", "ray"}
MOST_LINES = 300


MATERIAL = ROOT / "envs" / "trace_gym_envs" / "terminal" / "tasks"
"""Files that agents work on: some are broken on purpose."""


def files() -> list[Path]:
    found = (path for source in SOURCES for path in source.rglob("*.py"))
    return sorted(path for path in found if not path.is_relative_to(MATERIAL))


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after importing `modules`."""
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    script += "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    words = [sys.executable, "-c", script, *modules]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    return set(ended.stdout.split())


def test_importing_loads_nothing_heavy() -> None:
    core = [f"trace_gym.core.{path.stem}" for path in sorted((ROOT / "trace_gym" / "core").glob("*.py"))]
    core = [name.removesuffix(".__init__") for name in core]
    assert "trace_gym.core.tree" in core
    surface = ["trace_gym", "trace_gym.environment.env", "trace_gym.evaluate", "trace_gym.parts"]
    loaded = loaded_by(*surface, "trace_gym.cli", *core)
    assert "trace_gym" in loaded
    assert not loaded & HEAVY


def test_the_core_knows_no_vendor_but_numpy() -> None:
    core = [f"trace_gym.core.{path.stem}" for path in sorted((ROOT / "trace_gym" / "core").glob("*.py"))]
    loaded = loaded_by(*(name.removesuffix(".__init__") for name in core))
    assert not loaded & (HEAVY | {"gymnasium", "pydantic", "click", "rich", "scipy", "jsonschema"})


def test_there_are_files_to_look_at() -> None:
    found = {names(path) for path in files()}
    assert {
        "trace_gym/evaluate/report.py",
        "envs/trace_gym_envs/guess.py",
        "agents/trace_gym_agents/oracle.py",
    } <= found


@pytest.mark.parametrize("path", files(), ids=names)
def test_a_module_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text or ast.get_docstring(ast.parse(text)), (
        "a module that holds anything begins with what it is"
    )
    assert len(text.splitlines()) < MOST_LINES, f"a file stays under {MOST_LINES} lines"


def test_the_floors_import_downwards_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 broken" in ended.stdout
