"""Access privileges in PostgreSQL's text form: ``{owner=UC/owner,=U/owner,"my role"=C/owner}``.

They are read here and not by ``aclexplode``, as that makes the first query of a session, which
every database needs anew, three times as expensive.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Letters of an ``aclitem`` ("ACL Privilege Abbreviations" in PostgreSQL's manual).
_LETTERS = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
}


def grants(text: str | None) -> Iterator[tuple[str, str]]:
    """Yield grantee and privilege of each grant; everybody is ``public``.

    Args:
        text: an ``aclitem[]`` as text, None for the default (which grants others nothing, but for
            databases, functions and types).
    """
    for item in _elements(text or "{}"):
        name, letters = _split(item)
        for letter in letters.partition("/")[0]:
            # A star after a letter is its grant option; letters of later releases are skipped.
            if letter in _LETTERS:
                yield name or "public", _LETTERS[letter]


def _elements(text: str) -> Iterator[str]:
    """The elements of an array's text; those with special characters are in double quotes."""
    current, quoted = "", False
    characters = iter(text[1:-1])
    for char in characters:
        if char == "\\":
            current += next(characters)
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            yield current
            current = ""
        else:
            current += char
    if current:
        yield current


def _split(item: str) -> tuple[str, str]:
    """The grantee of an item, without quotes, and the rest after the equals sign."""
    if not item.startswith('"'):
        name, _, rest = item.partition("=")
        return name, rest
    name, position = "", 1
    while True:
        end = item.index('"', position)
        name += item[position:end]
        if item[end + 1] != '"':
            return name, item[end + 2 :]
        # Two quotes stand for one.
        name, position = name + '"', end + 2
