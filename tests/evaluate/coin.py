"""A suite whose tasks are won with a known probability: draw a number below the task's share of a hundred."""

from typing import ClassVar

from trace_gym.core.check import Verdict
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool

SHARES = (0, 0, 0, 50, 100, 100)


class Coin(AgenticEnv):
    """Draw a low number."""

    suite = "coin"
    chance: ClassVar[float] = 0.5

    def begin(self, task: Task) -> str:
        self.state: list[int] = []
        return f"Task {task.id}: draw a number from 0 to 99."

    @tool
    def draw(self, number: int) -> str:
        """Draw a number.

        Args:
            number: What was drawn.
        """
        self.state.append(number)
        self.finish()
        return "Done."

    def checks(self) -> list[Verdict]:
        won = any(number < self.task.payload["share"] for number in self.state)
        return [Verdict.of("low", won, evidence=str(self.state))]

    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        return [
            Task(f"{i}-{share}", "coin", split, str(i), payload={"share": share}, limits=Limits(2))
            for i, share in enumerate(SHARES * 5)
        ]
