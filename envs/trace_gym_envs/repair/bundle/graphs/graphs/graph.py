"""The graph itself."""


class Graph:
    """Nodes by name, with links to others. Weights must not be negative."""

    def __init__(self):
        self._links = {}

    def add(self, node):
        """Add a node without links, unless it is there."""
        self._links.setdefault(node, {})

    def link(self, start, end, weight=1, both=False):
        """Link two nodes, which are added where they are missing; `both` links back too."""
        if weight < 0:
            raise ValueError("a weight must not be negative")
        self.add(start)
        self.add(end)
        self._links[start][end] = weight
        if both:
            self._links[end][start] = weight

    def unlink(self, start, end):
        """Remove a link; False if there was none. The nodes stay."""
        if end not in self._links.get(start, {}):
            return False
        del self._links[start][end]
        return True

    def nodes(self):
        """All nodes, sorted."""
        return sorted(self._links)

    def neighbours(self, node):
        """The nodes that a node links to, sorted; a KeyError for an unknown node."""
        return sorted(self._links[node])

    def weight(self, start, end):
        """The weight of a link; None where there is none."""
        return self._links.get(start, {}).get(end)

    def links(self):
        """All links as (start, end, weight), sorted."""
        return sorted((a, b, w) for a, ends in self._links.items() for b, w in ends.items())

    def reversed(self):
        """A new graph with every link turned round."""
        turned = Graph()
        for node in self._links:
            turned.add(node)
        for start, end, weight in self.links():
            turned.link(end, start, weight)
        return turned

    def degree(self, node):
        """How many links begin at a node, and how many end there."""
        ending = sum(1 for ends in self._links.values() if node in ends)
        return (len(self._links[node]), ending)
