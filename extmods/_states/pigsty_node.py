"""States of a node: its name, /etc/hosts, resolver, trust, shell environment, crontab."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import pki
from pigsty.convergence import converge
from pigsty.render import hosts as render
from pigsty.render.files import Directory, File, text, with_block

__virtualname__ = "pigsty_node"

HOSTS = "/etc/hosts"
RESOLVER = "/etc/resolv.conf"
RESOLVED = "/etc/systemd/resolved.conf.d/pigsty.conf"
NETWORK_MANAGER = "/etc/NetworkManager/conf.d/pigsty.conf"
PROFILE = "/etc/profile.d/pigsty.sh"
CRONTAB = "/etc/crontab"
CA = "/etc/pki/ca.crt"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def named(name: str) -> dict[str, Any]:
    """Keep the host name; a node without a declared name, or without the wish, keeps what it has.

    Args:
        name: the state's name.
    """
    node = _node()
    wanted = node["nodename"] if node["nodename_overwrite"] else ""
    files = [File("/etc/hostname", f"{wanted}\n")] if wanted else []

    def plan() -> dict[str, Any]:
        changes = __salt__["pigsty_file.changes"](files)
        now = socket.gethostname()
        return (
            {**changes, "name": {"old": now, "new": wanted}} if wanted not in ("", now) else changes
        )

    def act(changes: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](files)
        if "name" in changes:
            socket.sethostname(wanted)

    return _converge(name, "the host name", plan, act)


def hosts(name: str) -> dict[str, Any]:
    """Keep our block in /etc/hosts; other lines stay.

    Args:
        name: the state's name.
    """
    block = _node()["hosts"]

    def files() -> list[File]:
        old = __salt__["pigsty_file.read"](HOSTS) or "127.0.0.1 localhost\n"
        return [] if block is None else [File(HOSTS, render.hosts(old, block))]

    return _files(name, "/etc/hosts", files)


def resolver(name: str) -> dict[str, Any]:
    """Keep our name servers in the resolver, be it resolv.conf or systemd-resolved.

    Servers of the deployment that answer no questions are left out, and noted.

    Args:
        name: the state's name.
    """
    dns, static = _node()["dns"], _node()["node_static_network"]
    if dns["withheld"]:
        why = f"{', '.join(dns['withheld'])} (no DNS is served there: dns_enabled, dns_port)"
        __salt__["pigsty_note.add"]("name servers", why)

    def files() -> list[File]:
        managed = dns["method"] != "none"
        found = []
        if Path(NETWORK_MANAGER).parent.is_dir():
            keep = text("[main]", "dns=none") if managed and static else None
            found.append(File(NETWORK_MANAGER, keep))
        path = Path(RESOLVER)
        if "systemd/resolve" in str(path.resolve()):
            domains = ["Domains=~."] if dns["method"] == "overwrite" else []
            rows = ["[Resolve]", f"DNS={' '.join(dns['servers'])}", *domains]
            return [*found, File(RESOLVED, text(*rows) if managed else None)]
        old = __salt__["pigsty_file.read"](RESOLVER)
        # A resolver that is somebody else's link is not replaced by a file.
        if not path.is_symlink() and (managed or old):
            wanted = render.resolv_conf(old or "", dns["method"], dns["servers"], dns["options"])
            found.append(File(RESOLVER, wanted))
        return found

    def act(_: dict[str, Any]) -> None:
        changed = __salt__["pigsty_file.converge"](files())
        if RESOLVED in changed:
            __salt__["pigsty_systemd.act"]("restart", "systemd-resolved.service")
        if NETWORK_MANAGER in changed:
            __salt__["pigsty_systemd.act"]("reload", "NetworkManager.service")

    return _converge(name, "the resolver", lambda: __salt__["pigsty_file.changes"](files()), act)


def trusts_ca(name: str) -> dict[str, Any]:
    """Keep the deployment's CA where our services read it, and among those that the system trusts.

    While the CA is replaced there are two: the system wants each in a file of its own.

    Args:
        name: the state's name.
    """
    pem = __pillar__["pigsty"]["meta"]["ca"]
    trust = _node()["trust"]
    one, *others = pki.bundle(pem) or [pem]
    anchor = Path(trust["anchor"])
    second = str(anchor.with_name(f"{anchor.stem}-2{anchor.suffix}"))
    files = [
        File(CA, pem),
        File(trust["anchor"], one if others else pem),
        File(second, others[0] if others else None),
    ]
    bodies = ["".join(part.split("-----")[2].split()) for part in (one, *others)]

    def plan() -> dict[str, Any]:
        changes = __salt__["pigsty_file.changes"](files)
        bundle = (__salt__["pigsty_file.read"](trust["bundle"]) or "").replace("\n", "")
        if any(body not in bundle for body in bodies):
            changes["bundle"] = {"old": "without our CA", "new": "with our CA"}
        return changes

    def act(_: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](files)
        __salt__["pigsty_command.run"](trust["command"])

    return _converge(name, "the trust in our CA", plan, act)


def environment(name: str) -> dict[str, Any]:
    """Keep the data directory, and the shell's environment and aliases.

    Args:
        name: the state's name.
    """
    node = _node()
    aliases = sorted((node["node_aliases"] or {}).items())
    rows = [f"alias {key}={shlex.quote(str(value))}" for key, value in aliases]
    profile = text("export HISTTIMEFORMAT='%F %T '", *rows)
    data = [Directory(node["node_data"])] if node["node_data"] else []
    return _files(name, "the environment", lambda: [*data, File(PROFILE, profile)])


def crontab(name: str) -> dict[str, Any]:
    """Keep the inventory's lines in /etc/crontab; without any the file is as the system brings it.

    Args:
        name: the state's name.
    """
    cron = _node()["crontab"]

    def files() -> list[File]:
        old = __salt__["pigsty_file.read"](CRONTAB)
        stock = "\n".join(cron["stock"]) + "\n"
        if cron["lines"] and cron["overwrite"]:
            return [File(CRONTAB, text(*cron["stock"][:2], *cron["lines"]))]
        # A file that we had overwritten goes back to the system's own.
        base = stock if old is None or old.startswith(text().rstrip("\n")) else old
        wanted = with_block(base, "crontab", cron["lines"])
        return [File(CRONTAB, wanted)] if old is not None or cron["lines"] else []

    return _files(name, "/etc/crontab", files)


def left_out(name: str) -> dict[str, Any]:
    """Say once, at the end of a run, what this machine does not allow and was left out of it.

    A PostgreSQL member that the inventory has no more is left alone, and said as well.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True}
    notes = __salt__["pigsty_note.notes"]()
    warnings = []
    if notes:
        said = "; ".join(f"{topic}: {', '.join(texts)}" for topic, texts in notes.items())
        warnings.append(f"left out on this machine: {said}")
    if "pgsql" not in __pillar__["pigsty"]:
        warnings += _forgotten_member()
    if warnings:
        ret["warnings"] = warnings
    return {**ret, "comment": "see the warning" if warnings else "nothing was left out"}


def _forgotten_member() -> list[str]:
    """Return a sentence about a PostgreSQL member that the inventory has no more, if there is."""
    # Read late: it brings the renderers of PostgreSQL.
    from pigsty.render import record

    member = record.Record.read(__salt__["pigsty_file.read"](record.PATH))
    if member is None:
        return []
    return [
        f"{member.instance} lives here with its data, and the inventory has no PostgreSQL on this "
        f"host: `pigsty pgsql rm {member.cluster} {member.instance}` removes it"
    ]


def _node() -> dict[str, Any]:
    """Return the node's part of the pillar."""
    return dict(__pillar__["pigsty"]["node"])


def _converge(
    name: str,
    subject: str,
    plan: Callable[[], dict[str, Any]],
    act: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Run a state of this module."""
    errors = (CommandExecutionError, OSError)
    return converge(name, subject, plan, act, test=__opts__["test"], errors=errors)


def _files(name: str, subject: str, files: Callable[[], list[File | Directory]]) -> dict[str, Any]:
    """Run a state that is nothing but files."""
    return _converge(
        name,
        subject,
        lambda: __salt__["pigsty_file.changes"](files()),
        lambda _: __salt__["pigsty_file.converge"](files()),
    )
