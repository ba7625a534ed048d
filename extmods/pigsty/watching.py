"""What Prometheus says, beside what the inventory declares: rows for people, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pigsty.render import targets
from pigsty.topology import InfraNode, Topology

#: Declared, and Prometheus doesn't know it.
MISSING = "missing"
#: Looked at, and not declared: somebody's own target file.
EXTRA = "not declared"
LEVELS = {"0": "CRIT", "1": "WARN", "2": "INFO"}


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target: as declared, and how it is."""

    job: str
    component: str
    cls: str
    ins: str
    address: str
    health: str
    declared: bool
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert that fires, or will when it lasts."""

    level: str
    alert: str
    state: str
    cls: str
    ins: str
    ip: str
    category: str
    since: str
    summary: str
    meaning: str
    command: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


def explained(rows: Iterable[AlertRow]) -> list[str]:
    """Return for each alert what it means, and for each place what to run, each of it once.

    Args:
        rows: alerts, in any order; what comes first is explained first.
    """
    commands: dict[str, dict[str, None]] = {}
    meanings: dict[str, str] = {}
    for row in rows:
        meanings.setdefault(row.alert, row.meaning)
        commands.setdefault(row.alert, {})[row.command] = None
    return [
        "\n".join((f"\n{alert}: {meaning}", *(f"  $ {line}" for line in commands[alert])))
        for alert, meaning in meanings.items()
    ]


def declared(topology: Topology, infra: InfraNode) -> Iterator[TargetRow]:
    """Yield every target that an infra node's Prometheus shall have."""
    pairs = [*targets.everything(topology)]
    pairs += [("infra/", targets.infra_targets(i, i.ip == infra.ip)) for i in topology.infra]
    for path, found in pairs:
        for target in found:
            job = str(target.more.get("job", path.partition("/")[0]))
            for address in target.addresses:
                yield TargetRow(
                    job, target.component, target.cls, target.ins, address, MISSING, True
                )


def compare(
    wanted: Iterable[TargetRow], live: Iterable[Mapping[str, Any]], scope: str | None = None
) -> list[TargetRow]:
    """Return the targets with their health; what is missing, and what nobody declared, is told.

    Args:
        wanted: the declared targets.
        live: those of Prometheus, as its API gives them.
        scope: a cluster, an instance or an address; None for all.
    """
    rows = {_key(row.job, row.ins, row.address, row.component): row for row in wanted}
    for found in live:
        labels = found["labels"]
        # What is pinged stands in `instance`, the prober in the address of the scrape.
        row = TargetRow(
            labels.get("job", ""),
            labels.get("component", ""),
            labels.get("cls", ""),
            labels.get("ins", ""),
            labels.get("instance", ""),
            found["health"],
            False,
            found.get("lastError", ""),
        )
        key = _key(row.job, row.ins, row.address, row.component)
        known = rows.get(key)
        rows[key] = TargetRow(**{**row.to_dict(), "declared": known is not None})
    chosen = [row for row in rows.values() if scope is None or _in_scope(row, scope)]
    return sorted(chosen, key=lambda row: (row.job, row.cls, row.ins, row.component, row.address))


def alerts(live: Iterable[Mapping[str, Any]], pending: bool = False) -> list[AlertRow]:
    """Return the alerts, the worst first, then the oldest.

    Args:
        live: those of Prometheus, as its API gives them.
        pending: also those that have not lasted long enough yet.
    """
    rows = []
    for found in live:
        labels, said = found["labels"], found["annotations"]
        if found["state"] != "firing" and not pending:
            continue
        rows.append(
            AlertRow(
                LEVELS.get(labels.get("level", ""), labels.get("severity", "")),
                labels["alertname"],
                found["state"],
                labels.get("cls", ""),
                labels.get("ins", ""),
                labels.get("ip", ""),
                labels.get("category", ""),
                str(found.get("activeAt", ""))[:19],
                said.get("summary", ""),
                said.get("meaning", ""),
                said.get("command", ""),
            )
        )
    order = {name: number for number, name in enumerate(LEVELS.values())}
    return sorted(rows, key=lambda row: (order.get(row.level, 9), row.since, row.alert, row.ins))


def components(live: Iterable[Mapping[str, Any]], ip: str) -> dict[str, str]:
    """Return how each program of an infra node is: ``up``, ``down`` or ``unknown``.

    Args:
        live: targets of its Prometheus, as the API gives them.
        ip: the node.
    """
    found = {}
    for target in live:
        labels = target["labels"]
        if labels.get("job") == "infra" and labels.get("ip") == ip:
            found[str(labels.get("component", ""))] = str(target["health"])
    return dict(sorted(found.items()))


def failing(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the rules that can't be computed: ``group``, ``rule`` and ``error``."""
    return [
        {"group": group["name"], "rule": rule["name"], "error": rule.get("lastError", "")}
        for group in groups
        for rule in group["rules"]
        if rule["health"] == "err"
    ]


def _key(*parts: str) -> tuple[str, ...]:
    return parts


def _in_scope(row: TargetRow, scope: str) -> bool:
    return scope in (row.cls, row.ins, row.address, row.address.partition(":")[0])
