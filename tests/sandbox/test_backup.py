"""Backups that are there, archiving that follows the leader, and going back in time to the row."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from expect import Cluster, Dsn, eventually

TABLE = "backup_canary"
REPOSITORY = "/pg/backup"
#: What stands beside the backups of a stanza.
KEPT = {"backup.history", "backup.info", "backup.info.copy", "latest"}


def _backups(admin: Any, cluster: str) -> dict[str, Any]:
    code, out, err = admin.run(["pigsty", "pgsql", "backups", cluster, "-o", "json"])
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def _pigsty(admin: Any, *words: str) -> tuple[str, str]:
    code, out, err = admin.run(["pigsty", "pgsql", *words])
    assert code == 0, err
    return out, err


def _ask(node: Any, query: str, *options: str) -> str:
    """Ask a node's own server as its superuser."""
    code, out, err = node.run(
        ["runuser", "-u", "postgres", "--", "psql", "-XAtqc", query, *options]
    )
    assert code == 0, err
    return str(out).strip()


def _changed(admin: Any) -> dict[str, int]:
    code, out, err = admin.run(["pigsty", "apply", "--yes", "-o", "json"])
    assert code == 0, err
    return {row["host"]: row["changed"] for row in json.loads(out) if row["changed"]}


@pytest.fixture
def rows(meta_dsn: Dsn) -> Iterator[Dsn]:
    """A table in the database `meta`, through the service `primary`."""
    with meta_dsn.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        connection.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY)")
    yield meta_dsn
    with meta_dsn.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")


def _insert(dsn: Dsn, first: int, last: int) -> None:
    with dsn.connect() as connection:
        for number in range(first, last + 1):
            connection.execute(f"INSERT INTO {TABLE} VALUES (%s)", (number,))


def _rows(dsn: Dsn) -> set[int]:
    with dsn.connect() as connection:
        return {row[0] for row in connection.execute(f"SELECT id FROM {TABLE}").fetchall()}


@pytest.mark.parametrize("cluster", ["pg-meta", "pg-test"])
def test_a_full_backup_is_there_and_nothing_is_shown_to_others(
    sandbox: Any, admin: Any, cluster: str
) -> None:
    found = _backups(admin, cluster)
    assert found["backups"][0]["type"] == "full"
    assert found["window"]["from"]
    node = sandbox.node(found["host"])
    code, mode, _ = node.run(["stat", "-c", "%a %U", "/etc/pgbackrest/pgbackrest.conf"])
    assert (code, mode.strip()) == (0, "640 postgres")


def test_archiving_goes_on_after_a_change_of_leader_without_an_apply(
    sandbox: Any, admin: Any, pg_test: Cluster
) -> None:
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    before = pg_test.leader()
    _pigsty(admin, "switchover", "pg-test", "--yes")
    after = pg_test.leader()
    assert after["member"] != before["member"]
    node = sandbox.node(after["host"])
    segment = _ask(node, "SELECT pg_walfile_name(pg_current_wal_lsn()), pg_current_xact_id()")
    _ask(node, "SELECT pg_switch_wal()")
    eventually(
        "the new leader's WAL is archived",
        lambda: _ask(node, "SELECT last_archived_wal FROM pg_stat_archiver") >= segment[:24],
        "WAL is archived",
    )
    # A repository on the member's own disk has no backup yet: the apply makes one, once.
    _changed(admin)
    assert _backups(admin, "pg-test")["host"] == after["host"]
    assert [b["type"] for b in _backups(admin, "pg-test")["backups"]][:1] == ["full"]
    assert _changed(admin) == {}


def test_the_schedules_program_works_on_the_leader_and_rests_on_a_replica(
    sandbox: Any, admin: Any, pg_test: Cluster
) -> None:
    leader = pg_test.leader()
    count = len(_backups(admin, "pg-test")["backups"])
    for member in pg_test.members():
        node = sandbox.node(member["host"])
        code, out, err = node.run(["runuser", "-u", "postgres", "--", "/pg/bin/pg-backup", "incr"])
        leads = member["member"] == leader["member"]
        assert code == (0 if leads else 1), out + err
        assert leads or (out, "another member leads" in err) == ("", True)
    found = _backups(admin, "pg-test")
    assert (found["host"], len(found["backups"])) == (leader["host"], count + 1)


@pytest.mark.parametrize("kind", ["time", "lsn", "xid", "name"])
def test_a_copy_beside_the_live_cluster_shows_the_past(
    sandbox: Any, admin: Any, rows: Dsn, kind: str
) -> None:
    _insert(rows, 1, 10)
    host = _backups(admin, "pg-meta")["host"]
    query = {
        "time": "SELECT clock_timestamp()::text",
        "lsn": "SELECT pg_current_wal_insert_lsn()",
        "xid": "SELECT pg_current_xact_id()",
        "name": "SELECT pg_create_restore_point('then'), 'then'",
    }[kind]
    past = _ask(sandbox.node(host), query).rpartition("|")[2]
    rows.ask("SELECT pg_sleep(0.1)")
    _insert(rows, 11, 20)
    _pigsty(admin, "restore", "pg-meta", "--to", f"{kind}:{past}", "--side", "5440")
    try:
        copy = ["-h", "/var/run/postgresql", "-p", "5440", "-d", "meta"]
        seen = _ask(sandbox.node(host), f"SELECT count(*), max(id) FROM {TABLE}", *copy)
        assert seen == "10|10"
        assert len(_rows(rows)) == 20
    finally:
        _pigsty(admin, "restore", "pg-meta", "--remove")


