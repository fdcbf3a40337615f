

def count(text):
    """Words and how often they come."""
    found = {}
    for word in text.lower().split():
        found[word] = found.get(word, 0) + 1
    return found
