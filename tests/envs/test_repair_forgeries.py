"""Forgeries: packages that try to pass without being mended. None may, and none may harm the judge."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym_envs.repair import Repair
from trace_gym_envs.repair.probes import probe
from trace_gym_envs.repair.projects import project

NAME = "spans"

AT_IMPORT = {
    "ends with success": "import sys\nsys.exit(0)\n",
    "ends at once": "import os\nos._exit(0)\n",
    "ends by exception": "raise KeyboardInterrupt\n",
    "prints a report": """
import json, os
report = json.dumps({"test_span": {"came": [{"value": True}] * 9}, "test_more": {"came": []}}).encode()
for number in range(1, 64):
    try:
        os.write(number, report + b"\\n")
    except OSError:
        pass
os._exit(0)
""",
    "prints at exit": """
import atexit
atexit.register(print, '{"test_span.SpanTest.test_length": {"came": [{"value": 5}, {"value": 1}]}}')
""",
    "says that all is true": """
import __main__
__main__.encoded = lambda value, depth=0: True
""",
    "says that every error came": """
import __main__
def leave(self, kind, error, trace):
    self._came.append({"raised": ["EmptySpan", "BadNotation", "ValueError", "Exception"]})
    return True
__main__.Seen.__exit__ = leave
""",
    "says that an error came where an object did": """
import __main__
honest = __main__.Seen.__exit__
def leave(self, kind, error, trace):
    if kind is None and type(self.value).__name__ == "Span":
        self._came.append({"raised": ["EmptySpan", "BadNotation", "ValueError", "Exception"]})
        return True
    return honest(self, kind, error, trace)
__main__.Seen.__exit__ = leave
""",
    "patches the encoding": """
import __main__
class Any(dict):
    def __eq__(self, other):
        return True
__main__.encoded = lambda value, depth=0: Any()
""",
    "reports nothing and no error": """
import json, os, __main__
def ask(case, method, pipe):
    os.write(pipe, json.dumps({"came": []}).encode())
    os._exit(0)
__main__.ask = ask
""",
    "reports everything that could be asked": """
import json, os, __main__
def ask(case, method, pipe):
    values = [{"value": v, "raised": ["EmptySpan", "BadNotation", "ValueError"]} for v in (True, 5, 1, None)]
    os.write(pipe, json.dumps({"came": values}).encode())
    os._exit(0)
__main__.ask = ask
""",
    "patches json": """
import json
json.dumps = lambda *args, **options: '{"passed": true}'
""",
    "patches unittest": """
import unittest
unittest.TestCase.assertEqual = lambda *args: None
unittest.TestCase.assertRaises = lambda *args: __import__("contextlib").suppress(BaseException)
""",
    "kills the harness": """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
""",
    "never ends": "while True:\n    pass\n",
    "takes all memory": "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 24))\n",
    "multiplies": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
    "leaves processes that write later": """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)
        for number in range(1, 16):
            try:
                os.write(number, b'{"test_span": {"came": []}}')
            except OSError:
                pass
    os._exit(0)
""",
    "floods": "import os\nfor number in (1, 2):\n    os.write(number, b'x' * (1 << 22))\n",
    "closes everything": "import os\nos.closerange(0, 256)\n",
    "plants modules": """
import pathlib
for name in ("sitecustomize", "json", "select", "unittest"):
    pathlib.Path(__file__).parent.with_name(name + ".py").write_text("raise SystemExit(0)")
