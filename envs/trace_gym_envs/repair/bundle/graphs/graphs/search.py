"""Distances and paths."""

from collections import deque
from heapq import heappop, heappush


class NoPath(Exception):
    """There is no way from one node to another."""


def distances(graph, start, limit=None):
    """The number of links to every node that can be reached, at most `limit` of them."""
    found = {start: 0}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        if limit is not None and found[node] >= limit:
            continue
        for neighbour in graph.neighbours(node):
            if neighbour not in found:
                found[neighbour] = found[node] + 1
                queue.append(neighbour)
    return found


def cheapest(graph, start):
    """For every node that can be reached: its cost, and the node before it (None for the start)."""
    costs, before = {}, {}
    heap = [(0, start, None)]
    while heap:
        cost, node, previous = heappop(heap)
        if node in costs:
            continue
        costs[node] = cost
        before[node] = previous
        for neighbour in graph.neighbours(node):
            if neighbour not in costs:
                heappush(heap, (cost + graph.weight(node, neighbour), neighbour, node))
    return costs, before


def path(graph, start, end):
    """The cost of the cheapest path and its nodes. Raises NoPath."""
    costs, before = cheapest(graph, start)
    if end not in costs:
        raise NoPath(f"{end} cannot be reached from {start}")
    nodes = [end]
    while nodes[-1] != start:
        nodes.append(before[nodes[-1]])
    nodes.reverse()
    return costs[end], nodes


def farthest(graph, start):
    """The node whose cheapest path costs most; of several, the smallest name."""
    costs, _ = cheapest(graph, start)
    return min(costs, key=lambda node: (-costs[node], node))


def has_cycle(graph):
    """Is there a way from some node back to itself?"""
    state = {}
    for root in graph.nodes():
        if root in state:
            continue
        state[root] = "open"
        stack = [(root, iter(graph.neighbours(root)))]
        while stack:
            node, rest = stack[-1]
            neighbour = next(rest, None)
            if neighbour is None:
                state[node] = "closed"
                stack.pop()
            elif state.get(neighbour) == "open":
                return True
            elif neighbour not in state:
                state[neighbour] = "open"
                stack.append((neighbour, iter(graph.neighbours(neighbour))))
    return False
