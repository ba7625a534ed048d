"""HBA rules of PostgreSQL and PgBouncer: from aliases to lines, from the live role to a file.

The master turns rules into lines once (:func:`compile_rules`) and puts them with their role into
the pillar. The member asks its own Patroni who it is and keeps the lines that apply
(:func:`render`), so a failover makes no difference to what the master has to know.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty.errors import PillarError

#: Words that may stand for an address in a rule, with their meaning.
ADDR_ALIASES: Mapping[str, str] = {
    "local": "the unix socket",
    "localhost": "the unix socket and the loopback addresses",
    "admin": "the admin node",
    "infra": "every infra node",
    "cluster": "every member of the cluster",
    "intra": "every network of node_firewall_intranet",
    "intranet": "the same as intra",
    "world": "every address",
    "all": "the same as world",
}

#: Words that may stand for an authentication method: (type of a network line, method);
#: the method ``pwd`` is the cluster's password method (``pg_pwd_enc``).
AUTH_ALIASES: Mapping[str, tuple[str, str]] = {
    "deny": ("host", "reject"),
    "reject": ("host", "reject"),
    "trust": ("host", "trust"),
    "pwd": ("host", "pwd"),
    "ssl": ("hostssl", "pwd"),
    "sha": ("host", "scram-sha-256"),
    "scram-sha-256": ("host", "scram-sha-256"),
    "ssl-sha": ("hostssl", "scram-sha-256"),
    "md5": ("host", "md5"),
    "ssl-md5": ("hostssl", "md5"),
    "cert": ("hostssl", "cert"),
    "os": ("host", "ident"),
    "ident": ("host", "ident"),
    "peer": ("host", "peer"),
}

#: Roles that a rule may be limited to; ``common`` and ``default`` mean every member.
ROLES: tuple[str, ...] = (
    "common",
    "default",
    "primary",
    "replica",
    "offline",
    "standby",
    "delayed",
)
#: What a raw line may begin with.
_LINES = frozenset(
    {"local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"}
    | {"include", "include_if_exists", "include_dir"}
)
_POOLER_LINES = frozenset({"local", "host", "hostssl", "hostnossl"})
#: Methods of PgBouncer's HBA files.
_POOLER_METHODS = frozenset(
    {"trust", "reject", "md5", "password", "peer", "cert", "scram-sha-256", "ldap"}
)
#: A field of a line: names apart by commas, each perhaps in quotes.
_WORDS = re.compile(r'(?:"[^"]*"|[^\s,"])+(?:\s*,\s*(?:"[^"]*"|[^\s,"])+)*')
#: Those of :data:`ROLES` that every member has.
EVERYWHERE = frozenset({"common", "default"})


@dataclass(frozen=True, slots=True)
class Context:
    """What the aliases and tokens of a cluster's rules stand for.

    Attributes:
        users: the token names ``dbsu``, ``repl``, ``monitor`` and ``admin`` with the user names.
        admin: address of the admin node.
        infra: addresses of the infra nodes.
        cluster: addresses of the cluster's members.
        intranet: networks in CIDR form.
        password: method that ``pwd`` stands for.
    """

    users: Mapping[str, str]
    admin: str
    infra: tuple[str, ...]
    cluster: tuple[str, ...]
    intranet: tuple[str, ...]
    password: str = "scram-sha-256"  # noqa: S105


def compile_rules(
    rules: Iterable[Mapping[str, Any]], context: Context, *, pgbouncer: bool = False
) -> list[dict[str, Any]]:
    """Turn the rules of an inventory into lines.

    Args:
        rules: the defaults followed by the cluster's own, as the inventory has them.
        context: what aliases and tokens stand for.
        pgbouncer: write PgBouncer's dialect (``peer`` for ``ident``; no replication, no groups).

    Returns:
        ``{"role", "title", "lines"}`` per rule: those with an ``order`` first, by it; the others
        after them as they stand.

    Raises:
        PillarError: an unknown alias or role, or a combination that the server would refuse.
    """
    return [
        {
            "role": _role(rule),
            "title": " ".join(str(rule.get("title") or "").split()),
            "lines": _lines(rule, context, pgbouncer),
        }
        for rule in sorted(rules, key=order)
    ]


def roles_of(declared: str, live: str | None, offline_query: bool) -> frozenset[str]:
    """Return the rule roles that a member has now.

    Args:
        declared: ``pg_role`` of the inventory.
        live: what Patroni says (``primary``, ``standby_leader``, ``replica``); None: not yet known.
        offline_query: ``pg_offline_query``: the member serves offline queries besides its role.

    Returns:
        Roles of :data:`ROLES`, the common ones included. A live leader is ``primary`` whatever the
        inventory says; a follower keeps its declared kind of follower.
    """
    if live is None:
        own = declared
    elif live in ("primary", "master", "standby_leader"):
        own = "primary"
    else:
        own = "replica" if declared == "primary" else declared
    return EVERYWHERE | {own} | ({"offline"} if offline_query else set())


def render(rules: Sequence[Mapping[str, Any]], roles: frozenset[str]) -> str:
    """Return the text of an HBA file with the compiled rules that apply to a member's roles."""
    text = ["# Managed by Pigsty: change the HBA rules in the inventory instead.", ""]
    for rule in rules:
        if rule["role"] in roles:
            text += [f"# {rule['title'] or 'untitled'} [{rule['role']}]", *rule["lines"], ""]
    return "\n".join(text)


def order(rule: Mapping[str, Any]) -> tuple[bool, int]:
    """Return what a rule of the inventory is sorted by: those with an ``order`` come first."""
    given = rule.get("order")
    return (given is None, int(given) if given is not None else 0)