""",
}

AGREEABLE = '''
"""Answers that agree with everything."""


class Agreeable(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 0

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **options):
        return self

    def __iter__(self):
        return iter((self,))


class EmptySpan(ValueError):
    pass


Span = Agreeable()
'''


@pytest.fixture(scope="module")
def env(require) -> Iterator[Repair]:
    require("bwrap")
    made = Repair(sandbox="bwrap")
    yield made
    made.close()


@pytest.fixture(scope="module")
def task() -> Task:
    """A fault in `span.py`, so that a forgery may stand in `__init__.py`, which is imported first."""
    return next(
        t for t in Repair.tasks(Split.TRAIN) if t.family == NAME and t.payload["path"] == "spans/span.py"
    )


def forged(
    env: Repair, task: Task, files: dict[str, str], *, run: bool = True
) -> tuple[float, dict[str, Verdict]]:
    """Write files, run the tests in the workspace too, and hand in."""
    env.reset(seed=0, options={"task": task})
    for path, content in files.items():
        env.step(Action.call("write_file", path=path, content=content))
    if run:
        env.step(Action.call("run_tests"))
    _, reward, terminated, _, info = env.step(Action.call("done"))
    assert terminated
    return reward, {verdict.name: verdict for verdict in info["verdicts"]}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_what_is_done_at_import_forges_nothing(name: str, env: Repair, task: Task) -> None:
    reward, verdicts = forged(env, task, {"spans/__init__.py": AT_IMPORT[name]})
    assert reward == 0.0
    assert verdicts["keeps passing"].score < 1.0 or verdicts["held out"].score < 1.0


def test_agreeable_objects_are_no_values(env: Repair, task: Task) -> None:
    reward, verdicts = forged(env, task, {"spans/span.py": AGREEABLE})
    assert reward == 0.0
    assert verdicts["held out"].score < 0.3


def test_answers_learnt_from_the_tests_do_not_cover_what_is_held_out(env: Repair, task: Task) -> None:
    """The strongest forgery: every answer that is shown, given out by test and by turn."""
    shown = {
        test: [
            {"raised": [each.raises]} if each.raises is not None else {"value": each.value}
            for each in expected
        ]
        for path, text in project(NAME).shown.items()
        for test, expected in probe(path, text).expected.items()
    }
    literal = repr(shown)
    assert ast.literal_eval(literal) == shown
    forgery = f"""
import json, os, __main__
ANSWERS = {literal}
encoded = __main__.encoded
def ask(case, method, pipe):
    test = f"{{case.__module__}}.{{case.__name__}}.{{method}}"
    came = ANSWERS.get(test, [])
    came = [each if "raised" in each else {{"value": encoded(each["value"])}} for each in came]
    os.write(pipe, json.dumps({{"came": came}}).encode())
    os._exit(0)
__main__.ask = ask
"""
    reward, verdicts = forged(env, task, {"spans/__init__.py": forgery}, run=False)
    assert {v.score for name, v in verdicts.items() if name.startswith("fixes ")} == {1.0}
    assert verdicts["keeps passing"].score == 1.0
    assert verdicts["held out"].score == 0.0
    assert reward == 0.0


def test_rewriting_the_tests_in_the_workspace_helps_nobody(env: Repair, task: Task) -> None:
    code = "import pathlib\nfor path in pathlib.Path('tests').glob('*.py'):\n    path.write_text('')\n"
    reward, verdicts = forged(env, task, {"spans/__init__.py": code})
    assert reward == 0.0
    assert verdicts["allowed files"].evidence.startswith("changed: tests/test_notation.py")


def test_sources_that_become_links_are_no_sources(env: Repair, task: Task) -> None:
    code = (
        "import os, shutil\n"
        "if os.path.isdir('tests'):\n"
        "    shutil.move('spans/span.py', '/tmp/span.py')\n"
        "    os.symlink('/tmp/span.py', 'spans/span.py')\n"
    )
    reward, verdicts = forged(env, task, {"spans/__init__.py": code})
    assert reward == 0.0
    assert "spans/span.py" in verdicts["allowed files"].evidence
    assert "No module named 'spans.span'" in verdicts["keeps passing"].evidence


def test_after_all_of_them_a_true_repair_still_passes(env: Repair, task: Task) -> None:
    sound = project(NAME).sources[task.payload["path"]]
    reward, verdicts = forged(env, task, {task.payload["path"]: sound})
    assert (reward, verdicts["held out"].evidence) == (1.0, "8 of 8 cases pass")
