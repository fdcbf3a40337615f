

def show(found):
    """Lines, the most frequent word first."""
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0])
    return "\n".join(f"{n} {word}" for word, n in ranked)
