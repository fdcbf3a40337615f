"""Text to paragraphs and words."""


def paragraphs(text):
    """The paragraphs of a text, each a list of words; blank lines divide them."""
    found = []
    words = []
    for line in text.split("\n"):
        parts = line.split()
        if parts:
            words.extend(parts)
        elif words:
            found.append(words)
            words = []
    if words:
        found.append(words)
    return found


def cut(word, width):
    """The pieces of a word that fit the width; all but the last end with a hyphen."""
    if width < 2:
        raise ValueError("a width of at least 2 is needed to cut words")
    pieces = []
    while len(word) > width:
        pieces.append(word[: width - 1] + "-")
        word = word[width - 1 :]
    pieces.append(word)
    return pieces


def fitting(words, width):
    """The words, with those that are too long cut to pieces."""
    result = []
    for word in words:
        result.extend(cut(word, width) if len(word) > width else [word])
    return result


def shorten(text, width, mark="..."):
    """A text on one line, no longer than the width; whole words are left out at its end, and a mark says
    so."""
    words = text.split()
    line = " ".join(words)
    if len(line) <= width:
        return line
    while words and len(" ".join(words)) + len(mark) + 1 > width:
        words.pop()
    return " ".join([*words, mark]) if words else mark[:width]
