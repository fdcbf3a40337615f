"""Whole configuration files."""

from inidoc.lines import BadLine, classify

DEFAULTS = "defaults"


class Document:
    """Sections of key-value pairs, in the order in which they were written."""

    def __init__(self):
        self._sections = {}

    @classmethod
    def read(cls, text):
        """A document from its text. Raises BadLine."""
        document = cls()
        section, key = "", None
        for number, line in enumerate(text.splitlines(), start=1):
            kind, *held = classify(line, number)
            if kind == "section":
                section, key = held[0], None
                document._sections.setdefault(section, {})
            elif kind == "pair":
                key = held[0]
                document.put(section, key, held[1])
            elif kind == "more":
                if key is None:
                    raise BadLine(number, "there is nothing to continue")
                document.put(section, key, document.get(section, key) + "\n" + held[0])
            elif kind == "blank":
                key = None
        return document

    def sections(self):
        """The names of all sections, in order."""
        return list(self._sections)

    def keys(self, section):
        """The keys of a section, in order, without those of the defaults."""
        return list(self._sections.get(section, {}))

    def put(self, section, key, value):
        """Set a value; the section is made where there is none."""
        self._sections.setdefault(section, {})[key] = value

    def get(self, section, key, default=None):
        """A value: the section's own, else that of the defaults, else the default."""
        own = self._sections.get(section, {})
        if key in own:
            return own[key]
        return self._sections.get(DEFAULTS, {}).get(key, default)

    def remove(self, section, key):
        """Take a pair out. Was it there? A section without pairs stays."""
        if section not in self._sections or key not in self._sections[section]:
            return False
        del self._sections[section][key]
        return True

    def merge(self, other):
        """Take over all pairs of another document, which win."""
        for section in other.sections():
            self._sections.setdefault(section, {})
            for key in other.keys(section):
                self.put(section, key, other.get(section, key))

    def write(self):
        """The text of the document; `read` reads it back."""
        parts = []
        for section, pairs in self._sections.items():
            lines = [f"[{section}]"] if section else []
            for key, value in pairs.items():
                padded = value != value.strip() or " #" in value
                shown = f'"{value}"' if padded else value.replace("\n", "\n    ")
                lines.append(f"{key} = {shown}")
            parts.append("\n".join(lines) + "\n")
        return "\n".join(parts)
