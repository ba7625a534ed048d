"""What each host was last applied with: written down after runs of states, compared before them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pigsty import journal as record
from pigsty import plan
from pigsty.journal import Journal
from pigsty.kept import Basis, Kept
from pigsty.mask import RecordingSite, declared, mask_by, pattern
from pigsty.pillar.site import Site
from pigsty.plan import Plan
from pigsty.platform import Platform
from pigsty.topology import Topology

#: Kind of the journal's facts: by host, the id of the basis that it was last applied with.
KIND = "applied"
#: By host, the id of a basis and the states that ran with it so far, where these weren't all yet.
PARTLY = "applied.partly"
#: The facts of hosts that were applied as a whole once; older versions knew no other.
JOINED = "node.join"


def before(journal: Journal, kept: Kept, key: bytes) -> dict[str, Basis | None]:
    """Return what each host was last applied with; None where that is no longer known.

    Args:
        journal: the record.
        kept: the bases.
        key: the deployment's key.
    """
    facts = journal.facts(KIND)
    loaded = {number: kept.load(number, key) for number in sorted(set(facts.values()))}
    known: dict[str, Basis | None] = dict.fromkeys(journal.facts(JOINED))
    return known | {host: loaded[number] for host, number in facts.items()}


def look(
    journal: Journal,
    kept: Kept,
    now: Basis,
    platform: Platform,
    hosts: Sequence[str],
    *,
    told: bool = False,
) -> Plan:
    """Return what the present inventory touches on some hosts (see :func:`pigsty.plan.make`).

    Hosts whose pillar is the same count as applied with it from now on.

    Args:
        journal: the record.
        kept: the bases.
        now: the present basis.
        platform: the operating system that pillars are made for.
        hosts: who is meant, in the order of the inventory.
        told: whether differences are told too, with secrets masked.
    """
    known = before(journal, kept, now.site.key)
    if not told:
        found = plan.make(now, known, platform, hosts)
    else:
        own = {old.id: recording(old) for old in known.values() if old}
        known = {host: own[old.id] if old else None for host, old in known.items()}
        now = recording(now)
        found = plan.make(now, known, platform, hosts, masker([now, *own.values()]))
    _settle(journal, kept, now, found.same)
    return found


def note(
    journal: Journal,
    kept: Kept,
    now: Basis,
    platform: Platform,
    ran: Mapping[str, Sequence[str]],
) -> None:
    """Write down which hosts are as the inventory wants them, after a run of states there.

    A run of some states counts where these were all that the edit since the last one touched.

    Args:
        journal: the record.
        kept: the bases.
        now: what the run's pillars were made of.
        platform: the operating system that pillars are made for.
        ran: which states ran well, by host; none for all that a host has.
    """
    facts = journal.facts(KIND)
    news = {h: states for h, states in ran.items()
            if facts.get(h) != now.id and h in now.topology.nodes}  # fmt: skip
    if not news:
        return
    known = before(journal, kept, now.site.key)
    # A database that is no longer declared goes on: the host isn't as the inventory wants it until
    # somebody has removed it.
    news = {host: states for host, states in news.items() if not _orphan(host, known, now)}
    parts = [host for host, states in news.items() if not plan.covers(states, (plan.WHOLE,))]
    needed: dict[str, tuple[str, ...]] = {}
    if parts:
        found = plan.make(now, known, platform, parts)
        needed = {one.host: one.states for one in found.hosts}
    done = []
    for host, states in news.items():
        # Several commands, each for an aspect, can do together what an edit has touched.
        together = states and (*_earlier(journal, host, now), *states)
        if plan.covers(together, needed.get(host, ())):
            done.append(host)
        else:
            fact = json.dumps([now.id, sorted(set(together))])
            journal.settle(PARTLY, host, fact, record.now())
    _settle(journal, kept, now, done)


def _orphan(host: str, known: Mapping[str, Basis | None], now: Basis) -> bool:
    old = known.get(host)
    return (
        old is not None
        and host in old.topology.pg_instances
        and host not in now.topology.pg_instances
    )


def _earlier(journal: Journal, host: str, now: Basis) -> tuple[str, ...]:
    """Return the states that ran on a host with the present basis before."""
    number, states = json.loads(journal.settled(PARTLY, host) or '["", []]')
    return tuple(states) if number == now.id else ()


def forget(journal: Journal, host: str) -> None:
    """Forget what a host was applied with: it was taken out, or its database was."""
    for kind in (KIND, PARTLY, JOINED):
        journal.forget(kind, host)


def recording(basis: Basis) -> Basis:
    """Return a basis that remembers the passwords which are derived for its pillars."""
    site = basis.site
    own = RecordingSite(
        site.key, site.ca, site.operator_keys, site.rotation, site.old_ca, site.next_ca
    )
    return Basis(basis.id, basis.topology, own, basis.text)


def masker(bases: Iterable[Basis]) -> Callable[[Any], Any]:
    """Return what masks the secrets of some bases in plain data."""
    found = {basis.id: basis for basis in bases}.values()
    fixed = set().union(*(declared(basis.topology.inventory) for basis in found))
    sites = [basis.site for basis in found if isinstance(basis.site, RecordingSite)]

    @lru_cache(maxsize=1)
    def made(_count: int) -> re.Pattern[str] | None:
        return pattern(fixed.union(*(site.issued for site in sites)))

    def show(data: Any) -> Any:
        # What was issued only grows.
        return mask_by(made(sum(len(site.issued) for site in sites)), data)

    return show


def _settle(journal: Journal, kept: Kept, basis: Basis, hosts: Sequence[str]) -> None:
    if not hosts:
        return
    # First the text: a fact without it would only make the next plan larger than it need be.
    kept.save(basis)
    moment = record.now()
    for host in hosts:
        journal.settle(KIND, host, basis.id, moment)
        journal.settle(JOINED, host, basis.topology.inventory.checksum, moment)
        journal.forget(PARTLY, host)
    kept.prune({basis.id, *journal.facts(KIND).values()})


def current(topology: Topology, key: str | Path, ca: str | Path) -> Basis | None:
    """Return the present basis of an inventory; None while its file is being edited.

    Args:
        topology: what the inventory declares, validated.
        key: file of the deployment's key.
        ca: file of the CA's certificate.

    Raises:
        PillarError: this machine is no admin node.
    """
    return Basis.now(topology, Site.read(key, ca))
