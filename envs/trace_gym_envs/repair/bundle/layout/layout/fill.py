"""Words to lines."""

from layout.words import fitting, paragraphs


def break_lines(words, width):
    """Lists of words, each as many as fit the width with one blank between them."""
    lines = []
    line, used = [], 0
    for word in fitting(words, width):
        needed = len(word) if not line else used + 1 + len(word)
        if line and needed > width:
            lines.append(line)
            line, used = [word], len(word)
        else:
            line.append(word)
            used = needed
    if line:
        lines.append(line)
    return lines


def justify(words, width):
    """A line of exactly the width; a single word stands left."""
    if len(words) == 1:
        return words[0]
    gaps = len(words) - 1
    blanks = width - sum(len(word) for word in words)
    each, more = divmod(blanks, gaps)
    line = words[0]
    for number, word in enumerate(words[1:]):
        line += " " * (each + (1 if number < more else 0)) + word
    return line


def align(words, width, how="left"):
    """A line of text: `left`, `right`, `centre` (the odd blank stands right) or `justify`."""
    line = " ".join(words)
    if how == "left":
        return line
    if how == "right":
        return " " * (width - len(line)) + line
    if how == "centre":
        return " " * ((width - len(line)) // 2) + line
    if how == "justify":
        return justify(words, width)
    raise ValueError(f"unknown alignment {how!r}")


def fill(text, width, how="left", first="", rest=None):
    """A text set for a width, a blank line between paragraphs.

    `first` stands before the first line of each paragraph, `rest` (by default as many blanks) before the
    others.
    """
    indent = " " * len(first) if rest is None else rest
    room = width - max(len(first), len(indent))
    blocks = []
    for words in paragraphs(text):
        lines = break_lines(words, room)
        shown = []
        for number, line in enumerate(lines):
            last = number == len(lines) - 1
            style = "left" if how == "justify" and last else how
            shown.append((first if number == 0 else indent) + align(line, room, style))
        blocks.append("\n".join(shown))
    return "\n\n".join(blocks)
