"""Operations under a client that writes: the lead moves, members restart, settings change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer, eventually

HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


def test_a_planned_switchover_stalls_writes_for_two_seconds_at_most(
    admin: Any, whole: Cluster, entry: Dsn, report: Callable[[str, float, str], None]
) -> None:
    stalls = []
    for _ in range(3):
        old = whole.leader()
        with Writer(entry) as writer:
            done = admin.pigsty("pgsql", "switchover", whole.name, "--yes")
            writer.wait_for_rows(50)
            stalls.append(writer.longest_stall())
            assert writer.missing() == set()
        report("planned switchover: longest stall through the pooler", stalls[-1], "s")
        new = whole.leader()
        assert [new["member"]] == done["members"] and new["member"] != old["member"]
        assert [step["done"] for step in done["steps"]] == ["leads", "follows"]
        eventually("all stream", lambda: whole.healthy(3), "old primary is a replica again")
    # The middle one: what else the machine does may slow one down.
    assert sorted(stalls)[1] <= DEADLINES["planned switchover"], stalls


def test_a_preview_and_a_refusal_leave_the_lead_where_it_is(admin: Any, whole: Cluster) -> None:
    old = whole.leader()
    preview = admin.pigsty("pgsql", "switchover", whole.name, "--test")
    assert preview["leader"] == old["member"] and len(preview["live"]) == 3
    refused = [
        ["switchover", whole.name],
        ["switchover", whole.name, old["member"], "--yes"],
        ["failover", whole.name, "--yes"],
        ["reinit", whole.name, old["member"], "--yes"],
    ]
    for words in refused:
        code, _out, err = admin.run(["pigsty", "pgsql", *words], stdin="")
        assert code == 4, (words, err)
    assert whole.leader() == old


def test_members_restart_one_by_one_and_the_leader_keeps_its_lead(
    admin: Any, turned: Cluster, entry: Dsn, report: Callable[[str, float, str], None]
) -> None:
    old = turned.leader()
    with Writer(entry) as writer:
        done = admin.pigsty("pgsql", "restart", turned.name, "--yes")
        writer.wait_for_rows(50)
        stall = writer.longest_stall()
        assert writer.missing() == set()
    report("restart of all members, one by one: longest stall", stall, "s")
    assert stall <= DEADLINES["restart in turn"]
    order = [step["member"] for step in done["steps"]]
    assert len(order) == 3 and order[-1] == old["member"]
    now = turned.leader()
    assert (now["member"], now["timeline"]) == (old["member"], old["timeline"])


def test_a_broken_replica_is_copied_again(admin: Any, turned: Cluster) -> None:
    replica = next(m for m in turned.members() if m["role"] != "primary")
    admin.pigsty("pgsql", "reinit", turned.name, replica["member"], "--yes")
    assert turned.healthy(3)


def test_a_pause_keeps_patroni_from_acting_and_ends(
    sandbox: Any, admin: Any, turned: Cluster, entry: Dsn
) -> None:
    leader, name = turned.leader(), turned.name
    node = sandbox.node(leader["host"])
    with Writer(entry) as writer:
        admin.pigsty("pgsql", "reload", name)
        admin.pigsty("pgsql", "pause", name, "--yes")
        try:
            page = admin.pigsty("pgsql", "show", name)
            assert page["paused"] and any("pause" in note for note in page["notes"])
            code, _out, err = admin.run(["pigsty", "pgsql", "pause", name, "--yes"])
            assert code == 0, "once more changes nothing: " + err
            # PostgreSQL stays when Patroni goes, and nobody else takes the lead.
            assert node.run(["systemctl", "restart", "patroni"])[0] == 0
            writer.wait_for_rows(50)
        finally:
            admin.pigsty("pgsql", "resume", name)
        assert writer.missing() == set()
    now = turned.leader()
    assert (now["member"], now["timeline"]) == (leader["member"], leader["timeline"])
    eventually("all stream", lambda: turned.healthy(3), "services settle")


def test_one_page_shows_a_cluster_as_it_is_now(admin: Any, turned: Cluster) -> None:
    leader = turned.leader()["member"]
    page = admin.pigsty("pgsql", "show", turned.name)
    assert page["leader"] == leader and not page["paused"]
    ways = {service["service"]: service["now"] for service in page["services"]}
    assert set(ways["pg-test-primary"]) == set(HOSTS)
    assert all(servers == [leader] for servers in ways["pg-test-primary"].values())
    assert all(leader not in servers for servers in ways["pg-test-replica"].values())
    assert [row["name"] for row in page["databases"]] == ["test"]
    # A repository of a leader's own may have no backup yet, and that is said.
    assert page["backup"]["enabled"] and all("backup" in note for note in page["notes"])
    code, text, err = admin.run(["pigsty", "pgsql", "show", turned.name])
    assert code == 0, err
    assert "LEADS NOW TO" in text and "libraries=" not in text


def _settings(dsn: Dsn) -> dict[str, list[str]]:
    """What each member's PostgreSQL runs with."""
    found = {}
    for host in HOSTS:
        own = Dsn(host, 5432, dsn.dbname, dsn.user, dsn.password)
        names = ("max_connections", "log_min_duration_statement")
        found[host] = [own.ask(f"SHOW {name}") for name in names]
    return found


def test_edited_parameters_reach_all_members_also_after_a_switchover(
    admin: Any, turned: Cluster, test_dsn: Dsn, inventory: Inventory
) -> None:
    before = _settings(test_dsn)
    leader = turned.leader()
    # A number that no member runs with, whatever earlier scenarios have left.
    number = max(int(settings[0]) for settings in before.values()) + 10
    inventory.cluster(
        turned.name,
        pg_parameters={"max_connections": number, "log_min_duration_statement": 250},
    )
    changed = inventory.apply(turned.name)
    # What all members share is changed once, by the one that leads.
    assert [host for host, ids in changed.items() if "pgsql-dynamic" in ids] == [leader["host"]]
    assert inventory.unchanged(turned.name)
    eventually(
        "every member says that it waits for a restart",
        lambda: all(member["pending_restart"] for member in turned.members()),
        "services settle",
    )
    eventually(
        "all members log by the new limit, and none was restarted",
        lambda: _settings(test_dsn) == {host: [before[host][0], "250ms"] for host in HOSTS},
        "services settle",
    )
    done = admin.pigsty("pgsql", "restart", turned.name, "--pending", "--yes")
    assert done["steps"][-1]["member"] == leader["member"]
    assert _settings(test_dsn) == {host: [str(number), "250ms"] for host in HOSTS}
    assert turned.leader()["member"] == leader["member"]
    assert not any(member["pending_restart"] for member in turned.members())
