"""The compact rendering: chains of small sums in a closed vocabulary, worked out one value at a time.

A sheet says, out of order, how one name leads to another and which name is asked for; some lines lead
nowhere: `b times 3 d ; a minus 2 e ; d answer ; a plus 4 b ; a 9`. It ends with the first value: a is 9. A
turn repeats a line with what comes out, `plus 4 2 b` (numbers go round from 10 to 0). That is noted, right
or wrong, and nobody says which; later turns build on it, so every turn decides. One word a symbol, and what
was noted last is said again, so that the three parts of a sum stand side by side, `a 9 plus 4`, where its
result is to be said: a model of a million parameters learns the sums there, and not from further apart.
Leaves out prose, which the full suite has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from random import Random
from typing import Annotated, ClassVar, Final

from pydantic import Field

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tasks import LazyTasks
from trace_gym.environment.tools import tool

SIZE: Final = 11  # a prime: whatever is done to evenly spread values leaves them evenly spread
NAMES: Final = tuple("abcdefghijkl")
OPERATIONS: Final = ("plus", "minus", "times")
OPERANDS: Final = (2, 3, 4, 5)
LONGEST: Final = 5
SPARE: Final = 2
PER_LENGTH: Final = 20_000
HELD_OUT: Final = 4
ANSWER, STOP, NONE, ANSWERED = "answer", ";", "none", "answered"

COMPACT_VOCABULARY: Final[tuple[str, ...]] = (
    *(str(number) for number in range(SIZE)),
    *NAMES,
    *OPERATIONS,
    *(ANSWER, STOP, NONE, ANSWERED),
)

Operand = Annotated[int, Field(ge=OPERANDS[0], le=OPERANDS[-1])]
Name = Annotated[str, Field(pattern=".*", examples=list(NAMES))]
Value = Annotated[int, Field(ge=0, lt=SIZE)]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the sheet: from `base`, by an operation with `number`, comes `name`."""

    base: str
    operation: str
    number: int
    name: str

    def value(self, before: int) -> int:
        """What the name stands for where its base stands for `before`."""
        match self.operation:
            case "plus":
                return (before + self.number) % SIZE
            case "minus":
                return (before - self.number) % SIZE
            case _:
                return (before * self.number) % SIZE


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a task gives: the lines as shown, the first name with its value, the name asked for; `chain` holds
    the lines that lead from the first name to the last, `values` what they come to."""

    lines: tuple[Line, ...]
    first: str
    given: int
    asked: str
    chain: tuple[Line, ...]
    values: Mapping[str, int]
    place: int

    @classmethod
    def of(cls, task: Task) -> Sheet:
        """Read a task's payload."""
        payload = task.payload
        lines = tuple(Line(*line) for line in payload["lines"])
        by_name = {line.name: line for line in lines}
        chain: list[Line] = []
        name = payload["asked"]
        while name in by_name:
            chain.insert(0, by_name[name])
            name = by_name[name].base
        values = {name: payload["given"]}
        for line in chain:
            values[line.name] = line.value(values[line.base])
        return cls(lines, name, payload["given"], payload["asked"], tuple(chain), values, payload["place"])

    @property
    def text(self) -> str:
        """The sheet in words; the question stands at its `place` among the lines."""
        parts = [f"{line.base} {line.operation} {line.number} {line.name} {STOP}" for line in self.lines]
        parts.insert(self.place, f"{self.asked} {ANSWER} {STOP}")
        return " ".join([*parts, self.first, str(self.given)])


@dataclass(slots=True)
class Notes:
    """The values noted so far, the name of the last of them, and the answer."""

    values: dict[str, int]
    latest: str
    answered: int | None = None


