"""What hosts were applied with: noted by what ran, compared with what the inventory says now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from editions import ADMIN, ALL, FIRST, SECOND, THIRD, cluster, edited, site, states

from pigsty import applied
from pigsty.journal import Journal
from pigsty.kept import Basis, Kept
from pigsty.plan import Plan
from pigsty.platform import load
from pigsty.rotation import Rotation

FRESH = {"name": "fresh", "password": "Secret.Of.Fresh", "pgbouncer": True}
RULE = {"title": "a new one", "user": "test", "db": "test", "addr": "10.9.9.0/24", "auth": "pwd"}


def with_rule() -> Basis:
    return edited(lambda data: cluster(data)["vars"].update(pg_hba_rules=[RULE]))


def with_user() -> Basis:
    return edited(lambda data: cluster(data)["vars"]["pg_users"].append(FRESH))


class Deployment:
    """A journal, and runs of states on hosts."""

    def __init__(self, journal: Journal, kept: Kept) -> None:
        self.journal, self.kept = journal, kept

    def ran(self, basis: Basis, hosts: Sequence[str], *sls: str) -> None:
        applied.note(self.journal, self.kept, basis, load(), dict.fromkeys(hosts, sls))

    def plan(self, basis: Basis, *, told: bool = False) -> Plan:
        hosts = tuple(basis.topology.nodes)
        return applied.look(self.journal, self.kept, basis, load(), hosts, told=told)


@pytest.fixture
def deployment(journal: Journal, kept: Kept) -> Deployment:
    found = Deployment(journal, kept)
    found.ran(edited(), ALL)
    return found


def test_bare_hosts_were_never_applied(journal: Journal, kept: Kept) -> None:
    bare = Deployment(journal, kept).plan(edited())
    assert states(bare) == dict.fromkeys(ALL, ("highstate",))
    assert {host.why for host in bare.hosts} == {"it was never applied"}


def test_after_a_whole_apply_there_is_nothing_to_do(deployment: Deployment) -> None:
    assert deployment.plan(edited()).hosts == ()
    assert deployment.journal.settled("node.join", FIRST) == edited().topology.inventory.checksum


def test_an_edit_is_compared_with_what_was_applied(deployment: Deployment) -> None:
    found = deployment.plan(with_rule(), told=True)
    assert states(found) == dict.fromkeys((FIRST, SECOND, THIRD), ("pgsql.hba",))
    assert found.hosts[0].differences
    assert deployment.plan(with_rule()).hosts[0].differences == ()


def test_a_command_for_just_that_aspect_is_all_that_was_needed(deployment: Deployment) -> None:
    deployment.ran(with_rule(), (FIRST, SECOND), "pgsql.hba")
    assert states(deployment.plan(with_rule())) == {THIRD: ("pgsql.hba",)}


def test_a_run_of_something_else_counts_for_nothing(deployment: Deployment) -> None:
    deployment.ran(with_rule(), ALL, "node.hosts", "pgsql.objects")
    assert states(deployment.plan(with_rule())) == dict.fromkeys(
        (FIRST, SECOND, THIRD), ("pgsql.hba",)
    )


def test_several_commands_do_together_what_an_edit_needs(deployment: Deployment) -> None:
    deployment.ran(with_user(), (FIRST,), "pgsql.objects")
    assert FIRST in states(deployment.plan(with_user()))
    deployment.ran(with_user(), (FIRST,), "pgsql.pgbouncer")
    assert FIRST not in states(deployment.plan(with_user()))


def test_what_ran_with_an_edit_before_does_not_count_for_the_next(deployment: Deployment) -> None:
    deployment.ran(with_user(), (FIRST,), "pgsql.objects")
    other = edited(
        lambda data: cluster(data)["vars"]["pg_users"].append({**FRESH, "name": "another"})
    )
    deployment.ran(other, (FIRST,), "pgsql.pgbouncer")
    assert FIRST in states(deployment.plan(other))


def test_hosts_whose_pillar_is_the_same_move_on(deployment: Deployment) -> None:
    now = with_rule()
    assert deployment.plan(now).same == (ADMIN,)
    assert deployment.journal.settled("applied", ADMIN) == now.id
    assert deployment.plan(now).same == ()


def test_an_edit_that_is_taken_back_leaves_nothing_to_do(deployment: Deployment) -> None:
    deployment.plan(with_rule())
    assert deployment.plan(edited()).hosts == ()


def test_only_what_some_host_needs_is_kept(deployment: Deployment, kept: Kept) -> None:
    deployment.ran(with_rule(), ALL)
    assert kept.load(edited().id, edited().site.key) is None
    assert kept.load(with_rule().id, edited().site.key) is not None


def test_a_rotation_that_was_applied_is_nothing_to_do(deployment: Deployment) -> None:
    turned = edited(own=site(rotation=Rotation({("pg-test", "pg_etcd_password"): 2})))
    assert states(deployment.plan(turned))[ADMIN] == ("etcd",)
    deployment.ran(turned, (ADMIN,), "etcd")
    deployment.ran(turned, (FIRST, SECOND, THIRD), "pgsql")
    assert deployment.plan(turned).hosts == ()


def test_hosts_of_an_older_version_are_applied_once_more(journal: Journal, kept: Kept) -> None:
    journal.settle("node.join", FIRST, "its checksum", 1.0)
    old = Deployment(journal, kept).plan(edited())
    assert {h.host: h.why for h in old.hosts}[FIRST].startswith("what it was applied with isn't")


def test_a_database_that_is_no_longer_declared_is_told_until_it_is_removed(
    deployment: Deployment,
) -> None:
    def alone(data):  # type: ignore[no-untyped-def]
        del cluster(data)["hosts"][THIRD]
        data["all"]["children"]["plain"] = {"hosts": {THIRD: {"nodename": "plain-1"}}}

    now = edited(alone)
    deployment.ran(now, ALL)
    assert "pigsty pgsql rm pg-test pg-test-3" in deployment.plan(now).human[0]
    applied.forget(deployment.journal, THIRD)
    deployment.ran(now, (THIRD,))
    assert deployment.plan(now) == Plan(now.id)


def test_a_host_that_was_taken_out_is_told_until_it_is_forgotten(deployment: Deployment) -> None:
    now = edited(lambda data: cluster(data)["hosts"].pop(THIRD))
    deployment.ran(now, (ADMIN, FIRST, SECOND))
    assert deployment.plan(now).gone == (THIRD,)
    applied.forget(deployment.journal, THIRD)
    assert deployment.plan(now) == Plan(now.id)
    assert states(deployment.plan(edited()))[THIRD] == ("highstate",), "should it come back"
