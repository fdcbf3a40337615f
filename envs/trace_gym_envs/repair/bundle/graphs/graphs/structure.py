"""Order, components and reachability."""

from heapq import heapify, heappop, heappush

from graphs.search import distances


def order(graph):
    """The nodes so that every link leads forward; of those that may come next, the smallest. A ValueError
    where there is a cycle."""
    waiting = {node: graph.degree(node)[1] for node in graph.nodes()}
    ready = [node for node, count in waiting.items() if count == 0]
    heapify(ready)
    found = []
    while ready:
        node = heappop(ready)
        found.append(node)
        for neighbour in graph.neighbours(node):
            waiting[neighbour] -= 1
            if waiting[neighbour] == 0:
                heappush(ready, neighbour)
    if len(found) != len(waiting):
        raise ValueError("the graph has a cycle")
    return found


def reachable(graph, start):
    """The nodes that can be reached from a node, sorted, itself among them."""
    return sorted(distances(graph, start))


def components(graph):
    """The sets of nodes that can reach each other, each sorted; sorted by their first node."""
    turned = graph.reversed()
    found, seen = [], set()
    for node in graph.nodes():
        if node in seen:
            continue
        both = set(reachable(graph, node)) & set(reachable(turned, node))
        seen |= both
        found.append(sorted(both))
    return found


def roots(graph):
    """The nodes that no link ends at, sorted."""
    return [node for node in graph.nodes() if graph.degree(node)[1] == 0]


def longest(graph):
    """The largest cost of a path in a graph without cycles; 0 where there are no links."""
    best = {}
    for node in reversed(order(graph)):
        best[node] = max((graph.weight(node, n) + best[n] for n in graph.neighbours(node)), default=0)
    return max(best.values(), default=0)
