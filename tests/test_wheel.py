"""The wheel as people get it: installed alone, without the training extra, into every Python it promises."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
MINUTES = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(12 * MINUTES)]


def ran(*words: str | Path, cwd: Path, code: int = 0, limit: float = 2 * MINUTES) -> tuple[str, str]:
    """What a command says on standard output and standard error, when it ends with `code`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ended = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**clean, "TRACE_GYM_CACHE": str(cwd / "cache")},
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert ended.returncode == code, f"{words} ended with {ended.returncode}: {ended.stdout}\n{ended.stderr}"
    return ended.stdout, ended.stderr


def is_python(path: Path, wanted: str) -> bool:
    """Does this file run as the wanted version? A shim for a version that is switched off does not."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        ended = subprocess.run([path, "-c", asked], capture_output=True, text=True, timeout=MINUTES)
    except OSError:
        return False
    return ended.returncode == 0 and ended.stdout.strip() == wanted


def found_python(wanted: str) -> Path | None:
    """An interpreter of that version on this machine."""
    if wanted == RUNNING:
        return Path(sys.executable)
    on_path = shutil.which(f"python{wanted}")
    installed = sorted(Path.home().glob(f".pyenv/versions/*/bin/python{wanted}"))
    candidates = [*([Path(on_path)] if on_path else []), *installed]
    return next((path for path in candidates if is_python(path, wanted)), None)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    ran(*words, cwd=folder, limit=5 * MINUTES)
    (built,) = folder.glob("*.whl")
    return built


def test_the_running_python_is_among_those_promised() -> None:
    assert RUNNING in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_works_alone(version: str, wheel: Path, tmp_path: Path) -> None:
    python = found_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    home, away = tmp_path / "venv", tmp_path / "away"
    away.mkdir()
    ran(python, "-m", "venv", home, cwd=away)
    ran(home / "bin" / "pip", "install", "--quiet", wheel, cwd=away, limit=8 * MINUTES)
    listed = json.loads(ran(home / "bin" / "pip", "list", "--format", "json", cwd=away)[0])
    installed = {package["name"] for package in listed}
    assert "trace-gym" in installed
    assert not installed & {"torch", "transformers"}
    command = home / "bin" / "trace-gym"

    out, _ = ran(command, "eval", "guess", "--agent", "oracle", "--json", cwd=away)
    report = json.loads(out)
    assert (report["success"]["mean"], report["invalid"], report["episodes"]) == (1.0, 0, 288)

    rows = json.loads(ran(command, "list", "--json", cwd=away)[0])
    assert {"guess", "bfcl", "wikihop_compact"} <= set(rows)
    assert rows["guess"]["train"] == {"tasks": 1152, "families": 1152, "read": 1152}

    ran(command, "new", "my_till", cwd=away)
    ran(home / "bin" / "pip", "install", "--quiet", "--no-deps", away / "my_till", cwd=away)
    ran(command, "check", "my_till", "--fuzz", "200", "--forks", "10", cwd=away)

    out, err = ran(command, "train", "guess", cwd=away, code=1)
    assert (out, len(err.splitlines())) == ("", 1)
    assert "pip install 'trace-gym[train]'" in err
    assert "pip install 'trace-gym[train]'" in " ".join(
        finding["advice"] for finding in json.loads(ran(command, "doctor", "--json", cwd=away)[0])["findings"]
    )
