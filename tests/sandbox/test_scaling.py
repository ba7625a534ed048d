"""A cluster shrinks and grows; whoever stays is told, and clients notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer, eventually

from pigsty_cli.exitcodes import REFUSED, USAGE

#: Files in which members name each other.
NAMING = "grep -rl {} /etc/haproxy/conf.d /etc/hosts /etc/patroni /pg/conf/pg_hba.conf"


def _without(host: str, primary: str = "") -> Callable[[dict[str, Any]], None]:
    """Return an edit: a host leaves pg-test, which gets another declared primary if need be."""

    def edit(document: dict[str, Any]) -> None:
        hosts = document["all"]["children"]["pg-test"]["hosts"]
        del hosts[host]
        if primary:
            hosts[primary]["pg_role"] = "primary"

    return edit


def _refused(admin: Any, *words: str, code: int = REFUSED) -> str:
    """Run `pigsty pgsql rm`, which has to refuse; return what it says."""
    found, out, err = admin.run(["pigsty", "pgsql", "rm", *words], stdin="")
    assert found == code, (words, out, err)
    return str(err)


def _left_on(node: Any) -> str:
    """What is left of a member on its machine, by path."""
    paths = ["/pg", "/data/postgres/pg-*", "/etc/patroni/config.yml", "/etc/haproxy/conf.d/pg-*",
             "/etc/cron.d/pigsty-pgsql", "/var/lib/pigsty/pgsql.json"]  # fmt: skip
    _code, out, _err = node.run(
        ["sh", "-c", f"ls -d {' '.join(paths)} 2>/dev/null; pgrep -x postgres"]
    )
    return str(out)


def _shrinks_and_grows(
    sandbox: Any, admin: Any, cluster: Cluster, entry: Dsn, inventory: Inventory, member: Any
) -> dict[str, float]:
    """Remove a replica and add it again while a client writes; return how long each took."""
    leader, gone = cluster.leader(), member["host"]
    took = {}
    # Rules of a role, and the first backup on its own machine, follow the lead.
    inventory.apply(cluster.name)
    with Writer(entry) as writer:
        refusal = _refused(admin, cluster.name, leader["member"], "--yes")
        assert f"{leader['member']} leads" in refusal and "switchover" in refusal
        inventory.edit(_without(gone, leader["host"] if member["declared"] == "primary" else ""))
        # Nobody types the cluster's name.
        _refused(admin, cluster.name, member["member"])
        assert cluster.healthy(3)
        begin = time.monotonic()
        admin.pigsty("pgsql", "rm", cluster.name, member["member"], "--yes")
        took["removed"] = time.monotonic() - begin
        assert cluster.healthy(2) and cluster.leader()["member"] == leader["member"]
        for other in cluster.members():
            text = NAMING.format(f"-e {member['member']} -e {gone}")
            assert sandbox.node(other["host"]).run(["sh", "-c", text])[1] == ""
        assert _left_on(sandbox.node(gone)) == ""
        assert inventory.unchanged(cluster.name)
        assert "unknown member" in _refused(admin, cluster.name, member["member"], code=USAGE)
        inventory.undo()
        begin = time.monotonic()
        done = admin.pigsty("pgsql", "add", cluster.name)
        took["added"] = time.monotonic() - begin
        assert done["added"] == [member["member"]]
        assert cluster.healthy(3) and cluster.leader()["member"] == leader["member"]
        writer.wait_for_rows(50)
        assert writer.missing() == set()
        assert writer.longest_stall() <= DEADLINES["a member comes or goes"]
    assert inventory.unchanged(cluster.name)
    code, _out, err = admin.run(["pigsty", "pgsql", "add", cluster.name])
    assert code == 0 and "there is nobody to add" in err
    return took


def _replica(cluster: Cluster, *, declared: str) -> dict[str, Any]:
    """A member that follows, and that the inventory calls so."""
    found = (m for m in cluster.members() if m["role"] != "primary" and m["declared"] == declared)
    return next(found)


def test_the_declared_primary_leaves_while_another_leads_and_comes_back(
    sandbox: Any,
    admin: Any,
    turned: Cluster,
    entry: Dsn,
    inventory: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    member = _replica(turned, declared="primary")
    took = _shrinks_and_grows(sandbox, admin, turned, entry, inventory, member)
    for what, seconds in took.items():
        report(f"replica {what}", seconds, "s")


def test_a_machine_that_is_gone_for_good_is_forgotten(
    sandbox: Any, admin: Any, turned: Cluster, inventory: Inventory
) -> None:
    member = _replica(turned, declared="replica")
    leader, gone = turned.leader(), member["host"]
    inventory.edit(_without(gone))
    said = _refused(admin, turned.name, gone, "--dead", "--yes")
    assert f"{gone} answers" in said
    sandbox.node(gone).kill()
    try:
        assert "say --dead" in _refused(admin, turned.name, gone, "--yes")
        admin.pigsty("pgsql", "rm", turned.name, gone, "--dead", "--yes")
        assert turned.healthy(2) and turned.leader()["member"] == leader["member"]
        for other in turned.members():
            text = NAMING.format(f"-e {member['member']} -e {gone}")
            assert sandbox.node(other["host"]).run(["sh", "-c", text])[1] == ""
        assert inventory.unchanged(turned.name)
    finally:
        inventory.undo()
        sandbox.node(gone).start()
        eventually("its minion answers", lambda: admin.reaches(gone), "minion answers")
        admin.pigsty("pgsql", "add", turned.name)


COPY = "pg-dr"


def _copies(host: str, upstream: str) -> Callable[[dict[str, Any]], None]:
    """Return an edit: a host of pg-test makes a cluster of its own that follows a replica."""

    def edit(document: dict[str, Any]) -> None:
        groups = document["all"]["children"]
        del groups["pg-test"]["hosts"][host]
        own = {"pg_seq": 1, "pg_role": "primary", "pg_upstream": upstream}
        variables = {**groups["pg-test"]["vars"], "pg_cluster": COPY}
        groups[COPY] = {"hosts": {host: own}, "vars": variables}

    return edit


def _cascades(host: str, upstream: str) -> Callable[[dict[str, Any]], None]:
    """Return an edit: a host follows a replica instead of the leader."""

    def edit(document: dict[str, Any]) -> None:
        document["all"]["children"]["pg-test"]["hosts"][host]["pg_upstream"] = upstream

    return edit


@pytest.fixture
def copied(admin: Any, turned: Cluster, inventory: Inventory) -> Iterator[Cluster]:
    """A cluster that may come to be; afterwards it is gone, and its machine where it was."""
    yield Cluster(COPY, admin)
    inventory.undo()
    admin.run(["pigsty", "pgsql", "rm", COPY, "--backups", "--yes"])
    admin.pigsty("pgsql", "add", turned.name)


def test_a_cluster_follows_another_takes_writes_follows_again_and_goes_and_its_machine_cascades(
    sandbox: Any,
    admin: Any,
    turned: Cluster,
    copied: Cluster,
    entry: Dsn,
    inventory: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    member, upstream = _replica(turned, declared="replica"), _replica(turned, declared="primary")
    host, own = member["host"], Dsn(member["host"], 5433, entry.dbname, entry.user, entry.password)
    below, rows = replace(own, port=5432), f"SELECT count(*) FROM {Writer.TABLE}"

    def applied() -> list[Any]:
        # By itself: the inventory that is put back doesn't have this cluster.
        return [row["changes"] for row in admin.pigsty("apply", COPY, "--yes") if row["changes"]]

    with Writer(entry) as writer:
        inventory.edit(_copies(host, upstream["host"]))
        admin.pigsty("pgsql", "rm", turned.name, member["member"], "--yes")
        admin.pigsty("pgsql", "add", COPY)
        assert [m["role"] for m in copied.members()] == ["standby_leader"]
        assert applied() == []
        # What is written above arrives, and is kept when it takes writes of its own.
        count = len(writer.acknowledged)
        begin = time.monotonic()
        admin.pigsty("pgsql", "promote", COPY, "--yes")
        eventually(
            "it takes writes", lambda: own.ask("SELECT NOT pg_is_in_recovery()"), "switchover"
        )
        report("promotion of a cluster that follows", time.monotonic() - begin, "s")
        with own.connect() as connection:
            connection.execute(f"INSERT INTO {Writer.TABLE} VALUES (-1)")
        assert own.ask(rows) >= count
        applied()
        assert applied() == []
        # What was written to it alone goes, what was written above meanwhile comes.
        begin = time.monotonic()
        admin.pigsty("pgsql", "demote", COPY, "--yes")
        assert [m["role"] for m in copied.members()] == ["standby_leader"]
        report("a cluster that took writes follows again", time.monotonic() - begin, "s")
        count = len(writer.acknowledged)
        eventually("the rows from above come", lambda: below.ask(rows) >= count, "switchover")
        assert below.ask(f"{rows} WHERE id < 0") == 0
        assert applied() == []
        inventory.undo()
        inventory.edit(_cascades(host, upstream["host"]))
        admin.pigsty("pgsql", "rm", COPY, "--backups", "--yes")
        assert _left_on(sandbox.node(host)) == ""
        code, _out, err = admin.run(["pigsty", "pgsql", "list", COPY])
        assert code == USAGE, err
        admin.pigsty("pgsql", "add", turned.name)
        assert turned.healthy(3) and inventory.unchanged(turned.name)
        streams = "SELECT string_agg(application_name, ',') FROM pg_stat_replication"
        psql = ["runuser", "-u", "postgres", "--", "psql", "-Atc", streams]
        assert sandbox.node(upstream["host"]).run(psql)[1].strip() == member["member"]
        assert (writer.errors, writer.missing()) == ([], set())
