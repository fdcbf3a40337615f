"""Find a hidden number: the tutorial suite. Leaves out nothing; this is all that a suite needs."""

from random import Random

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool


class GuessNumber(AgenticEnv):
    """Find a hidden number; every wrong guess is answered with "Higher." or "Lower."."""

    suite, chance, brief = "guess", 0.1, True

    def begin(self, task: Task) -> str:
        self.state: list[int] = []  # the guesses so far
        return f"Find the number between 1 and {task.payload['size']}."

    @tool
    def guess(self, number: int) -> str:
        """Guess the number.

        Args:
            number: Your guess.
        """
        self.state.append(number)
        if number == self.task.payload["goal"]:
            self.finish()
            return "Correct."
        return "Higher." if number < self.task.payload["goal"] else "Lower."

    def checks(self) -> list[Verdict]:
        found = self.task.payload["goal"] in self.state
        return [Verdict.of("found", found, evidence=f"guesses: {self.state}")]

    def oracle(self) -> Action:
        goal, size = self.task.payload["goal"], self.task.payload["size"]
        below = max([0, *(n for n in self.state if n < goal)])
        above = min([size + 1, *(n for n in self.state if n > goal)])
        return Action.call("guess", number=(below + above) // 2)

    @classmethod
    def tasks(cls, split: Split) -> list[Task]:
        pairs = Random(0).sample([(s, n) for s in (10, 30, 100, 300, 1000) for n in range(1, s + 1)], 1440)
        own = pairs[:288] if split is Split.TEST else pairs[288:]
        return [Task(f"{s}-{n}", "guess", split, f"{s}-{n}", payload={"size": s, "goal": n}) for s, n in own]