def _role(rule: Mapping[str, Any]) -> str:
    role = str(rule.get("role") or "common")
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise PillarError(f"HBA rule {_label(rule)}: unknown role {role!r}; known: {known}")
    return role


def _label(rule: Mapping[str, Any]) -> str:
    return repr(rule.get("title") or {k: rule[k] for k in ("user", "db", "addr") if k in rule})


def _lines(rule: Mapping[str, Any], context: Context, pgbouncer: bool) -> list[str]:
    if rule.get("rules"):
        raw = rule["rules"]
        entries = [raw] if isinstance(raw, str) else [str(entry) for entry in raw]
        lines = [line.strip() for entry in entries for line in entry.splitlines() if line.strip()]
        for line in lines:
            _check_raw(rule, line, pgbouncer)
        return lines
    user = _names(rule, "user", context)
    database = _names(rule, "db", context)
    if pgbouncer and "replication" in database.split(","):
        raise PillarError(f"HBA rule {_label(rule)}: PgBouncer passes no replication connections")
    if pgbouncer and any(name.startswith("+") for name in user.split(",")):
        raise PillarError(f"HBA rule {_label(rule)}: PgBouncer knows no groups (user {user})")
    connection, method = _auth(rule, context, pgbouncer)
    sockets, networks = _addresses(rule, context)
    # Methods that exist on one kind of connection only are left out where they mean nothing.
    if method == "peer":
        networks = []
    if method == "cert":
        sockets = False
    # `infra` may stand for nobody (a deployment without infra nodes): that is no mistake.
    if not sockets and not networks and rule.get("addr") != "infra":
        raise PillarError(
            f"HBA rule {_label(rule)}: authentication {rule.get('auth')!r} can't work "
            f"for address {rule.get('addr')!r}"
        )
    lines = []
    if sockets:
        lines.append(_line("local", database, user, "", "peer" if method == "ident" else method))
    lines += [_line(connection, database, user, network, method) for network in networks]
    return lines


def _check_raw(rule: Mapping[str, Any], line: str, pgbouncer: bool) -> None:
    """Refuse a raw line that its server would not take.

    PostgreSQL's own parser has the last word about its file. PgBouncer passes over a line that it
    doesn't understand, be it the one that keeps somebody out: so every word counts here.
    """
    words = _WORDS.findall(line.partition("#")[0])
    if not words:
        return
    kind = words[0]
    if kind not in (_POOLER_LINES if pgbouncer else _LINES):
        raise PillarError(
            f"HBA rule {_label(rule)}: {line!r} begins with {kind!r}, no kind of line"
        )
    if not pgbouncer:
        return
    at = 3 if kind == "local" else 4
    # An address may be followed by its mask.
    if kind != "local" and len(words) > at + 1 and words[at].count(".") == 3:
        at += 1
    method = words[at] if len(words) > at else ""
    if method not in _POOLER_METHODS:
        known = ", ".join(sorted(_POOLER_METHODS))
        raise PillarError(
            f"HBA rule {_label(rule)}: {line!r}: PgBouncer has no method {method!r}; known: {known}"
        )


def _line(connection: str, database: str, user: str, address: str, method: str) -> str:
    return f"{connection:<8} {database:<20} {user:<20} {address:<22} {method}"


def _names(rule: Mapping[str, Any], key: str, context: Context) -> str:
    value = rule.get(key)
    entries = value if isinstance(value, list) else [value if value not in (None, "") else "all"]
    names = []
    for entry in map(str, entries):
        if entry.startswith("${") and entry.endswith("}"):
            token = entry[2:-1]
            if token not in context.users:
                raise PillarError(f"HBA rule {_label(rule)}: unknown token {entry!r} in {key}")
            entry = context.users[token]
        if not entry.isprintable() or "#" in entry:
            raise PillarError(f"HBA rule {_label(rule)}: {key} {entry!r} is not a name")
        names.append(",".join(part.strip() for part in entry.split(",")))
    return ",".join(names)


def _auth(rule: Mapping[str, Any], context: Context, pgbouncer: bool) -> tuple[str, str]:
    alias = str(rule.get("auth") or "pwd")
    if alias not in AUTH_ALIASES:
        known = ", ".join(AUTH_ALIASES)
        raise PillarError(f"HBA rule {_label(rule)}: unknown auth {alias!r}; known: {known}")
    connection, method = AUTH_ALIASES[alias]
    if method == "pwd":
        method = context.password
    if pgbouncer and method == "ident":
        method = "peer"
    return connection, method


def _addresses(rule: Mapping[str, Any], context: Context) -> tuple[bool, list[str]]:
    """Return whether the rule covers the unix socket, and the networks that it covers."""
    address = str(rule.get("addr") or "")
    groups: dict[str, tuple[bool, Iterable[str]]] = {
        "local": (True, ()),
        "localhost": (True, ("127.0.0.1", "::1")),
        "admin": (False, (context.admin,)),
        "infra": (False, context.infra),
        "cluster": (False, context.cluster),
        "intra": (False, context.intranet),
        "intranet": (False, context.intranet),
        "world": (False, ("0.0.0.0/0", "::/0")),
        "all": (False, ("0.0.0.0/0", "::/0")),
    }
    sockets, networks = groups.get(address, (False, (address,)))
    try:
        return sockets, [str(ipaddress.ip_interface(network)) for network in networks]
    except ValueError as error:
        raise PillarError(
            f"HBA rule {_label(rule)}: {address!r} is neither an address, a CIDR nor one of "
            f"{', '.join(ADDR_ALIASES)}"
        ) from error
