"""The README's example of a scheduler in another loop runs as it is printed."""

import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_a_scheduler_outside_our_trainer(tmp_path: Path) -> None:
    """Thirty steps; TRACE soon plays prompts whose trees hold both outcomes. No torch is loaded."""
    section = README.read_text(encoding="utf-8").partition("## Scheduler outside our trainer")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    script = tmp_path / "example.py"
    script.write_text(f"{code}\nimport sys\nassert 'torch' not in sys.modules\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    rows = [list(map(float, line.split())) for line in ended.stdout.splitlines()]
    assert [row[0] for row in rows] == list(range(30))
    assert sum(row[1] for row in rows[20:]) / 10 > 0.8
