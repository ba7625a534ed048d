"""YAML text to plain values, with the line of every key and the declared types applied.

It composes nodes with libyaml and turns them into values itself: the types that the catalogue
declares decide what a scalar means (:mod:`pigsty.types`), every duplicate key is noticed, and
size, depth and the expansion of aliases are bounded, so that no file can exhaust the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pigsty.catalogue import Catalogue
from pigsty.errors import InventoryError
from pigsty.findings import Finding
from pigsty.types import field_of, item_type, scalar

#: Bounds; each is far above any real inventory (10,000 hosts make 2 MB).
MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100
#: Values after the expansion of aliases: so many in any case, and so many times those in the file.
FREE_VALUES, MAX_EXPANSION = 100_000, 10
_PREFIX = "tag:yaml.org,2002:"
_STRING_TAGS = ("", "!", _PREFIX + "str")
_PLAIN_TAGS = tuple(_PREFIX + name for name in ("int", "float", "bool", "null"))
_COLLECTION_TAGS = ("", "!", _PREFIX + "map", _PREFIX + "seq")

Lines = dict[tuple[str | int, ...], int]


class _TooDeep(Exception):
    """The composer went deeper than the bound, at this node or below."""


class _Composer(CParser):
    """libyaml's composer, with no implicit types (scalars stay text) and a bound on its depth.

    The composer is recursive C code, which would end the process on a deep enough file; it calls
    ``descend_resolver`` on its way down into each node, and there the depth is counted.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self.count = 0

    def descend_resolver(self, parent: Node | None, _index: Any) -> None:
        """Count a level down."""
        self._depth += 1
        self.count += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep(line_of(parent) if parent is not None else None)

    def ascend_resolver(self) -> None:
        """Count a level up."""
        self._depth -= 1

    def resolve(self, _kind: type[Node], _value: Any, _implicit: Any) -> str:
        """Return the tag of a node that has none of its own: none."""
        return ""


def line_of(node: Node) -> int:
    """Return the line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def compose(text: str) -> tuple[Node | None, int]:
    """Return the root node of a YAML text (None when it holds nothing) and the number of nodes.

    Raises:
        InventoryError: it is not YAML, holds several documents, or nests too deeply.
    """
    try:
        composer = _Composer(text)
        root: Node | None = composer.get_single_node()
    except _TooDeep as error:
        raise too_deep("", error.args[0]) from error
    except yaml.YAMLError as error:
        raise _syntax_error(error, text) from error
    return root, composer.count


def _syntax_error(error: yaml.YAMLError, text: str) -> InventoryError:
    """Turn the parser's complaint into one with a line, a column and a hint."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or getattr(error, "reason", "") or error)
    if mark is None:
        return InventoryError(f"not valid YAML: {problem}")
    line = mark.line + 1
    if "nesting depth" in problem:  # libyaml's own bound, which brackets without end reach first
        return too_deep("", line)
    lines = text.split("\n")
    source = lines[mark.line] if mark.line < len(lines) else ""
    if "expected a single document" in str(getattr(error, "context", "")) + problem:
        return InventoryError(
            "the file holds several YAML documents",
            line=line,
            hint="keep one; remove the line `---` in the middle",
        )
    hint = "look at the line and the one above it for a missing colon, quote or indentation"
    indentation = source[: len(source) - len(source.lstrip())]
    if "\t" in indentation:
        problem, hint = "a tab in the indentation", "indent with blanks"
    elif "alias" in problem:
        hint = "define the anchor (&name) above its first use (*name)"
    elif "{{" in source:
        hint = 'quote values that start with {{: key: "{{ value }}"'
    return InventoryError(
        f"not valid YAML: {problem} (column {mark.column + 1})", line=line, hint=hint
    )


