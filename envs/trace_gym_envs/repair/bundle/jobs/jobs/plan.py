"""Jobs, what they need, and in which order they run."""

from jobs.heap import Heap


class Circle(ValueError):
    """Jobs that wait for each other."""


class Plan:
    """A set of jobs. A need may be named before it is added, but must be there when the order is asked
    for."""

    def __init__(self):
        self._priority = {}
        self._needs = {}
        self._cost = {}

    def add(self, name, priority=0, needs=(), cost=1):
        """Add a job; a ValueError if there is one of that name, or its cost is not positive."""
        if name in self._priority:
            raise ValueError(f"{name} is there already")
        if cost <= 0:
            raise ValueError("a job costs something")
        self._priority[name] = priority
        self._needs[name] = tuple(needs)
        self._cost[name] = cost

    def names(self):
        """All jobs as they were added."""
        return list(self._priority)

    def needs(self, name):
        """The jobs that must have run before."""
        return self._needs[name]

    def order(self):
        """All jobs: each after its needs, of those that can run the one of highest priority, else the older
        one."""
        waiting = self._waiting()
        ready = Heap()
        for name in self.names():
            if waiting[name] == 0:
                ready.push(-self._priority[name], name)
        found = []
        while len(ready):
            name = ready.pop()
            found.append(name)
            for follower in self._followers(name):
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    ready.push(-self._priority[follower], follower)
        if len(found) < len(self._priority):
            raise Circle(", ".join(sorted(set(self._priority) - set(found))))
        return found

    def levels(self):
        """Rounds of jobs that can run at the same time; in a round they are sorted by name."""
        depth = {}
        for name in self.order():
            depth[name] = max((depth[need] + 1 for need in self._needs[name]), default=0)
        rounds = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for name in sorted(depth):
            rounds[depth[name]].append(name)
        return rounds

    def shortest(self):
        """The cost of the longest chain of needs: no number of workers is done sooner."""
        ends = {}
        for name in self.order():
            start = max((ends[need] for need in self._needs[name]), default=0)
            ends[name] = start + self._cost[name]
        return max(ends.values(), default=0)

    def _waiting(self):
        for name, needs in self._needs.items():
            for need in needs:
                if need not in self._priority:
                    raise KeyError(f"{name} needs {need}, which is not there")
        return {name: len(set(needs)) for name, needs in self._needs.items()}

    def _followers(self, name):
        return [job for job, needs in self._needs.items() if name in needs]
