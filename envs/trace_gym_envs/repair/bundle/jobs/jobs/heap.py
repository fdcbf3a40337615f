"""A binary heap that keeps equal entries in the order in which they came."""


class Heap:
    """Entries with a rank; the smallest rank comes first. Invariant: no parent is larger than its
    children."""

    def __init__(self):
        self._items = []
        self._count = 0

    def __len__(self):
        return len(self._items)

    def push(self, rank, entry):
        """Put an entry in."""
        self._items.append((rank, self._count, entry))
        self._count += 1
        self._rise(len(self._items) - 1)

    def peek(self):
        """The first entry; an IndexError where there is none."""
        return self._items[0][2]

    def pop(self):
        """Take the first entry out; an IndexError where there is none."""
        first = self._items[0]
        last = self._items.pop()
        if self._items:
            self._items[0] = last
            self._sink(0)
        return first[2]

    def _rise(self, at):
        while at > 0:
            parent = (at - 1) // 2
            if self._items[parent][:2] <= self._items[at][:2]:
                return
            self._swap(parent, at)
            at = parent

    def _sink(self, at):
        while True:
            smallest = at
            for child in (2 * at + 1, 2 * at + 2):
                if child < len(self._items) and self._items[child][:2] < self._items[smallest][:2]:
                    smallest = child
            if smallest == at:
                return
            self._swap(smallest, at)
            at = smallest

    def _swap(self, one, other):
        self._items[one], self._items[other] = self._items[other], self._items[one]
