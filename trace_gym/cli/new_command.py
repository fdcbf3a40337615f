"""`trace-gym new`: an installable package with an environment that certifies as written."""

from __future__ import annotations

import re
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path

import click

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.environment.registry import suite_names

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
OURS = ("envs", "agents")
"""Suites whose packages, named `trace_gym_NAME`, would hide ours."""


@click.command(
    "new", epilog="Examples: trace-gym new my_shop | trace-gym new my_shop --folder suites/my_shop"
)
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to put it; must not exist. [default: NAME]",
)
def command(name: str, folder: Path | None) -> None:
    """Write the package of a new suite NAME: environment, tasks, test, entry point.

    It is whole as written; replace the little coin game by your own, and keep `trace-gym check` green.
    """
    if not NAME.fullmatch(name):
        raise BadConfig(f"a suite's name is like my_shop (small letters, digits, underscores), got {name!r}")
    if name in suite_names():
        raise BadConfig(f"a suite {name!r} is installed already; choose another name")
    if name in OURS:
        raise BadConfig(f"trace_gym_{name} is a package of trace-gym itself; choose another name")
    target = folder or Path(name)
    if target.exists():
        raise BadConfig(f"{str(target)!r} exists already; nothing was written")
    with boundary(BadConfig, OSError, what=f"cannot write {str(target)!r}"):
        for place, text in _package(name).items():
            path = target / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            click.echo(f"wrote {path}", err=True)
    click.echo(f"next: pip install -e '{target}[test]' && trace-gym check {name} && trace-gym play {name}")


def _package(name: str) -> dict[str, str]:
    """The files of the package, by their place in it."""
    template = files("trace_gym.cli").joinpath("template")
    title = "".join(word.capitalize() for word in name.split("_"))
    taken = re.search(rf"\b{title}\b", template.joinpath("env.py.txt").read_text(encoding="utf-8"))
    if iskeyword(title) or taken:
        title = f"{title}Env"
    words = {"@name@": name, "@dashed@": name.replace("_", "-"), "@Class@": title}

    def filled(source: str) -> str:
        text = template.joinpath(f"{source}.txt").read_text(encoding="utf-8")
        for mark, word in words.items():
            text = text.replace(mark, word)
        return text

    module = f"trace_gym_{name}"
    return {
        "pyproject.toml": filled("pyproject.toml"),
        "README.md": filled("README.md"),
        f"{module}/__init__.py": f'"""The suite `{name}`."""\n',
        f"{module}/env.py": filled("env.py"),
        f"{module}/tasks.py": filled("tasks.py"),
        f"tests/test_{name}.py": filled("test_env.py"),
    }