class Reader:
    """Turns nodes into values and collects what it notices.

    Args:
        catalogue: where the types of objects' fields stand.
        nodes: how many nodes the file has, which bounds what its aliases may expand to.

    Attributes:
        findings: duplicate keys and the like, in the order of the file.
    """

    def __init__(self, catalogue: Catalogue, nodes: int) -> None:
        self.catalogue = catalogue
        self.findings: list[Finding] = []
        self._left = FREE_VALUES + nodes * MAX_EXPANSION

    def entries(self, node: Node, path: str, depth: int = 0) -> Iterator[tuple[str, int, Node]]:
        """Yield (key, line, value node) of a mapping; merge keys are resolved, duplicates reported.

        The last of several equal keys counts, as in Ansible; each is an error finding nonetheless.
        """
        if node.tag not in _COLLECTION_TAGS:
            raise _odd_tag(node, path)
        own: dict[str, tuple[int, Node]] = {}
        merged: dict[str, tuple[int, Node]] = {}
        for key_node, value_node in node.value:
            self._spend(key_node)
            if not isinstance(key_node, ScalarNode):
                raise _odd_key(key_node, path)
            key, line = key_node.value, line_of(key_node)
            if key == "<<" and not key_node.style:
                for source in self._merge_sources(value_node, path, depth + 1):
                    for inherited, inherited_line, inherited_node in self.entries(
                        source, path, depth + 1
                    ):
                        merged.setdefault(inherited, (inherited_line, inherited_node))
                continue
            if key in own:
                self.findings.append(
                    Finding(
                        "error",
                        join(path, key),
                        line,
                        f"the key {key!r} stands here and in line {own[key][0]}",
                        "keep one of them",
                    )
                )
            own[key] = (line, value_node)
        for key, (line, value_node) in merged.items():
            if key not in own:
                yield key, line, value_node
        for key, (line, value_node) in own.items():
            yield key, line, value_node

    def _merge_sources(self, node: Node, path: str, depth: int) -> list[MappingNode]:
        """Return the mappings that a merge key names, the winning one first."""
        if depth > MAX_DEPTH:
            raise too_deep(path, line_of(node))
        nodes = node.value if isinstance(node, SequenceNode) else [node]
        for source in nodes:
            if not isinstance(source, MappingNode):
                raise InventoryError(
                    "a merge key (<<) needs a mapping or a list of mappings",
                    path=join(path, "<<"),
                    line=line_of(node),
                )
        return list(nodes)

    def value(
        self,
        node: Node,
        kind: str,
        path: str,
        choices: tuple[Any, ...] = (),
        lines: Lines | None = None,
        place: tuple[str | int, ...] = (),
    ) -> Any:
        """Return the plain value of a node.

        Args:
            node: what was composed.
            kind: the declared type.
            path: dotted path of the node in the file.
            choices: the allowed values of an ``enum``.
            lines: filled with the line of every key and item below, by its place.
            place: where the node stands below its variable.

        Raises:
            InventoryError: too deep, too large, a custom tag, or a key that is no text.
        """
        self._spend(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, kind, path, choices)
        if len(place) > MAX_DEPTH:
            raise too_deep(path, line_of(node))
        if isinstance(node, SequenceNode):
            if node.tag not in _COLLECTION_TAGS:
                raise _odd_tag(node, path)
            inner, items = item_type(kind), []
            for index, item in enumerate(node.value):
                spot = (*place, index)
                if lines is not None:
                    lines[spot] = line_of(item)
                items.append(self.value(item, inner, f"{path}[{index}]", (), lines, spot))
            return items
        out: dict[str, Any] = {}
        for key, line, value_node in self.entries(node, path, len(place)):
            spot = (*place, key)
            if lines is not None:
                lines[spot] = line
            found = field_of(kind, key, self.catalogue)
            out[key] = self.value(
                value_node, found.type, join(path, key), found.choices, lines, spot
            )
        return out

    def _scalar(self, node: ScalarNode, kind: str, path: str, choices: tuple[Any, ...]) -> Any:
        """Return the value of a scalar node; an explicit tag of YAML's own wins over the type."""
        if node.tag in _STRING_TAGS:
            return scalar(node.value, not node.tag and not node.style, kind, choices)
        if node.tag in _PLAIN_TAGS:
            return scalar(node.value, True, "any")
        raise _odd_tag(node, path)

    def _spend(self, node: Node) -> None:
        """Count a value; an alias counts at each use, which is what makes a bomb of aliases big."""
        self._left -= 1
        if self._left < 0:
            raise InventoryError(
                "the aliases in the file expand to far more than the file holds",
                line=line_of(node),
                hint="remove the aliases (*name) that repeat each other",
            )


def join(path: str, key: str) -> str:
    """Return the dotted path of a key below another."""
    return f"{path}.{key}" if path else key


def too_deep(path: str, line: int | None) -> InventoryError:
    """Explain nesting beyond the bound: an anchor that contains itself, or brackets without end."""
    return InventoryError(
        f"nests more than {MAX_DEPTH} levels deep",
        path=".".join(path.split(".")[:6]),
        line=line,
        hint="look for an anchor that contains itself, or for a bracket that is never closed",
    )


def _odd_key(node: Node, path: str) -> InventoryError:
    """Explain a key that is a mapping or a list: nearly always a template without quotes."""
    hint = 'quote values that start with {{: key: "{{ value }}"'
    return InventoryError("a key must be text", path=path, line=line_of(node), hint=hint)


def _odd_tag(node: Node, path: str) -> InventoryError:
    """Explain a tag that only Ansible knows."""
    tag = str(node.tag)
    if tag == "!vault":
        return InventoryError(
            "Ansible Vault values can't be read here",
            path=path,
            line=line_of(node),
            hint="decrypt it with `ansible-vault decrypt`, and encrypt it with GPG instead",
        )
    return InventoryError(
        f"the tag {tag.replace(_PREFIX, '!!')} is not supported",
        path=path,
        line=line_of(node),
        hint="write the value without a tag",
    )