class ReasoningCompact(AgenticEnv):
    """Chains of one to five sums, worked out one by one. Families are the sequences of operations, so that
    those of the test split were never seen in this order.

    `chance` is that of noting any value at all for the name that is asked for."""

    suite, chance, brief = "reasoning_compact", 0.091, True
    vocabulary: ClassVar[tuple[str, ...]] = COMPACT_VOCABULARY
    state: Notes
    _read: tuple[Task, Sheet] | None = None

    def begin(self, task: Task) -> str:
        """The sheet."""
        self.state = Notes({self.sheet.first: self.sheet.given}, self.sheet.first)
        return self.sheet.text

    @tool
    def plus(self, number: Operand, value: Value, name: Name) -> str:
        """Note what a line with plus comes to; a later note replaces it.

        Args:
            number: The number of the line.
            value: What comes out.
            name: The name that the line leads to.
        """
        return self._noted("plus", number, name=name, value=value)

    @tool
    def minus(self, number: Operand, value: Value, name: Name) -> str:
        """Note what a line with minus comes to; a later note replaces it.

        Args:
            number: The number of the line.
            value: What comes out.
            name: The name that the line leads to.
        """
        return self._noted("minus", number, name=name, value=value)

    @tool
    def times(self, number: Operand, value: Value, name: Name) -> str:
        """Note what a line with times comes to; a later note replaces it.

        Args:
            number: The number of the line.
            value: What comes out.
            name: The name that the line leads to.
        """
        return self._noted("times", number, name=name, value=value)

    @tool
    def answer(self) -> str:
        """Answer with the value noted for the name that is asked for."""
        noted = self.state.values.get(self.sheet.asked)
        if noted is None:
            return f"{NONE} {self._last()}"
        self.state.answered = noted
        self.finish()
        return ANSWERED

    def available(self) -> Sequence[ToolSpec]:
        """The operations show the numbers and names of the sheet's lines as their examples."""
        return tuple(_shown(spec, self.sheet.lines) for spec in self.toolbox())

    def checks(self) -> Iterable[Verdict]:
        """One per line of the chain: is the right value noted? And the answer."""
        sheet = self.sheet
        for step, line in enumerate(sheet.chain):
            noted, right = self.state.values.get(line.name), sheet.values[line.name]
            evidence = f"{line.name} is {right}, noted {noted}"
            yield Verdict.of(f"step_{step}", noted == right, evidence=evidence, weight=0.2, required=False)
        given, right = self.state.answered, sheet.values[sheet.asked]
        if given is None:
            yield Verdict("answer", Status.SKIPPED, 0.0, "no answer yet")
        else:
            yield Verdict.of("answer", given == right, evidence=f"answered {given}, the answer is {right}")

    def oracle(self) -> Action | None:
        """Note the first value of the chain that is not noted rightly; when all are, answer."""
        if self.state.answered is not None:
            return None
        for line in self.sheet.chain:
            right = self.sheet.values[line.name]
            if self.state.values.get(line.name) != right:
                return Action.call(line.operation, number=line.number, value=right, name=line.name)
        return Action.call(ANSWER)

    @classmethod
    def tasks(cls, split: Split, *, longest: int = LONGEST, spare: int = SPARE) -> Sequence[Task]:
        """Chains of up to `longest` operations, the lengths in turn (subsets `1-step` ..., for testing from
        `2-step` on), with so many `spare` lines that lead nowhere. Raises BadConfig."""
        if not 2 <= longest <= LONGEST:
            raise BadConfig(f"longest must lie between 2 and {LONGEST}, got {longest}")
        if not 0 <= spare <= SPARE:
            raise BadConfig(f"spare must lie between 0 and {SPARE}, got {spare}")
        lengths = [length for length in range(1, longest + 1) if _families(length, split)]

        def make(index: int) -> Task:
            number, place = divmod(index, len(lengths))
            families = _families(lengths[place], split)
            number, family = divmod(number, len(families))
            return _task(split, families[family], number, spare)

        return LazyTasks(PER_LENGTH * len(lengths), make)

    @property
    def sheet(self) -> Sheet:
        """The sheet of this episode; kept as long as the task is the same."""
        if self._read is None or self._read[0] is not self.task:
            self._read = self.task, Sheet.of(self.task)
        return self._read[1]

    def _noted(self, operation: str, number: int, *, name: str, value: int) -> str:
        """Note a value where the sheet has such a line, and its base has been noted."""
        for line in self.sheet.lines:
            if (line.operation, line.number, line.name) == (operation, number, name):
                if line.base not in self.state.values:
                    break
                self.state.values[name], self.state.latest = value, name
                return self._last()
        return f"{NONE} {self._last()}"

    def _last(self) -> str:
        """What was noted last, which every sum but one after a detour goes on from."""
        return f"{self.state.latest} {self.state.values[self.state.latest]}"


def _shown(spec: ToolSpec, lines: Sequence[Line]) -> ToolSpec:
    """A tool with the numbers and names of its lines as examples; as it was, where it has no lines."""
    own = [line for line in lines if line.operation == spec.name]
    if not own:
        return spec
    properties = dict(spec.parameters["properties"])
    properties["number"] = {**properties["number"], "examples": sorted({line.number for line in own})}
    properties["name"] = {**properties["name"], "examples": sorted({line.name for line in own})}
    return replace(spec, parameters={**spec.parameters, "properties": properties})


@cache
def _families(length: int, split: Split) -> tuple[tuple[str, ...], ...]:
    """The sequences of `length` operations that belong to a split: of all in a fixed random order, every
    fourth is for testing; those of one operation are all for training."""
    found = list(product(OPERATIONS, repeat=length))
    Random(length).shuffle(found)
    held_out = found[HELD_OUT - 1 :: HELD_OUT] if length > 1 else []
    return tuple(family for family in found if (family in held_out) is (split is Split.TEST))


def _task(split: Split, family: tuple[str, ...], number: int, spare: int) -> Task:
    name = "-".join(family)
    identity = f"{name}/{number}" if spare == SPARE else f"{name}/{number}/{spare}"
    rng = Random(identity)
    names = rng.sample(NAMES, len(family) + 1 + spare)
    chain, others = names[: len(family) + 1], names[len(family) + 1 :]
    lines = [
        [base, operation, rng.choice(OPERANDS), this]
        for base, this, operation in zip(chain, chain[1:], family, strict=False)
    ]
    lines += [[rng.choice(chain[:-1]), rng.choice(OPERATIONS), rng.choice(OPERANDS), this] for this in others]
    rng.shuffle(lines)
    payload = {
        "lines": lines,
        "given": rng.randrange(SIZE),
        "asked": chain[-1],
        "place": rng.randrange(len(lines) + 1),
    }
    return Task(
        id=identity,
        suite=ReasoningCompact.suite,
        split=split,
        family=name,
        subset=f"{len(family)}-step",
        payload=payload,
        limits=Limits(max_turns=2 * len(family) + 4),
    )
