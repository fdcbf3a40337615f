"""A suite with every leak there can be between its splits: see `KIND`."""

from typing import ClassVar

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.tools import tool

INTRODUCTION = "You are a careful clerk. Read the story, then answer with one word and nothing else."
WORDS = (
    "the grey heron walks slowly along river banks and looks for small silver fish every morning while "
    "people on their way to work stop to watch it stand on one leg and never catch anything before noon"
)


class Leaky(AgenticEnv):
    """Read a story."""

    suite = "leaky"
    fork: ClassVar = "copy"

    def begin(self, task: Task) -> str:
        self.state = ""
        return f"{INTRODUCTION} {task.payload['story']}"

    @tool
    def answer(self, word: str) -> str:
        """Answer.

        Args:
            word: The word.
        """
        self.state = word
        self.finish()
        return "Done."

    def oracle(self) -> Action | None:
        return None if self.state else Action.call("answer", word=self.task.payload["gold"])

    def checks(self) -> list[Verdict]:
        return [Verdict.of("right", self.state == self.task.payload["gold"], evidence=self.state)]

    @classmethod
    def secrets(cls, task: Task) -> list[str]:
        return [task.payload["gold"]]

    @classmethod
    def tasks(cls, split: Split, leak: str = "none") -> list[Task]:
        """`leak`: none, family, twice, near, gold, hidden (a task there twice, but for what is never seen) or
        goal (one opening for all)."""
        side = str(split)
        stories = {f"{side}-{i}": _story(side, i) for i in range(30)}
        if leak == "twice":
            stories[f"{side}-3"] = WORDS
        if leak == "hidden":
            stories[f"{side}-3"] = "Say it."
        if leak == "goal":
            stories = dict.fromkeys(stories, "Say it.")
        if leak == "near":
            stories[f"{side}-3"] = WORDS if split is Split.TRAIN else WORDS.replace("noon", "dusk")
        if leak == "gold" and split is Split.TEST:
            stories["test-4"] += " Zanzibar!"
        return [
            Task(
                name,
                "leaky",
                split,
                "shared" if leak == "family" and name.endswith("-5") else name,
                payload={"story": story, "gold": "Zanzibar"}
                | ({"serial": name} if leak in ("hidden", "goal") else {}),
            )
            for name, story in stories.items()
        ]


def _story(side: str, number: int) -> str:
    """A story of its own: no five words in a row are in another."""
    return " ".join(f"{side}{number}word{place}" for place in range(20))
