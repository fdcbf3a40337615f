"""An MCP server to try things on: a lending library. Run by `library.toml`; nothing here imports the gym.

Books are lent for fourteen days to members, two at a time; a book that is out may be reserved. All of its
state is in memory, and nothing depends on the time of day.
"""

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

BOOKS = {
    "Dune": "Frank Herbert",
    "Emma": "Jane Austen",
    "Ulysses": "James Joyce",
    "Persuasion": "Jane Austen",
    "Solaris": "Stanislaw Lem",
    "Momo": "Michael Ende",
}
MEMBERS = ("ann", "bob", "cleo")
MOST = 2
DAYS = 14

server = MCPServer("library", log_level="ERROR")
loans: dict[str, str] = {}
due: dict[str, int] = {}
reserved: dict[str, str] = {}
today = 0


def _known(title: str, member: str | None = None) -> None:
    if title not in BOOKS:
        raise ToolError(f"There is no book {title!r}.")
    if member is not None and member not in MEMBERS:
        raise ToolError(f"There is no member {member!r}; members: {', '.join(MEMBERS)}.")


@server.tool()
def search(words: str) -> str:
    """Books whose title or author holds the words, one a line, with where they are."""
    found = [title for title, author in BOOKS.items() if words.casefold() in f"{title} {author}".casefold()]
    lines = [f"{t} by {BOOKS[t]}: {'lent until day ' + str(due[t]) if t in loans else 'in'}" for t in found]
    return "\n".join(lines) or "Nothing found."


@server.tool()
def lend(member: str, title: str) -> str:
    """Lend a book to a member."""
    _known(title, member)
    if title in loans:
        raise ToolError(f"{title} is lent until day {due[title]}.")
    if reserved.get(title, member) != member:
        raise ToolError(f"{title} is reserved for {reserved[title]}.")
    if list(loans.values()).count(member) >= MOST:
        raise ToolError(f"{member} has {MOST} books already.")
    reserved.pop(title, None)
    loans[title], due[title] = member, today + DAYS
    return f"Lent until day {due[title]}."


@server.tool()
def give_back(title: str) -> str:
    """Take a book back."""
    _known(title)
    if loans.pop(title, None) is None:
        raise ToolError(f"{title} is not lent.")
    late = today - due.pop(title)
    return f"Back, {late} days late." if late > 0 else "Back."


@server.tool()
def reserve(member: str, title: str) -> str:
    """Keep a book that is lent for the member who is to have it next."""
    _known(title, member)
    if title not in loans:
        raise ToolError(f"{title} is in; lend it.")
    if title in reserved:
        raise ToolError(f"{title} is reserved for {reserved[title]}.")
    reserved[title] = member
    return "Reserved."


@server.tool()
def account(member: str) -> dict[str, int]:
    """The books that a member has, with the day they are due."""
    _known("Dune", member)
    return {title: due[title] for title, holder in loans.items() if holder == member}


@server.tool()
def ledger() -> dict[str, dict[str, str]]:
    """All loans and reservations; for checks."""
    return {"loans": dict(loans), "reserved": dict(reserved)}


@server.tool()
def restock(day: int = 0) -> str:
    """Everything back on the shelves, on that day; for the start of an episode."""
    global today
    today = day
    for shelf in (loans, due, reserved):
        shelf.clear()
    return "All in."


@server.tool()
def pass_days(days: int) -> str:
    """Let time go by; for the start of an episode."""
    global today
    today += days
    return f"It is day {today}."


if __name__ == "__main__":
    server.run("stdio")
