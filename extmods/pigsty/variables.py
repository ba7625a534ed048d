"""The variables of a host: catalogue default < all < group < host, rendered when somebody looks.

Nothing is computed for a host that nobody asks about: the identity of all hosts comes from one
pass over raw values, everything else waits for its first access.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty import catalogue as catalogue_module
from pigsty.catalogue import Parameter
from pigsty.errors import TemplateError
from pigsty.shape import Inventory, Variable
from pigsty.template import needs_rendering, render
from pigsty.tokens import has_token, substitute
from pigsty.types import coerce, of_number

#: The parameters that say what a host is.
IDENTITY = (
    "pg_cluster", "pg_seq", "pg_role", "etcd_cluster", "etcd_seq", "infra_seq", "minio_cluster",
    "minio_seq", "redis_cluster", "redis_node", "nodename", "node_cluster", "node_id_from_pg",
)  # fmt: skip

#: Names under which inventories since 3 refer to the operating system's own defaults.
DEFAULTS = {
    "repo_packages_default": "repo_packages",
    "repo_extra_packages_default": "repo_extra_packages",
    "repo_upstream_default": "repo_upstream",
    "node_packages_default": "node_default_packages",
    "infra_packages_default": "infra_packages",
}


class Deployment:
    """What the variables of all hosts share.

    Attributes:
        inventory: where the variables come from.
        catalogue: where the defaults and types come from.
        admin_ip: address of the admin node: the declared one, else that of the first infra node.
        groups: the hosts of each group, children included, by group name.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.catalogue = catalogue_module.load()
        self._vars: dict[str, HostVars] = {}
        self._shared: dict[tuple[str, ...], dict[str, Variable]] = {}
        self._identities: dict[tuple[str, ...], dict[str, Variable]] = {}
        self._plain: dict[int, bool] = {}
        self.groups = self._members()
        self.admin_ip = self._admin_ip()

    def vars(self, ip: str) -> HostVars:
        """Return the variables of a host; the same object each time."""
        found = self._vars.get(ip)
        if found is None:
            found = self._vars[ip] = HostVars(ip, self)
        return found

    def shared(self, ip: str) -> Mapping[str, Variable]:
        """Return what a host's groups say, merged by precedence, without its own variables."""
        groups = self.inventory.hosts[ip].groups
        found = self._shared.get(groups)
        if found is None:
            found = self._shared[groups] = {}
            for name in self.inventory.chain(groups):
                found.update(self.inventory.groups[name].variables)
        return found

    def is_plain(self, value: Any) -> bool:
        """Return whether a value is the same for every host: no template and no token in it.

        The answer is kept for lists and mappings, which many hosts share; they live as long as the
        inventory and the catalogue do.
        """
        if not isinstance(value, list | dict):
            return not needs_rendering(value) and not has_token(value)
        found = self._plain.get(id(value))
        if found is None:
            found = not needs_rendering(value) and not has_token(value)
            self._plain[id(value)] = found
        return found

    def identity(self, ip: str) -> dict[str, Any]:
        """Return the identity parameters of a host, without computing its other variables."""
        host = self.inventory.hosts[ip]
        shared = self._identities.get(host.groups)
        if shared is None:
            shared = self._identities[host.groups] = {}
            for name in self.inventory.chain(host.groups):
                variables = self.inventory.groups[name].variables
                shared.update({key: variables[key] for key in IDENTITY if key in variables})
        out = {}
        for key in IDENTITY:
            variable = host.variables.get(key) or shared.get(key)
            if variable is None:
                out[key] = self.catalogue[key].default
            elif needs_rendering(variable.value):
                out[key] = self._rendered(ip, key)
            else:
                out[key] = variable.value
        return out

    def _rendered(self, ip: str, key: str) -> Any:
        """Return an identity parameter that is a template; None when it can't be rendered."""
        try:
            return self.vars(ip)[key]
        except TemplateError:
            return None  # whoever reads the variable gets the error; validation reads them all

    def _members(self) -> dict[str, tuple[str, ...]]:
        """Return the hosts of each group, those of its children included."""
        members: dict[str, dict[str, None]] = {name: {} for name in self.inventory.groups}
        for group in self.inventory.groups.values():
            for above in group.ancestors:
                members[above].update(dict.fromkeys(group.hosts))
        return {name: tuple(hosts) for name, hosts in members.items()}

    def _admin_ip(self) -> str:
        """Return the address of the admin node."""
        declared = self.inventory.groups["all"].variables.get("admin_ip")
        if declared is not None and isinstance(declared.value, str) and declared.value:
            return declared.value
        for ip, host in self.inventory.hosts.items():
            if "infra_seq" in host.variables:
                return ip
        return next(iter(self.inventory.hosts), "")


