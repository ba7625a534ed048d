"""The system reconfigures itself: what happens leads to its follow-ups with no human command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, eventually

HBA = "/pg/conf/pg_hba.conf"
#: A rule that holds on the member that leads, and nowhere else.
RULE = {"title": "on the leader alone", "role": "primary", "user": "test", "db": "test",
        "addr": "10.99.99.0/24", "auth": "pwd", "order": 700}  # fmt: skip


def _lines(admin: Any, *words: str) -> list[dict[str, Any]]:
    """What `pigsty events` tells of the last hour."""
    lines: list[dict[str, Any]] = admin.pigsty("events", *words, "--since", "1h")
    return lines


def _holders(sandbox: Any, cluster: Cluster) -> list[str]:
    """The members in whose file the leader's rule is in force."""
    found = []
    for member in cluster.members():
        _code, text, _err = sandbox.node(member["host"]).run(["cat", HBA])
        if any("10.99.99.0/24" in line and not line.startswith("#") for line in text.splitlines()):
            found.append(member["member"])
    return found


def _await_holder(sandbox: Any, cluster: Cluster, leader: str) -> None:
    """Wait until the leader alone has its rule: the old one learns its role when it runs again."""
    eventually(
        "only the leader has the rule",
        lambda: _holders(sandbox, cluster) == [leader],
        "a change of the leader is followed",
    )


@pytest.fixture
def scoped(whole: Cluster, inventory: Inventory, admin: Any) -> Iterator[Cluster]:
    """The cluster of three, with a rule for its leader alone, and nothing left to react to."""
    inventory.cluster(whole.name, pg_hba_rules=[RULE])
    inventory.apply(whole.name)
    eventually("what went before is dealt with", admin.quiet, "reactions end")
    yield whole
    eventually("reactions have ended", admin.quiet, "reactions end")


def _followed(admin: Any, cluster: Cluster, leader: str, after: float) -> dict[str, Any] | None:
    """The line that tells that a leader was followed, once there is one."""
    told = [
        line
        for line in _lines(admin, cluster.name)
        if line["kind"] == "pgsql.leader"
        and line["at"] >= after
        and line["state"] == "done"
        and line["outcome"].startswith(f"{leader} leads")
    ]
    return told[0] if told else None


def test_after_a_switchover_the_rules_of_the_leader_follow_by_themselves(
    sandbox: Any, admin: Any, scoped: Cluster, report: Callable[[str, float, str], None]
) -> None:
    assert _holders(sandbox, scoped) == [scoped.leader()["member"]]
    begin = time.time()
    admin.pigsty("pgsql", "switchover", scoped.name, "--yes")
    new = scoped.leader()["member"]
    line = eventually(
        "the change is followed",
        lambda: _followed(admin, scoped, new, begin),
        "a change of the leader is followed",
    )
    report("leader change: from the event to all follow-ups", line["seconds"], "s")
    assert line["happened"].startswith(f"{new} leads, after ")
    _await_holder(sandbox, scoped, new)


def _copied(node: Any, database: str, condition: str) -> list[str]:
    """Subjects of the lines in a database's copy of the journal, as its superuser reads them."""
    query = f"SELECT subject FROM pigsty.reaction WHERE {condition} ORDER BY queued"
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtqd", database, "-c", query]
    code, out, _err = node.run(command)
    # The table is made when its first line comes.
    return out.split() if code == 0 else []


def test_what_ended_stands_in_a_database_and_goes_where_the_lead_goes(
    sandbox: Any, admin: Any, whole: Cluster, inventory: Inventory,
    report: Callable[[str, float, str], None],
) -> None:  # fmt: skip
    begin = time.time()
    news = f"kind = 'pgsql.leader' AND state = 'done' AND ended > to_timestamp({begin})"
    old = sandbox.node(whole.leader()["host"])
    inventory.edit(
        lambda data: data["all"]["vars"].update(pigsty_journal_database=f"{whole.name}/test")
    )
    try:
        eventually(
            "the database that is declared now has all of it",
            lambda: "inventory" in _copied(old, "test", f"ended > to_timestamp({begin})"),
            "an edit is in the database",
        )
        before = _copied(old, "test", "true")
        admin.pigsty("pgsql", "switchover", whole.name, "--yes")
        leader = whole.leader()
        new = sandbox.node(leader["host"])
        line = eventually(
            "the change is followed",
            lambda: _followed(admin, whole, leader["member"], begin),
            "a change of the leader is followed",
        )
        ended = line["at"] + line["seconds"]
        eventually(
            "the new leader has its line",
            lambda: whole.name in _copied(new, "test", news),
            "a line is in the database",
        )
        report("from a reaction's end to its line in the database", time.time() - ended, "s")
        assert len(_copied(new, "test", "true")) >= len(before), "nothing was lost on the way"
    finally:
        inventory.undo()
    # The sandbox's own: what it missed meanwhile comes with the next line, that of the edit.
    eventually(
        "the database of before has caught up",
        lambda: whole.name in _copied(admin, "meta", news),
        "an edit is in the database",
    )
    drop = "DROP SCHEMA pigsty CASCADE"
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtqd", "test", "-c", drop]
    code, _out, err = sandbox.node(whole.leader()["host"]).run(command)
    assert code == 0, err


