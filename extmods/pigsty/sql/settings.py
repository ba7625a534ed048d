"""Values of parameters as ``ALTER ROLE … SET`` and ``ALTER DATABASE … SET`` store them."""

from __future__ import annotations

#: Parameters whose value is a list of names: PostgreSQL's GUC_LIST_QUOTE (an extension can't add
#: one). Written as one text, ``a, b`` would become a single name with a comma in it.
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)


def is_list(name: str) -> bool:
    """Tell whether a parameter's value is a list of quoted names."""
    return name.lower() in _LISTS


def elements(value: str) -> list[str]:
    """Split a list of names; quotes (double or single) protect commas and case.

    Args:
        value: as a person writes it or PostgreSQL stores it: ``"$user", public``.

    Returns:
        The names without quotes; unquoted ones in lower case, as PostgreSQL folds them.
    """
    found: list[str] = []
    current, quoted, quote = "", False, ""
    position = 0
    while position < len(value):
        char = value[position]
        if quote:
            if char != quote:
                current += char
            elif value[position + 1 : position + 2] == quote:
                current += quote
                position += 1
            else:
                quote = ""
        elif char in "\"'" and not current.strip():
            current, quoted, quote = "", True, char
        elif char == ",":
            found.append(current if quoted else current.strip().lower())
            current, quoted = "", False
        elif not (quoted and char.isspace()):
            current += char
        position += 1
    found.append(current if quoted else current.strip().lower())
    return [name for name in found if name]


def same(name: str, one: str, other: str) -> bool:
    """Tell whether two values of a parameter mean the same list, or are the same text."""
    if is_list(name):
        return elements(one) == elements(other)
    return one == other
