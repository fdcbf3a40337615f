"""Keys in order of use: a doubly linked list with a table, so that every operation takes constant time."""


class Link:
    """One key with its neighbours."""

    def __init__(self, key):
        self.key = key
        self.older = None
        self.newer = None


class Chain:
    """Keys from the oldest to the newest, each at most once."""

    def __init__(self):
        self._links = {}
        self._oldest = None
        self._newest = None

    def __len__(self):
        return len(self._links)

    def __contains__(self, key):
        return key in self._links

    def keys(self):
        """All keys, the oldest first."""
        found = []
        link = self._oldest
        while link is not None:
            found.append(link.key)
            link = link.newer
        return found

    def oldest(self):
        """The key that was used longest ago; None if there is none."""
        return self._oldest.key if self._oldest is not None else None

    def push(self, key):
        """Make a key the newest, whether it was there or not."""
        if key in self._links:
            self.drop(key)
        link = Link(key)
        self._links[key] = link
        if self._newest is None:
            self._oldest = link
        else:
            self._newest.newer = link
            link.older = self._newest
        self._newest = link

    def drop(self, key):
        """Take a key out; a KeyError if it is not there."""
        link = self._links.pop(key)
        if link.older is None:
            self._oldest = link.newer
        else:
            link.older.newer = link.newer
        if link.newer is None:
            self._newest = link.older
        else:
            link.newer.older = link.older
