"""What a rule gets: the topology, and questions that can't fail on a bad inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pigsty.catalogue import Catalogue, Parameter
from pigsty.errors import InventoryError
from pigsty.findings import Finding, Severity
from pigsty.rules.scalars import is_number
from pigsty.shape import Group, Host, Variable
from pigsty.topology import Node, Topology


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the file.

    Attributes:
        path: dotted path.
        line: line, counted from 1; None for the file as a whole.
        variable: the variable that it is or is in, if any.
        below: keys and indices from the variable to here.
    """

    path: str
    line: int | None = None
    variable: Variable | None = None
    below: tuple[str | int, ...] = ()

    @classmethod
    def of(cls, variable: Variable) -> Place:
        """Return the place of a variable."""
        return cls(variable.path, variable.line, variable)

    def inside(self, *steps: str | int) -> Place:
        """Return the place of something inside a variable, for example ``inside(2, "roles")``."""
        if self.variable is None:
            return self
        below = (*self.below, *steps)
        path, line = self.variable.place(*below)
        return Place(path, line, self.variable, below)


@dataclass(frozen=True, slots=True)
class Use:
    """A variable as it stands in the file once, and the hosts for which it is in force.

    Attributes:
        name: the current name.
        variable: value, path and line.
        hosts: addresses; empty when more specific values override it everywhere.
    """

    name: str
    variable: Variable
    hosts: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place.of(self.variable)

    @property
    def written(self) -> str:
        """The name as the file has it (it may be a former one)."""
        return self.variable.path.rpartition(".")[2]


