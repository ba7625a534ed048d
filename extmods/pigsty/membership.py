"""Members of etcd come and go: whether they may, decided by who is healthy now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pigsty.errors import PigstyError
from pigsty.targets import TargetError, nearest
from pigsty.topology import Member as Declared
from pigsty.topology import Topology

#: Seconds within which a running Patroni asks the store who belongs to it (its client of etcd keeps
#: the answer so long, and a reload doesn't shorten that).
ASKED = 300.0


class MembershipRefused(PigstyError):
    """The change would cost the store its majority, or can't be: nothing was changed."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Living:
    """A member as the cluster itself knows it.

    Attributes:
        id: its number there.
        name: its name, "" for one that was announced and never started.
        host: its address for peers.
        learner: whether it still copies the data, and has no vote.
        leader: whether it leads.
    """

    id: str
    name: str
    host: str
    learner: bool
    leader: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """What will be done.

    Attributes:
        member: who goes; without an id when the store has let it go already.
        sentences: the same for a person.
        staying: addresses of the others that have a vote.
    """

    member: Living
    sentences: tuple[str, ...]
    staying: tuple[str, ...] = ()


def living(rows: Iterable[Mapping[str, Any]]) -> tuple[Living, ...]:
    """Read what `pigsty_etcd.roster` returned."""
    found = []
    for row in rows:
        peer = next(iter(row["peers"]), "")
        host = peer.rpartition(":")[0].rpartition("/")[2]
        found.append(
            Living(
                str(row["id"]), str(row["name"]), host, bool(row["learner"]), bool(row["leader"])
            )
        )
    return tuple(sorted(found, key=lambda member: (member.name, member.host)))


def majority(count: int) -> int:
    """Return how many of so many members have to be there."""
    return count // 2 + 1


def addition(
    topology: Topology, members: Collection[Living], healthy: Collection[str], words: Iterable[str]
) -> tuple[Declared, ...]:
    """Return who is added to the store.

    Args:
        topology: the inventory, which has the new members already.
        members: who belongs to the cluster now.
        healthy: addresses of those that answer, with a leader in sight.
        words: addresses or names; none for all that don't belong to it yet.

    Raises:
        TargetError: the inventory has no such member.
        MembershipRefused: the newcomer would cost it the majority.
    """
    declared = {word: m for m in topology.etcd for word in (m.ip, m.name)}
    chosen = list(dict.fromkeys(words))
    if strange := [word for word in chosen if word not in declared]:
        raise TargetError("; ".join(nearest(word, declared, "member of etcd") for word in strange))
    hosts = {member.host for member in members}
    meant = [declared[word] for word in chosen] or list(topology.etcd)
    new = tuple(member for member in dict.fromkeys(meant) if member.ip not in hosts)
    # One at a time joins, as a learner first; once it has a vote, it must not be the one too many.
    voters = [member for member in members if not member.learner]
    whole = all(member.host in healthy for member in voters)
    if new and not whole and len(healthy) < majority(len(voters) + 1):
        raise MembershipRefused(
            f"only {len(healthy)} of {len(voters)} members are healthy: with one more they would "
            "be no majority. `pigsty etcd list` shows them"
        )
    return new


def removal(
    topology: Topology,
    members: Collection[Living],
    healthy: Collection[str],
    word: str,
    *,
    dead: bool = False,
) -> Removal:
    """Decide how a member leaves.

    Args:
        topology: the inventory, which has it no more.
        members: who belongs to the cluster now.
        healthy: addresses of those that answer, with a leader in sight.
        word: its name or address.
        dead: a person says that its machine is gone for good.

    Raises:
        TargetError: the cluster has no such member.
        MembershipRefused: it stands in the inventory, or the others could not go on without it.
    """
    known = {text: m for m in members for text in (m.name, m.host, m.id) if text}
    declared = {declared.ip for declared in topology.etcd}
    if word in topology.nodes and word not in known and word not in declared:
        # A removal that was cut off after the store had let the member go.
        text = f"nobody on {word} belongs to etcd: what is left of a member there is deleted"
        return Removal(Living("", "", word, learner=False, leader=False), (text,))
    if word not in known:
        raise TargetError(nearest(word, known, "member of etcd"))
    member = known[word]
    name = member.name or f"member {member.id}"
    if member.host in declared:
        raise MembershipRefused(
            f"{member.host} stands in the group of etcd in the inventory: take it out there first, "
            "because Patroni's endpoints follow from it"
        )
    others = [other for other in members if other is not member and not other.learner]
    if not others:
        raise MembershipRefused(
            f"{name} is the last one: all that Patroni knows of its clusters is there. Add another "
            "member first: `pigsty etcd add`"
        )
    fit = [other for other in others if other.host in healthy]
    if len(fit) < majority(len(others)):
        raise MembershipRefused(
            f"of the {len(others)} that stay only {len(fit)} are healthy: without {name} there "
            "would be no majority"
        )
    if dead and member.host in healthy:
        raise MembershipRefused(f"{name} answers: it is not dead")
    lead = ", and hands over the lead of the store" if member.leader else ""
    count = len(others)
    sentences = [
        "all members of PostgreSQL clusters are told of the others: nobody is disconnected",
        f"{name} on {member.host} leaves the store{lead}; {count} member{'s' * (count > 1)} stay"
        f"{'s' * (count == 1)}",
    ]
    if not dead:
        sentences.append(f"{member.host}: etcd is stopped, its data and files are deleted")
    return Removal(member, tuple(sentences), tuple(other.host for other in others))


def unknown(ages: Iterable[float]) -> float:
    """Return for how many seconds more a Patroni may know none of those that stay.

    It would lose its store with the one that goes, for good: the endpoints in its configuration are
    read at its start only.

    Args:
        ages: for how many seconds each of them has belonged to the store.
    """
    return max(0.0, ASKED - max(ages, default=0.0))
