"""The tutorial suite with numbers so small that a hardly trained model finds some of them."""

from typing import ClassVar

from trace_gym.core.task import Limits, Split, Task
from trace_gym_envs.guess import GuessNumber


class Easy(GuessNumber):
    suite = "easy"
    chance = 0.9
    vocabulary: ClassVar = (
        *("guess", "Find", "the", "number", "between", "and", "Higher.", "Lower."),
        *"12345678",
        *(f"{size}." for size in range(3, 9)),
    )

    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        pairs = [(size, goal) for size in range(3, 9) for goal in range(1, size + 1)]
        own = pairs[::4] if split is Split.TEST else [pair for i, pair in enumerate(pairs) if i % 4]
        return [
            Task(f"{s}-{n}", "easy", split, f"{s}-{n}", payload={"size": s, "goal": n}, limits=Limits(3))
            for s, n in own
        ]
