"""The repair suite: a small package has one fault; find it and mend it.

Leaves out how faults are made (`operators`, `generate`) and how a package is judged (`grader`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.sandbox import WORKSPACE, Sandbox, SandboxSpec
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import RewardRule
from trace_gym.environment.fork import Step
from trace_gym.environment.sandbox import Kind
from trace_gym.environment.sandbox_env import SandboxEnv
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import ToolError, tool
from trace_gym_envs.parcel import Found
from trace_gym_envs.repair import workspace
from trace_gym_envs.repair.faults import mutants
from trace_gym_envs.repair.grader import Outcome, judge, probes_of
from trace_gym_envs.repair.order import (
    SUITE,
    Bench,
    all_pass,
    fixed_line,
    mutant_of,
    snippets,
    task_of,
    with_examples,
)
from trace_gym_envs.repair.projects import names, project

RUNS_PER_ACTION = 4
_REMEMBERED = 256

Sources: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class Repair(SandboxEnv):
    """Mend the one fault of a package with the help of its tests; only its sources may be changed.

    Checks, all required: `fixes <test>` for every shown test that failed at first; `keeps passing`: those
    that passed still do; `held out`: cases that are not shown; `allowed files`: nothing but sources was
    changed. They are judged after every step, in a second sandbox that holds the sources alone.
    """

    suite: ClassVar[str] = SUITE
    chance: ClassVar[float] = 0.001
    state: Bench

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        sandbox: Kind = "auto",
    ) -> None:
        """`sandbox`: which kind to use. Raises SandboxUnavailable."""
        super().__init__(reward=reward, split=split, render_mode=render_mode, sandbox=sandbox)
        self._judge: Sandbox | None = None
        self._judged: OrderedDict[Sources, Mapping[str, Outcome]] = OrderedDict()

    @classmethod
    def tasks(cls, split: Split) -> Sequence[Task]:
        """One task a verified mutant; a project is a family and a subset."""
        listed = [(name, number) for name in names(split) for number in range(len(mutants(name)))]
        return LazyTasks(len(listed), lambda index: task_of(split, *listed[index]))

    @classmethod
    def secrets(cls, task: Task) -> Sequence[str]:
        """What stood at the fault, as far as it is more than a word."""
        line = fixed_line(mutant_of(task))
        return [line] if len(line.split()) > 1 else []

    def sandbox_spec(self, task: Task) -> SandboxSpec:
        """The same for every task."""
        return workspace.SPEC

    def begin(self, task: Task) -> str:
        """What is to be done, and the files."""
        mutant, whole = mutant_of(task), project(task.family)
        workspace.lay_out(self.box, {**whole.fixed, **mutant.sources()})
        self.state = Bench(Found(), {})
        self._look()
        package = mutant.path.partition("/")[0]
        return (
            "The package in this workspace, described in README.md, has one fault: some of its tests fail. "
            f"Find the fault and mend it. Only the files under {package}/ may be changed. "
            "Call done when it is mended; cases that are not among the tests will be tried too.\n"
            f"{workspace.listing(self.state.found.files)}"
        )

    def available(self) -> Sequence[ToolSpec]:
        """The tools, with the paths of the project as examples."""
        paths = sorted(project(self.task.family).workspace)
        return tuple(with_examples(spec, paths) for spec in self.toolbox())

    def step(self, action: Any) -> Step:
        """As in AgenticEnv; counts the test runs of the action."""
        if self._box is not None:
            self.state.runs = 0
        return super().step(action)

    @tool
    def list_files(self) -> str:
        """List all files with their numbers of lines."""
        return workspace.listing(self.state.found.files) or "There are no files."

    @tool
    def read_file(self, path: str, first: int = 1, last: int = 0) -> str:
        """Read a file, or some lines of it.

        Args:
            path: The file, relative to the workspace.
            first: The first line to show.
            last: The last line to show; 0 shows all that follow.
        """
        name = self._existing(path)
        text = workspace.text_of(self.state.found.files[name], name)
        shown = workspace.numbered(text, max(first, 1), last)
        if name not in self.state.read:
            self.state.read = (*self.state.read, name)
        return shown

    @tool
    def search(self, text: str) -> str:
        """Find the lines that hold a text, in all files.

        Args:
            text: What to look for, exactly as it is written.
        """
        if not text.strip():
            raise ToolError("Say what to look for.")
        return workspace.hits(self.state.found.files, text)

    @tool
    def edit_file(self, path: str, old: str, new: str) -> str:
        """Replace a text in a file; it must occur exactly once.

        Args:
            path: The file, relative to the workspace.
            old: The text to replace, exactly as it is written, with its blanks and line ends.
            new: The text to put in its place.
        """
        name = self._existing(path)
        text = workspace.text_of(self.state.found.files[name], name)
        count = text.count(old) if old else 0
        if count != 1:
            raise ToolError(
                f"The text to replace occurs {count} times in {name}, not once; nothing was changed."
            )
        return self._written(name, text.replace(old, new))

    @tool
    def write_file(self, path: str, content: str) -> str:
        """Write a whole file, in place of the old one if there is one.

        Args:
            path: The file, relative to the workspace.
            content: All that is to stand in it.
        """
        return self._written(self._name(path), content)

    @tool
    def delete_file(self, path: str) -> str:
        """Delete a file.

        Args:
            path: The file, relative to the workspace.
        """
        name = self._name(path)
        if name not in self.state.found.files and name not in self.state.found.others:
            raise ToolError(f"There is no file {name!r}.")
        ended = self.box.run(["rm", "-f", "--", workspace.place(name)])
        self._look()
        return f"{name} is deleted." if ended.ok else f"{name} cannot be deleted."

    @tool
    def run_tests(self, only: str = "") -> str:
        """Run the tests in the workspace.

        Args:
            only: Run only tests whose name holds this text; empty runs all.
        """
        if not only.isprintable() or len(only) > 100:
            raise ToolError("only: give a part of a test's name.")
        self.state.runs += 1
        if self.state.runs > RUNS_PER_ACTION:
            raise ToolError(f"An action runs the tests at most {RUNS_PER_ACTION} times.")
        said = workspace.run_tests(self.box, only)
        self.state.tested = True
        self._look()
        return said

    @tool
    def done(self) -> str:
        """Say that the fault is mended; this ends the episode."""
        self.state.ended = True
        self.finish()
        return "The package is handed in."

    def checks(self) -> Iterable[Verdict]:
        """What the judge found; see the class."""
        mutant, outcomes = mutant_of(self.task), self.state.outcomes
        for test in mutant.failing:
            why = outcomes[test].why
            yield Verdict.of(
                f"fixes {test}", not why, evidence=why or "passes", weight=1 / len(mutant.failing)
            )
        shown = [test for each in probes_of(mutant.project, False) for test in each.expected]
        kept = [outcomes[test] for test in shown if test not in mutant.failing]
        yield all_pass("keeps passing", kept, weight=0.5)
        hidden = [outcomes[test] for each in probes_of(mutant.project, True) for test in each.expected]
        lost = [outcome for outcome in hidden if not outcome.passed]
        evidence = f"{len(hidden) - len(lost)} of {len(hidden)} cases pass"
        score = 1 - len(lost) / len(hidden)
        yield Verdict.of("held out", not lost, evidence=evidence, score=score, weight=0.5)
        strays = self._strays()
        evidence = f"changed: {', '.join(strays[:5])}" if strays else "only sources, if any, were changed"
        yield Verdict.of("allowed files", not strays, evidence=evidence, weight=0.25)

    def oracle(self) -> Action | None:
        """Run the tests, read the faulty file, then take back whatever differs from the sound package, the
        fault itself by an edit; when nothing does, call done. Works from any state."""
        if self.state.ended:
            return None
        mutant, files = mutant_of(self.task), self.state.found.files
        if not self.state.tested:
            return Action.call("run_tests")
        sound = project(mutant.project).workspace
        for path in [*self.state.found.others, *sorted(set(files) - set(sound))]:
            return Action.call("delete_file", path=path)
        for path, text in sorted(sound.items()):
            if files.get(path) == text.encode():
                continue
            if path == mutant.path and files.get(path) == mutant.source.encode():
                if path not in self.state.read:
                    return Action.call("read_file", path=path)
                old, new = snippets(mutant)
                return Action.call("edit_file", path=path, old=old, new=new)
            return Action.call("write_file", path=path, content=text)
        return Action.call("done")

    def close(self) -> None:
        """Close both sandboxes."""
        if self._judge is not None:
            self._judge.close()
            self._judge = None
        super().close()

    def _name(self, path: str) -> str:
        return workspace.place(path).removeprefix(f"{WORKSPACE}/")

    def _existing(self, path: str) -> str:
        name = self._name(path)
        if name not in self.state.found.files:
            raise ToolError(
                f"There is no file {name!r}. Files: {', '.join(sorted(self.state.found.files)[:40])}."
            )
        return name

    def _written(self, name: str, text: str) -> str:
        if len(text) > workspace.MAX_WRITTEN:
            raise ToolError(f"A file has at most {workspace.MAX_WRITTEN} characters.")
        self.box.write(workspace.place(name), text.encode("utf-8", "replace"))
        self._look()
        return f"{name} is written."

    def _look(self) -> None:
        """See what the files are now, and have their sources judged."""
        self.state.found = workspace.taken(self.box)
        name = self.task.family
        files = self.state.found.files
        held = [path for path in project(name).sources if path in files]
        sources = {path: files[path].decode(errors="replace") for path in held}
        key = (name, tuple(sources.items()))
        if key not in self._judged:
            if self._judge is None:
                self._judge = self.fresh(workspace.SPEC)
            self._judged[key] = judge(self._judge, name, sources)
            if len(self._judged) > _REMEMBERED:
                self._judged.popitem(last=False)
        self.state.outcomes = self._judged[key]

    def _strays(self) -> list[str]:
        """Files outside of the sources that were changed, added or removed."""
        whole, found = project(self.task.family), self.state.found
        changed = [path for path, text in whole.fixed.items() if found.files.get(path) != text.encode()]
        added = [path for path in found.files if path not in whole.workspace]
        more = [] if found.whole else ["more than can be read"]
        return sorted({*changed, *added, *found.others}) + more