def test_after_a_power_cut_too_and_the_dead_member_learns_it_when_it_is_back(
    sandbox: Any, admin: Any, scoped: Cluster
) -> None:
    old = scoped.leader()
    begin = time.time()
    sandbox.node(old["host"]).kill()
    try:
        eventually(
            "another leads",
            lambda: any(m["role"] == "primary" for m in scoped.members()),
            "norm failover",
        )
        new = scoped.leader()["member"]
        eventually(
            "the change is followed",
            lambda: _followed(admin, scoped, new, begin),
            "a change of the leader is followed",
        )
    finally:
        sandbox.node(old["host"]).start()
    eventually("it is a replica", lambda: scoped.healthy(3), "old primary is a replica again")
    _await_holder(sandbox, scoped, new)


def test_what_happened_while_the_master_was_down_is_followed_when_it_is_back(
    sandbox: Any, admin: Any, scoped: Cluster
) -> None:
    node = sandbox.node(scoped.leader()["host"])
    code, _out, err = admin.run(["systemctl", "stop", "salt-master"])
    assert code == 0, err
    begin = time.time()
    try:
        # Without Salt: Patroni alone hands the lead over.
        word = ["patronictl", "-c", "/etc/patroni/config.yml", "switchover", scoped.name, "--force"]
        code, out, err = node.run(word)
        assert code == 0, out + err
        old = node.host
        eventually(
            "another leads",
            lambda: scoped.leader()["host"] != old,
            "old primary is a replica again",
        )
    finally:
        admin.run(["systemctl", "start", "salt-master"])
    new = scoped.leader()["member"]
    eventually(
        "the change is followed",
        lambda: _followed(admin, scoped, new, begin),
        "a master that was down has caught up",
    )
    _await_holder(sandbox, scoped, new)


def test_forged_events_do_nothing_and_leave_a_line_each(
    sandbox: Any, admin: Any, scoped: Cluster
) -> None:
    leader = scoped.leader()["member"]
    member = sandbox.node("10.10.10.12")
    before = sum(line["hints"] for line in _lines(admin))
    begin = time.time()
    forged: list[tuple[str, Any]] = [
        ("pigsty/pgsql/pg-test/leader", {"cluster": "pg-test", "leader": "pg-evil-1"}),
        (
            "pigsty/pgsql/pg-meta/leader",
            {"cluster": "pg-meta", "leader": "{{ salt.cmd.run('id') }}"},
        ),
        ("pigsty/pgsql/pg-nobody/leader", {"cluster": "pg-nobody", "leader": "x"}),
        ("pigsty/pgsql/pg-test/leader", {"cluster": "pg-meta", "leader": "pg-meta-1"}),
        ("pigsty/pgsql/pg-test/member", {"member": ["a", "list"]}),
        ("salt/minion/10.99.99.99/start", "hello"),
    ]
    for tag, data in forged:
        code, _out, err = member.run(
            ["salt-call", "event.send", tag, json.dumps(data), "--out=quiet"]
        )
        assert code == 0, err
    eventually(
        "all are told",
        lambda: sum(line["hints"] for line in _lines(admin)) >= before + len(forged),
        "reactions end",
    )
    eventually("reactions have ended", admin.quiet, "reactions end")
    told = [line for line in _lines(admin) if line["at"] >= begin]
    assert not any(line["detail"].get("changed") for line in told), told
    assert any("it names pg-test in its tag, pg-meta inside" in line["outcome"] for line in told)
    assert any("no cluster pg-nobody" in line["outcome"] for line in told)
    assert scoped.leader()["member"] == leader
    assert _holders(sandbox, scoped) == [leader]
