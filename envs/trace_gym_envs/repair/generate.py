"""Writes the index of verified mutants: `python -m trace_gym_envs.repair.generate`.

A mutant is kept if at least one of the tests that are shown fails and at least one passes, and no test runs
out of time. Of a project at most `MOST` are kept, taken from the operators in turn, so that rare operators
are not lost among frequent ones, and from each operator in an order that spreads over the files. Everything
is decided by the files alone. Leaves out reading the index (see `faults`).
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, get_args

from trace_gym.core.sandbox import Sandbox
from trace_gym.environment.sandbox import Kind, provider
from trace_gym_envs.repair.faults import INDEX, Mutant
from trace_gym_envs.repair.grader import judge, probes_of
from trace_gym_envs.repair.operators import mutations
from trace_gym_envs.repair.projects import TEST_PROJECTS, TRAIN_PROJECTS, project
from trace_gym_envs.repair.workspace import SPEC

MOST: Final = 60


def candidates(name: str) -> Iterator[Mutant]:
    """Unverified mutants of a project: the operators in turn, each spread over the files."""
    by_operator: dict[str, list[Mutant]] = defaultdict(list)
    for path, source in sorted(project(name).sources.items()):
        for operator, edit in mutations(source):
            old = source[edit.start : edit.end]
            by_operator[operator].append(Mutant(name, path, operator, edit, old, ()))
    queues = [sorted(found, key=_shuffled) for _, found in sorted(by_operator.items())]
    while any(queues):
        for queue in queues:
            if queue:
                yield queue.pop(0)


def verified(box: Sandbox, mutant: Mutant) -> Mutant | None:
    """The mutant with its failing tests, if it makes a task."""
    outcomes = judge(box, mutant.project, mutant.sources())
    if any("ran out of time" in outcome.why for outcome in outcomes.values()):
        return None
    shown = [test for each in probes_of(mutant.project, False) for test in each.expected]
    failing = tuple(test for test in shown if not outcomes[test].passed)
    if not failing or len(failing) == len(shown):
        return None
    return Mutant(mutant.project, mutant.path, mutant.operator, mutant.edit, mutant.old, failing)


def entry(box: Sandbox, name: str, most: int = MOST) -> dict[str, Any]:
    """What the index says of a project."""
    kept: list[Mutant] = []
    for candidate in candidates(name):
        found = verified(box, candidate)
        if found is not None:
            kept.append(found)
        if len(kept) == most:
            break
    kept.sort(key=lambda mutant: (mutant.path, mutant.edit.start, mutant.id))
    return {"digest": project(name).digest, "mutants": [mutant.json() for mutant in kept]}


def main(kind: Kind, names: Sequence[str]) -> None:
    """Write the entries of the named projects, of all where none is named, with a kind of sandbox."""
    index = json.loads(INDEX.read_text("utf-8")) if INDEX.exists() and names else {}
    box = provider(kind).open(SPEC)
    try:
        for name in names or TRAIN_PROJECTS + TEST_PROJECTS:
            index[name] = entry(box, name)
            print(f"{name}: {len(index[name]['mutants'])} mutants", flush=True)
    finally:
        box.close()
    INDEX.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n", "utf-8")


def _shuffled(mutant: Mutant) -> bytes:
    return blake2b(mutant.id.encode(), digest_size=8).digest()


if __name__ == "__main__":
    parser = ArgumentParser(description="Write the index of verified mutants.")
    parser.add_argument("projects", nargs="*", help="write only these; default: all")
    parser.add_argument("--sandbox", choices=get_args(Kind), default="auto", help="what to run tests in")
    asked = parser.parse_args()
    main(asked.sandbox, asked.projects)
