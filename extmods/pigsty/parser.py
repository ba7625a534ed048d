"""The shape of an inventory: groups within groups, hosts in them, variables in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pigsty import catalogue as catalogue_module
from pigsty.errors import InventoryError
from pigsty.findings import Finding
from pigsty.reader import MAX_DEPTH, Lines, Reader, compose, join, line_of, too_deep
from pigsty.shape import Group, Host, Inventory, Variable
from pigsty.types import NULLS, of_number

_GROUP_KEYS = ("hosts", "vars", "children")
_PRIORITY = "ansible_group_priority"


@dataclass(slots=True)
class _Group:
    """A group while it is being read: it may stand in several places of the file."""

    name: str
    path: str
    line: int
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    parents: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    """A host while it is being read."""

    ip: str
    path: str
    line: int
    groups: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)


class Parser:
    """Reads one inventory; an object lives for one file."""

    def __init__(self, text: str, file: str, checksum: str) -> None:
        self._file, self._checksum = file, checksum
        self._catalogue = catalogue_module.load()
        self._root, nodes = compose(text)
        self._reader = Reader(self._catalogue, nodes)
        self._findings = self._reader.findings
        self._groups: dict[str, _Group] = {}
        self._hosts: dict[str, _Host] = {}

    def parse(self) -> Inventory:
        """Return the inventory.

        Raises:
            InventoryError: the text is no inventory, or its groups contain each other.
        """
        root = self._root
        if root is None or _is_null(root):
            raise InventoryError("the file is empty", hint="start with a copy of an example")
        if not isinstance(root, MappingNode):
            raise InventoryError(
                f"the file holds {_kind(root)}, not a mapping",
                line=line_of(root),
                hint="an inventory starts with `all:`",
            )
        entries = list(self._reader.entries(root, ""))
        if "all" not in (key for key, _, _ in entries):
            known = ", ".join(key for key, _, _ in entries[:5])
            raise InventoryError(
                f"there is no key `all` at the top (there is: {known})",
                line=line_of(root),
                hint="an inventory starts with `all:`, which holds `vars` and `children`",
            )
        # `all` first: whatever else stands at the top is a child of it, as in Ansible.
        for name, line, node in sorted(entries, key=lambda entry: entry[0] != "all"):
            self._group(name, node, name, line, "" if name == "all" else "all", 0)
        return self._finish()

    def _group(self, name: str, node: Node, path: str, line: int, parent: str, depth: int) -> None:
        """Read a group and all below it."""
        if depth > MAX_DEPTH:
            raise too_deep(path, line)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name, path, line)
        if parent:
            group.parents[parent] = None
            self._groups[parent].children[name] = None
        if _is_null(node):
            return
        if not isinstance(node, MappingNode):
            self._error(path, line, f"a group must be a mapping, not {_kind(node)}", _SHAPE)
            return
        for key, key_line, value in self._reader.entries(node, path):
            here = f"{path}.{key}"
            if key not in _GROUP_KEYS:
                self._stray(name, key, here, key_line)
            elif _is_null(value):
                continue
            elif not isinstance(value, MappingNode):
                self._error(
                    here, key_line, f"`{key}` must be a mapping, not {_kind(value)}", _SHAPE
                )
            elif key == "vars":
                group.variables.update(self._variables(value, here))
            elif key == "hosts":
                self._read_hosts(value, here, group)
            else:
                for child, child_line, child_node in self._reader.entries(value, here):
                    self._group(child, child_node, f"{here}.{child}", child_line, name, depth + 1)

    def _stray(self, group: str, key: str, path: str, line: int) -> None:
        """Report a key in a group that is none of hosts, vars and children."""
        where = "vars" if key in self._catalogue else "children" if group == "all" else ""
        hint = f"put it under `{where}`" if where else "a group has `hosts`, `vars` and `children`"
        self._error(path, line, f"`{key}` means nothing here", hint)

    def _read_hosts(self, node: MappingNode, path: str, group: _Group) -> None:
        """Read the hosts of a group with their variables."""
        for ip, line, value in self._reader.entries(node, path):
            here = f"{path}.{ip}"
            host = self._hosts.get(ip)
            if host is None:
                host = self._hosts[ip] = _Host(ip, here, line)
            host.groups[group.name] = None
            group.hosts[ip] = None
            if _is_null(value):
                continue
            if not isinstance(value, MappingNode):
                self._error(
                    here, line, f"a host's variables must be a mapping, not {_kind(value)}",
                    "write `10.10.10.10: { pg_seq: 1 }`",
                )  # fmt: skip
                continue
            for name, variable in self._variables(value, here).items():
                known = host.variables.get(name)
                if known is not None and known.value != variable.value:
                    self._warning(
                        variable.path, variable.line,
                        f"{name} of {ip} is set here and, to another value, in line {known.line}",
                        "the variables of a host are merged over its groups: set it once",
                    )  # fmt: skip
                host.variables[name] = variable

    def _variables(self, node: MappingNode, path: str) -> dict[str, Variable]:
        """Read variables, each under its current name; the current name wins over a former one."""
        out: dict[str, Variable] = {}
        former: dict[str, str] = {}
        for key, line, value_node in self._reader.entries(node, path):
            name = self._catalogue.canonical(key)
            variable = self._variable(key, value_node, join(path, key), line)
            loser = ""
            if key == name:
                loser = former.pop(name, "")
                lost = out.get(name)
            else:
                text = f"{key} is called {name} here"
                self._warning(variable.path, line, text, f"rename it to {name}")
                beside = name in out and name not in former
                loser, lost = (key, variable) if beside else ("", None)
            if loser and lost is not None:
                self._warning(
                    lost.path, lost.line,
                    f"{loser} is ignored, because {name} stands beside it", f"remove {loser}",
                )  # fmt: skip
                if lost is variable:
                    continue
            if key != name:
                former[name] = key
            out[name] = variable
        return out

    def _variable(self, key: str, node: Node, path: str, line: int) -> Variable:
        """Read one variable by its declared type; the values of former names are translated."""
        lines: Lines = {}
        parameter = self._catalogue.get(key)
        if parameter is None:
            return Variable(self._reader.value(node, "any", path, (), lines), path, line, lines)
        table = parameter.translations.get(key)
        if table is not None:
            value = self._reader.value(node, "any", path, (), lines)
            if isinstance(value, str | bool | int):
                value = table.get(value, value)
            return Variable(value, path, line, lines)
        value = self._reader.value(node, parameter.type, path, parameter.choices, lines)
        if parameter.numbers and isinstance(value, int):
            meant = of_number(value, parameter.numbers)
            self._warning(
                path, line,
                f"{parameter.name} is no number since Pigsty 4; {value} is taken as {meant}",
                f"write `{parameter.name}: {meant}`",
            )  # fmt: skip
            value = meant
        return Variable(value, path, line, lines)

    def _finish(self) -> Inventory:
        """Order the groups and freeze everything."""
        depths = self._depths()
        groups: dict[str, Group] = {}
        for name, group in self._groups.items():
            variables = dict(group.variables)
            priority = variables.pop(_PRIORITY, None)
            number = priority.value if priority is not None else 1
            if not isinstance(number, int) and priority is not None:
                self._error(priority.path, priority.line, f"{_PRIORITY} must be a number", "")
            groups[name] = Group(
                name=name,
                hosts=tuple(group.hosts),
                children=tuple(group.children),
                parents=tuple(group.parents),
                priority=number if isinstance(number, int) else 1,
                variables=variables,
                path=group.path,
                line=group.line,
                depth=depths[name],
            )
        for name in sorted(groups, key=lambda name: depths[name]):
            above = {a: None for parent in groups[name].parents for a in groups[parent].ancestors}
            groups[name] = replace(groups[name], ancestors=(*above, name))
        hosts = {
            ip: Host(ip, tuple(host.groups), host.variables, host.path, host.line)
            for ip, host in self._hosts.items()
        }
        findings = sorted(self._findings, key=lambda finding: finding.line or 0)
        return Inventory(self._file, self._checksum, hosts, groups, tuple(findings))

    def _depths(self) -> Mapping[str, int]:
        """Return each group's longest way down from ``all``.

        Raises:
            InventoryError: a group contains itself.
        """
        waiting = {name: len(group.parents) for name, group in self._groups.items()}
        depths = dict.fromkeys(self._groups, 0)
        ready = [name for name, count in waiting.items() if count == 0]
        while ready:
            name = ready.pop()
            for child in self._groups[name].children:
                depths[child] = max(depths[child], depths[name] + 1)
                waiting[child] -= 1
                if waiting[child] == 0:
                    ready.append(child)
        stuck = [name for name, count in waiting.items() if count]
        if stuck:
            group = self._groups[stuck[0]]
            raise InventoryError(
                f"the groups {', '.join(stuck[:5])} contain each other",
                path=group.path,
                line=group.line,
                hint="take one of them out of the other's `children`",
            )
        return depths

    def _error(self, path: str, line: int | None, message: str, hint: str) -> None:
        """Note an error."""
        self._findings.append(Finding("error", path, line, message, hint))

    def _warning(self, path: str, line: int | None, message: str, hint: str) -> None:
        """Note a warning."""
        self._findings.append(Finding("warning", path, line, message, hint))


_SHAPE = "a group has `hosts`, `vars` and `children`, each a mapping"


def _is_null(node: Node) -> bool:
    """Return whether a node is YAML's null."""
    return isinstance(node, ScalarNode) and not node.style and node.value in NULLS


def _kind(node: Node) -> str:
    """Name the kind of a node for a message."""
    if isinstance(node, SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, MappingNode) else "a single value"
