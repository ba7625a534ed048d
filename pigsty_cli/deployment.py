"""The deployment that a command works on: its inventory, checked, and what is alive of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pigsty import topology as topology_module
from pigsty.clients import health
from pigsty.clients.patroni import CA, Cluster, Patroni
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError, InventoryError, PillarError
from pigsty.findings import Finding
from pigsty.kept import Kept
from pigsty.summary import SANDBOX, MemberRow, members
from pigsty.topology import Member, PgCluster, PgInstance, Topology
from pigsty_cli.errors import CliError, Refused, describe
from pigsty_cli.inventories import PLACES

#: How many errors of an inventory a refusal shows; `pigsty validate` shows all.
SHOWN = 5
#: How many members are asked at a time.
THREADS = 32

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Checked:
    """An inventory that was validated.

    Attributes:
        path: the file.
        topology: what it declares.
        findings: errors and warnings.
    """

    path: Path
    topology: Topology
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors among the findings."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def load(path: Path) -> Topology:
    """Read an inventory.

    Raises:
        CliError: it can't be read as one.
    """
    try:
        return topology_module.load(path)
    except InventoryError as error:
        raise CliError(f"{path}: {describe(error)}") from error


def check(path: Path) -> Checked:
    """Read and validate an inventory; errors are for the caller to judge.

    Raises:
        CliError: it can't be read as one.
    """
    from pigsty import validate

    found = load(path)
    return Checked(path, found, tuple(validate.validate(path)))


def served(path: Path) -> tuple[Checked, str]:
    """Read and validate an inventory; while it has errors, show what is served in its place.

    Returns:
        The findings about the file with what is in force, and what that is: ``this one``, ``the
        last good one``, or ``none``.

    Raises:
        CliError: it can't be read as one, and there is no other.
    """
    from pigsty import validate

    findings = tuple(validate.validate(path))
    if not any(finding.severity == "error" for finding in findings):
        return Checked(path, load(path), findings), "this one"
    if path == PLACES[0]:
        with suppress(PillarError):
            return Checked(path, validate.usable(Kept().good), findings), "the last good one"
    return Checked(path, load(path), findings), "none"


def usable(path: Path) -> Checked:
    """Read an inventory that may be applied.

    Raises:
        Refused: it has errors, or holds passwords that are public and isn't a sandbox's.
    """
    from pigsty import rules

    checked = check(path)
    if checked.errors:
        raise Refused(_refusal(checked.path, checked.errors, "errors"))
    if not sandbox(checked.topology):
        public = tuple(rules.public_passwords(checked.topology))
        if public:
            raise Refused(_refusal(checked.path, public, "passwords that everybody knows"))
    return checked


def sandbox(topology: Topology) -> bool:
    """Whether the inventory says that it is a sandbox's, whose passwords are public on purpose."""
    return all(n.vars.get("pigsty_profile") == SANDBOX for n in topology.nodes.values())


def live_members(clusters: Iterable[PgCluster]) -> dict[str, list[MemberRow]]:
    """Ask every member of some clusters how its cluster is, all at once.

    Returns:
        By cluster, the rows of :func:`pigsty.summary.members`.
    """
    clusters = list(clusters)
    answers = views(member for cluster in clusters for member in cluster.members)
    return {c.name: members(c, {m.ip: answers[m.ip] for m in c.members}) for c in clusters}


def views(instances: Iterable[PgInstance]) -> dict[str, Cluster | None]:
    """Ask some members how their cluster is, all at once; by address, None for the silent."""
    instances = list(instances)
    return dict(zip((i.ip for i in instances), ask(_view, instances), strict=True))


def patroni(member: PgInstance) -> Patroni:
    """Return a client of a member's Patroni that waits as long as a person does."""
    ca = CA if member.vars.get("patroni_ssl_enabled", True) else None
    port = int(member.vars.get("patroni_port") or 8008)
    return Patroni(member.ip, port, ca=ca, timeout=DEADLINES["status.request"])


def ask(function: Callable[[Question], Answer], questions: Iterable[Question]) -> list[Answer]:
    """Call a function for many things at once, and return the answers in order."""
    items = list(questions)
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(THREADS, len(items))) as pool:
        return list(pool.map(function, items))


def etcd_health(topology: Topology) -> list[dict[str, str]]:
    """Ask every etcd member whether it is healthy; it says so only with a leader in sight.

    Returns:
        Rows with ``member``, ``host`` and ``health``: ``ok``, ``unhealthy: …`` or ``unreachable``.
    """
    return ask(_health, topology.etcd)


def _health(member: Member) -> dict[str, str]:
    return {"member": member.name, "host": member.ip, "health": health.etcd(member.ip)}


def _view(member: PgInstance) -> Cluster | None:
    try:
        return patroni(member).cluster()
    except ClientError:
        return None


def _refusal(path: Path, findings: tuple[Finding, ...], what: str) -> str:
    lines = [f"{path} has {len(findings)} {what}, so nothing was touched:"]
    for finding in findings[:SHOWN]:
        where = f"line {finding.line}: " if finding.line else ""
        hint = f" → {finding.hint}" if finding.hint else ""
        lines.append(f"  {where}{finding.path}: {finding.message}{hint}")
    if len(findings) > SHOWN:
        lines.append(f"  … and {len(findings) - SHOWN} more: `pigsty validate {path}` shows all")
    return "\n".join(lines)