class HostVars(Mapping[str, Any]):
    """The variables of one host by their current names; former names work for access too.

    Values are kept after the first access and shared: whoever needs to change one makes a copy.
    """

    __slots__ = ("_deployment", "_own", "_raw", "_values", "ip")

    def __init__(self, ip: str, deployment: Deployment) -> None:
        self.ip = ip
        self._deployment = deployment
        self._own = deployment.inventory.hosts[ip].variables
        self._raw: Mapping[str, Variable] | None = None
        self._values: dict[str, Any] = {}

    @property
    def raw(self) -> Mapping[str, Variable]:
        """The host's variables as the inventory gives them, merged, without defaults."""
        if self._raw is None:
            self._raw = {**self._deployment.shared(self.ip), **self._own}
        return self._raw

    @property
    def declared(self) -> frozenset[str]:
        """Names that the inventory sets for this host (the rest are defaults)."""
        return frozenset(self.raw)

    def __getitem__(self, name: str) -> Any:
        """Return a variable's value.

        Raises:
            KeyError: neither the inventory nor the catalogue knows the name.
            TemplateError: the value is a template that can't be rendered.
        """
        return self._get(name, ())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names: the catalogue's, then those that only the inventory has."""
        catalogue = self._deployment.catalogue
        yield from (parameter.name for parameter in catalogue.parameters)
        yield from (name for name in self.raw if name not in catalogue)

    def __len__(self) -> int:
        """Count the names."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Return whether a name is known, without rendering its value."""
        return (
            name in self._deployment.catalogue
            or name in self._own
            or name in self._deployment.shared(self.ip)
        )

    def __repr__(self) -> str:
        """Show the host only: values may be secret."""
        return f"<variables of {self.ip}>"

    def _get(self, name: str, active: tuple[tuple[str, str], ...]) -> Any:
        """Return a value; ``active`` holds the (host, name) pairs that are being rendered."""
        if name in self._values:
            return self._values[name]
        parameter = self._deployment.catalogue.get(name)
        if parameter is not None and parameter.name != name:
            return self._get(parameter.name, active)
        variable = self._own.get(name) or self._deployment.shared(self.ip).get(name)
        if variable is None and parameter is None:
            raise KeyError(name)
        value = variable.value if variable is not None else parameter.default if parameter else None
        if name == "admin_ip" and value is None:
            value = self._deployment.admin_ip
        if not self._deployment.is_plain(value):
            value = self._render(name, value, parameter, variable, active)
        self._values[name] = value
        return value

    def _render(
        self,
        name: str,
        value: Any,
        parameter: Parameter | None,
        variable: Variable | None,
        active: tuple[tuple[str, str], ...],
    ) -> Any:
        """Return a value with its templates and tokens replaced."""
        path, line = (variable.path, variable.line) if variable else (f"(default of {name})", None)
        if (self.ip, name) in active:
            cycle = " → ".join(entry[1] for entry in (*active, (self.ip, name)))
            raise TemplateError(
                f"{name} refers to itself: {cycle}", path=path, line=line, hint="break the cycle"
            )

        def lookup(other: str) -> Any:
            return self._lookup(other, (*active, (self.ip, name)))

        if needs_rendering(value):
            value = render(value, lookup, path, line)
            if parameter is not None:
                value = coerce(value, parameter.type, self._deployment.catalogue, parameter.choices)
                if parameter.numbers and isinstance(value, int):
                    value = of_number(value, parameter.numbers)
        return substitute(name, value, self.ip, lookup)

    def _lookup(self, name: str, active: tuple[tuple[str, str], ...]) -> Any:
        """Return what a name means in a template: a variable of the host, or one of Ansible's."""
        if name in self:
            return self._get(name, active)
        if name in ("inventory_hostname", "inventory_hostname_short", "ansible_host"):
            return self.ip
        if name == "groups":
            return {group: list(hosts) for group, hosts in self._deployment.groups.items()}
        if name == "group_names":
            inventory = self._deployment.inventory
            chain = inventory.chain(inventory.hosts[self.ip].groups)
            return sorted(group for group in chain if group != "all")
        if name == "hostvars":
            return _AllHosts(self._deployment, active)
        known = self._deployment.catalogue.get(DEFAULTS.get(name, ""))
        if known is not None:
            return known.default
        raise KeyError(name)


class _AllHosts(Mapping[str, Mapping[str, Any]]):
    """``hostvars`` of a template: the variables of every host, still lazy."""

    def __init__(self, deployment: Deployment, active: tuple[tuple[str, str], ...]) -> None:
        self._deployment, self._active = deployment, active

    def __getitem__(self, ip: str) -> Mapping[str, Any]:
        if ip not in self._deployment.inventory.hosts:
            raise KeyError(ip)
        return _Chained(self._deployment.vars(ip), self._active)

    def __iter__(self) -> Iterator[str]:
        return iter(self._deployment.inventory.hosts)

    def __len__(self) -> int:
        return len(self._deployment.inventory.hosts)


class _Chained(Mapping[str, Any]):
    """The variables of another host, which remember what is being rendered (to notice a cycle)."""

    def __init__(self, variables: HostVars, active: tuple[tuple[str, str], ...]) -> None:
        self._variables, self._active = variables, active

    def __getitem__(self, name: str) -> Any:
        return self._variables._lookup(name, self._active)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
