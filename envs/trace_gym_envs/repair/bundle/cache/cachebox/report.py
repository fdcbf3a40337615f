"""What a cache has done, in numbers and in words."""


def hit_rate(cache):
    """The share of `get` calls that found something, in whole percent, rounded down; 0 before the first."""
    asked = cache.hits + cache.misses
    if asked == 0:
        return 0
    return 100 * cache.hits // asked


def fill(cache):
    """The share of the capacity that is in use, in whole percent, rounded down."""
    return 100 * len(cache) // cache.capacity


def line(cache):
    """One line about a cache."""
    state = "full" if len(cache) == cache.capacity else f"{fill(cache)}% full"
    evicted = f", {cache.evicted} evicted" if cache.evicted > 0 else ""
    return f"{len(cache)} of {cache.capacity} ({state}), {hit_rate(cache)}% hits{evicted}"


def coldest(cache, count=3):
    """The keys that would be evicted next, at most `count` of them."""
    return cache.keys()[:count]


def hottest(cache, count=3):
    """The keys that were used last, the newest first, at most `count` of them."""
    keys = cache.keys()
    keys.reverse()
    return keys[:count]