class Context:
    """The inventory as the rules look at it.

    Args:
        topology: what the inventory declares.
        catalogue: the parameters.
    """

    def __init__(self, topology: Topology, catalogue: Catalogue) -> None:
        self.topology = topology
        self.catalogue = catalogue
        self.inventory = topology.inventory
        self._variables: dict[str, Mapping[str, Variable]] = {}
        self._clusters: dict[str, dict[str, list[Node]]] = {}

    @property
    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of the inventory."""
        return iter(self.topology.nodes.values())

    def variables(self, ip: str) -> Mapping[str, Variable]:
        """Return what the inventory says about a host, merged by precedence."""
        found = self._variables.get(ip)
        if found is None:
            found = self._variables[ip] = self.topology.nodes[ip].vars.raw
        return found

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every variable of the file once, with the hosts for which it is in force."""
        hosts: dict[int, list[str]] = {}
        seen: dict[int, tuple[str, Variable]] = {}
        scopes: list[Group | Host] = [*self.inventory.groups.values()]
        scopes += self.inventory.hosts.values()
        for scope in scopes:
            for name, variable in scope.variables.items():
                seen.setdefault(id(variable), (name, variable))
                hosts.setdefault(id(variable), [])
        for ip in self.inventory.hosts:
            for name, variable in self.variables(ip).items():
                seen.setdefault(id(variable), (name, variable))
                hosts.setdefault(id(variable), []).append(ip)
        return tuple(
            Use(self.catalogue.canonical(name), variable, tuple(hosts[key]))
            for key, (name, variable) in seen.items()
        )

    # -- values -------------------------------------------------------------------------------

    def value(self, node: Node, name: str) -> Any:
        """Return a parameter of a node; None when its template is broken (reported elsewhere)."""
        try:
            return node.vars.get(name)
        except InventoryError:
            return None

    def text(self, node: Node, name: str) -> str:
        """Return a parameter as text, "" when it is unset or of another type."""
        value = self.value(node, name)
        return value if isinstance(value, str) else ""

    def number(self, node: Node, name: str) -> int | None:
        """Return an integer parameter, None when it is unset or of another type."""
        value = self.value(node, name)
        return value if is_number(value) else None

    def flag(self, node: Node, name: str) -> bool:
        """Return a boolean parameter, False when it is unset or of another type."""
        return self.value(node, name) is True

    def objects(self, node: Node, name: str) -> list[tuple[Mapping[str, Any], Place]]:
        """Return the mappings of a list parameter with their places; other entries are left out."""
        value = self.value(node, name)
        if not isinstance(value, (list, tuple)):
            return []
        place = self.place(node, name)
        return [
            (entry, place.inside(index))
            for index, entry in enumerate(value)
            if isinstance(entry, Mapping)
        ]

    def declared(self, node: Node, name: str) -> bool:
        """Return whether the inventory sets the parameter for the node."""
        return name in self.variables(node.ip)

    def names(self, node: Node, *parameters: str) -> set[str]:
        """Return the ``name`` of every object in list parameters; a text is a name itself."""
        found: set[str] = set()
        for parameter in parameters:
            value = self.value(node, parameter)
            for entry in value if isinstance(value, (list, tuple)) else ():
                name = entry.get("name") if isinstance(entry, Mapping) else entry
                if isinstance(name, str):
                    found.add(name)
        return found

    def clusters(self, name: str) -> Mapping[str, list[Node]]:
        """Return the hosts by cluster, also those that lack a number or a role.

        Args:
            name: what makes a host a member: ``pg_cluster``, ``redis_cluster``, ``minio_cluster``.
        """
        found = self._clusters.get(name)
        if found is None:
            found = self._clusters[name] = {}
            for node in self.nodes:
                # A default (minio_cluster has one) makes nobody a member: only the inventory does.
                value = self.value(node, name) if self.declared(node, name) else None
                if isinstance(value, str) and value:
                    found.setdefault(value, []).append(node)
        return found

    # -- places -------------------------------------------------------------------------------

    def place(self, node: Node, name: str = "") -> Place:
        """Return where a node's parameter is set; the host's own place when it isn't."""
        variable = self.variables(node.ip).get(name)
        if variable is not None:
            return Place.of(variable)
        host = self.inventory.hosts[node.ip]
        return Place(host.path, host.line)

    def group(self, name: str) -> Place:
        """Return where a group stands; the whole inventory when there is none of that name."""
        group = self.inventory.groups.get(name)
        if group is None:
            group = self.inventory.groups["all"]
        return Place(group.path, group.line)

    def member(self, node: Node, home: str) -> Place:
        """Return the line of a host within the group that gives it a role.

        Args:
            node: the host; it may stand in several groups.
            home: the name of the group, or of a variable that the group sets (``pg_cluster``).
        """
        groups = self.inventory.groups
        for name in self.inventory.hosts[node.ip].groups:
            chain = [above for above in groups[name].ancestors if above != "all"]
            if home in chain or any(home in groups[above].variables for above in chain):
                return self.host_in(name, node.ip)
        return self.place(node)

    def host_in(self, group: str, ip: str) -> Place:
        """Return where a host stands in one of its groups."""
        found = self.inventory.groups[group]
        key = re.compile(rf"(?<![\d.:]){re.escape(ip)}['\"]?\s*:")
        lines = self._lines[found.line - 1 :]
        hits = (number for number, line in enumerate(lines, found.line) if key.search(line))
        return Place(f"{found.path}.hosts.{ip}", next(hits, found.line))

    @cached_property
    def _lines(self) -> list[str]:
        """The lines of the file; only findings about a host's second group need them."""
        try:
            return Path(self.inventory.file).read_text("utf-8").splitlines()
        except (OSError, ValueError):
            return []

    # -- findings -----------------------------------------------------------------------------

    def error(self, place: Place, message: str, hint: str = "") -> Finding:
        """Return an error at a place."""
        return self.finding("error", place, message, hint)

    def warning(self, place: Place, message: str, hint: str = "") -> Finding:
        """Return a warning at a place."""
        return self.finding("warning", place, message, hint)

    def finding(self, severity: Severity, place: Place, message: str, hint: str = "") -> Finding:
        """Return a finding at a place."""
        return Finding(severity, place.path, place.line, message, hint)

    def parameter(self, name: str) -> Parameter | None:
        """Return the catalogue's entry of a name."""
        return self.catalogue.get(name)