def test_back_in_time_exactly_the_rows_of_then(
    admin: Any, pg_meta: Cluster, rows: Dsn, report: Any
) -> None:
    _insert(rows, 1, 50)
    then, past = _rows(rows), rows.ask("SELECT clock_timestamp()::text")
    rows.ask("SELECT pg_sleep(0.1)")
    _insert(rows, 51, 80)
    with rows.connect() as connection:
        connection.execute(f"DELETE FROM {TABLE} WHERE id <= 20")
    backups = len(_backups(admin, "pg-meta")["backups"])
    timeline = pg_meta.leader()["timeline"]
    started = time.monotonic()
    _, told = _pigsty(admin, "pitr", "pg-meta", "--to", past, "--yes")
    # Without a terminal each phase that lasts has its line; of a small cluster not all of them do.
    for step in ("restore backup", "replay WAL to time", "full backup of pg-meta"):
        assert re.search(rf"(?m)^{step}.*: [a-z].+ \(\d+ s\)$", told), told
    for line in (line for line in told.splitlines() if "copies files" in line):
        assert re.search(r": copies files, \d+ % of \d+\.\d [KMGT]iB \(\d+ s\)$", line), told
    report("restore of pg-meta to a point in time, in place", time.monotonic() - started, "s")
    eventually("the service is back", lambda: _rows(rows) == then, "services settle")
    assert pg_meta.leader()["timeline"] > timeline
    found = _backups(admin, "pg-meta")["backups"]
    assert found[-1]["type"] == "full"
    assert found[-1]["label"] not in [entry["label"] for entry in found[: backups - 1]]
    # It takes writes again, and all of it is as the inventory says.
    _insert(rows, 100, 101)
    assert _changed(admin) == {}


@pytest.mark.parametrize("point", ["2020-01-01", "2099-01-01", "0/1", "xid:999999999"])
def test_a_point_outside_the_window_is_refused_before_anything_is_touched(
    admin: Any, pg_meta: Cluster, point: str
) -> None:
    before = pg_meta.leader()
    code, _, err = admin.run(["pigsty", "pgsql", "pitr", "pg-meta", "--to", point, "--yes"])
    assert (code, "nothing was touched" in err) == (4, True)
    assert pg_meta.leader() == before


def test_a_restore_point_that_isnt_in_the_archive_leaves_no_copy(sandbox: Any, admin: Any) -> None:
    command = ["pigsty", "pgsql", "restore", "pg-meta", "--to", "name:never", "--side", "5440"]
    code, _, err = admin.run(command)
    assert (code, "recovery ended before configured recovery target was reached" in err) == (
        1,
        True,
    )
    assert admin.run(["test", "-e", "/pg/side"])[0] == 1


def test_a_drill_proves_it(admin: Any) -> None:
    out, _ = _pigsty(admin, "drill", "pg-meta", "-o", "json")
    assert json.loads(out)["written"]


@pytest.fixture
def cramped(sandbox: Any, pg_meta: Cluster) -> Iterator[Any]:
    """The leader of pg-meta with its repository on a small disk, whose contents come back."""
    node = sandbox.node(pg_meta.leader()["host"])
    small = f"""real=$(readlink -f {REPOSITORY}) && mkdir -p /run/cramped
        mount -t tmpfs -o size=$(($(du -sm "$real" | cut -f1) + 64))m tmpfs /run/cramped
        cp -a "$real/." /run/cramped/ && chown --reference="$real" /run/cramped
        chmod --reference="$real" /run/cramped && mount --bind /run/cramped "$real" """
    code, out, err = node.run(["sh", "-ec", small])
    assert code == 0, out + err
    try:
        yield node
    finally:
        # Archiving may be at work there in this moment, and no segment must get lost.
        back = f"""real=$(readlink -f {REPOSITORY}); umount -l "$real"; rm -f /run/cramped/ballast
            cp -a /run/cramped "$real.new" && mv "$real" "$real.old" && mv "$real.new" "$real"
            rm -rf "$real.old"; umount -l /run/cramped"""
        code, out, err = node.run(["sh", "-ec", back])
        assert code == 0, out + err


def test_a_full_disk_of_the_repository_is_told_and_when_there_is_room_all_goes_on(
    admin: Any, cramped: Any, rows: Dsn, report: Any
) -> None:
    labels = [backup["label"] for backup in _backups(admin, "pg-meta")["backups"]]
    assert cramped.run(["sh", "-c", f"! cat /dev/zero > {REPOSITORY}/ballast"])[0] == 0
    command = ["pigsty", "pgsql", "backup", "pg-meta", "--type", "full"]
    started = time.monotonic()
    code, out, err = admin.run(command)
    report("a full disk of the repository: to the error", time.monotonic() - started, "s")
    assert code == 1, out + err
    assert f"the disk of the repository ({REPOSITORY}) is full: 0 B free" in err
    assert "Traceback" not in err
    # The database goes on, and nobody takes for a backup what is none.
    _insert(rows, 1, 50)
    assert [backup["label"] for backup in _backups(admin, "pg-meta")["backups"]] == labels
    assert cramped.run(["rm", f"{REPOSITORY}/ballast"])[0] == 0
    room = time.monotonic()
    segment = _ask(cramped, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    _ask(cramped, "SELECT pg_current_xact_id(), pg_switch_wal()")
    eventually(
        "what waited is archived",
        lambda: _ask(cramped, "SELECT last_archived_wal FROM pg_stat_archiver") >= segment,
        "WAL is archived",
    )
    report("… from room to the last segment in the archive", time.monotonic() - room, "s")
    _pigsty(admin, "backup", "pg-meta", "--type", "full")
    found = [backup["label"] for backup in _backups(admin, "pg-meta")["backups"]]
    assert found[-1] not in labels
    folder = cramped.run(["ls", f"{REPOSITORY}/backup/pg-meta"])[1].split()
    assert set(folder) - KEPT == set(found), "nothing half-done is left"
    assert _rows(rows) == set(range(1, 51))
