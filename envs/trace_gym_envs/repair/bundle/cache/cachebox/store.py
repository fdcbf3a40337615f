"""The cache itself."""

from cachebox.chain import Chain


class Cache:
    """At most `capacity` entries; the least recently used one makes room for a new one.

    Time is a number of ticks, which the caller moves with `tick`. Expired entries are gone at once.
    """

    def __init__(self, capacity, lifetime=None):
        if capacity < 1:
            raise ValueError("a cache holds at least one entry")
        self.capacity = capacity
        self.lifetime = lifetime
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self._now = 0
        self._chain = Chain()
        self._values = {}
        self._ends = {}

    def __len__(self):
        return len(self._chain)

    def keys(self):
        """The keys, the least recently used first."""
        return self._chain.keys()

    def put(self, key, value, lifetime=None):
        """Store a value as the newest entry; `lifetime` in ticks overrides the cache's own."""
        if key not in self._chain and len(self._chain) >= self.capacity:
            self.drop(self._chain.oldest())
            self.evicted += 1
        self._chain.push(key)
        self._values[key] = value
        ticks = self.lifetime if lifetime is None else lifetime
        if ticks is None:
            self._ends.pop(key, None)
        else:
            self._ends[key] = self._now + ticks

    def get(self, key, default=None):
        """The value of a key, which becomes the newest; the default where there is none."""
        if key not in self._chain:
            self.misses += 1
            return default
        self.hits += 1
        self._chain.push(key)
        return self._values[key]

    def peek(self, key, default=None):
        """The value of a key, without counting or moving it."""
        if key in self._chain:
            return self._values[key]
        return default

    def drop(self, key):
        """Forget a key; False if it was not there."""
        if key not in self._chain:
            return False
        self._chain.drop(key)
        del self._values[key]
        self._ends.pop(key, None)
        return True

    def tick(self, ticks=1):
        """Let time pass; entries whose end has come are gone. Returns how many went."""
        if ticks < 0:
            raise ValueError("time does not run backwards")
        self._now += ticks
        ended = [key for key, end in self._ends.items() if end <= self._now]
        for key in ended:
            self.drop(key)
        return len(ended)
