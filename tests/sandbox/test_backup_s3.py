"""Backups in an object storage that all members reach: encrypted, over TLS, with its faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer, eventually
from s3 import ObjectStorage

BRIDGE, PORT, CA = "10.10.10.1", 9443, "/etc/pki/storage-ca.crt"
TABLE = "bucket_canary"
MIB = 2**20


@pytest.fixture(scope="module")
def storage(sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    """The object storage; the nodes have its CA."""
    found = ObjectStorage(BRIDGE, PORT, tmp_path_factory.mktemp("storage"))
    for host in sandbox.hosts:
        code, _, err = sandbox.node(host).run(["tee", CA], stdin=found.ca)
        assert code == 0, err
    found.start()
    yield found
    found.stop()
    for host in sandbox.hosts:
        sandbox.node(host).run(["rm", "-f", CA])


@pytest.fixture(scope="module")
def moved(admin: Any, pg_test: Cluster, storage: ObjectStorage) -> Iterator[Inventory]:
    """The inventory with pg-test's backups in the bucket; then they are on its own disks again."""
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    inventory = Inventory(admin)
    options = storage.options(
        CA,
        path="/${pg_cluster}",
        bundle=True,
        cipher_type="aes-256-cbc",
        retention_full_type="count",
        retention_full=2,
    )
    inventory.cluster("pg-test", pgbackrest_method="s3", pgbackrest_repo={"s3": options})
    # pg-meta's machine may read pg-test's backups, for a copy.
    inventory.cluster("pg-meta", pg_pitr={"cluster": "pg-test"})
    try:
        inventory.apply("pg-test")
        yield inventory
    finally:
        inventory.restore()
        # WAL of the time between is missing on the disk: what is restored now begins here.
        admin.pigsty("pgsql", "backup", "pg-test", "--type", "full")


@pytest.fixture
def s3(moved: Inventory, whole: Cluster) -> Cluster:
    """pg-test, whole, with its backups in the bucket."""
    return whole


@pytest.fixture
def rows(moved: Inventory, entry: Dsn) -> Iterator[Dsn]:
    """A table in the database `test`, through the service `primary`."""
    with entry.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        connection.execute(f"CREATE TABLE {TABLE} AS SELECT 0 AS id")
    yield entry
    with entry.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")


def _fill(dsn: Dsn, first: int, last: int) -> None:
    with dsn.connect() as connection:
        connection.execute(f"INSERT INTO {TABLE} SELECT generate_series({first}, {last})")


def _rows(dsn: Dsn) -> set[int]:
    with dsn.connect() as connection:
        return {row[0] for row in connection.execute(f"SELECT id FROM {TABLE}").fetchall()}


def _psql(node: Any, database: str, query: str, *options: str) -> str:
    """Ask a node's own server as its superuser."""
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtqd", database, "-c", query, *options]
    code, out, err = node.run(command)
    assert code == 0, err
    return str(out).strip()


def _labels(admin: Any) -> list[str]:
    return [backup["label"] for backup in admin.pigsty("pgsql", "backups", "pg-test")["backups"]]


def _archived(node: Any) -> bool:
    """Switch WAL, and wait until all that was written is in the archive."""
    segment = _psql(node, "postgres", "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    _psql(node, "postgres", "SELECT pg_current_xact_id(), pg_switch_wal()")
    last = "SELECT last_archived_wal FROM pg_stat_archiver"
    return eventually(
        f"{segment} is archived",
        lambda: _psql(node, "postgres", last) >= segment,
        "WAL is archived",
    )


@contextmanager
def _copy(admin: Any, cluster: str, *words: str) -> Iterator[str]:
    """A copy beside a live cluster; yields its machine's address."""
    command = ["pgsql", "restore", cluster]
    copy = admin.pigsty(*command, *words, "--side", "5440")[0]
    try:
        yield copy["host"]
    finally:
        code, _, err = admin.run(["pigsty", *command, "--remove"])
        assert code == 0, err


def _beside(node: Any) -> int:
    """Count the rows in the copy on a node."""
    aside = ["-h", "/var/run/postgresql", "-p", "5440"]
    return int(_psql(node, "test", f"SELECT count(*) FROM {TABLE}", *aside))


def _drilled(admin: Any) -> str:
    """What the admin node's exporter says of pg-test's last drill, as Prometheus asks it."""
    own = ["--cert", "/etc/prometheus/infra.crt", "--key", "/etc/prometheus/infra.key"]
    words = ["curl", "-s", "--cacert", "/etc/pki/ca.crt", *own]
    code, out, err = admin.run([*words, "https://10.10.10.10:9100/metrics"])
    assert code == 0, err
    name = 'pigsty_drill_success{cluster="pg-test"}'
    (line,) = [line for line in out.splitlines() if line.startswith(name)]
    return str(line.split()[1])


def _lag(cluster: Cluster) -> int:
    """Bytes that the furthest replica is behind."""
    return max(int(member["lag"] or 0) for member in cluster.members())


def _meanwhile(work: Callable[[], Any]) -> Future[Any]:
    pool = ThreadPoolExecutor(1)
    found = pool.submit(work)
    pool.shutdown(wait=False)
    return found


def test_all_is_encrypted_the_server_is_checked_and_a_second_apply_changes_nothing(
    sandbox: Any, admin: Any, s3: Cluster, storage: ObjectStorage, moved: Inventory
) -> None:
    assert admin.pigsty("pgsql", "backups", "pg-test")["backups"][0]["type"] == "full"
    objects = storage.objects("pg-test/")
    assert {name.split("/")[1] for name in objects} == {"archive", "backup"}
    assert [name for name, text in objects.items() if not text.startswith(b"Salted__")] == []
    # An authority that didn't sign the storage's certificate isn't enough.
    words = ["pgbackrest", "--repo1-storage-ca-file=/etc/pki/ca.crt", "--io-timeout=1", "info"]
    leader = sandbox.node(s3.leader()["host"])
    _, out, err = leader.run(["runuser", "-u", "postgres", "--", *words])
    assert "unable to verify certificate presented by" in out + err
    assert moved.unchanged("pg-test")


def test_a_leader_that_changes_during_a_backup_is_told_and_the_new_one_goes_on(
    sandbox: Any, admin: Any, s3: Cluster, storage: ObjectStorage, moved: Inventory
) -> None:
    labels, before = _labels(admin), s3.leader()
    command = ["pigsty", "pgsql", "backup", "pg-test", "--type", "full"]
    with storage.held("/backup/") as arrived:
        running = _meanwhile(lambda: admin.run(command))
        assert arrived.wait(60)
        admin.pigsty("pgsql", "switchover", "pg-test", "--yes")
    code, out, err = running.result(timeout=120)
    assert (code, "the lead of the cluster went to another member" in err) == (1, True), out + err
    assert _labels(admin) == labels
    after = s3.leader()
    assert after["member"] != before["member"]
    assert _archived(sandbox.node(after["host"]))
    # The new leader's backup stands on the old one's.
    made = admin.pigsty("pgsql", "backup", "pg-test", "--type", "incr")
    assert made["label"].startswith(f"{labels[-1]}_")
    assert _labels(admin) == [*labels, made["label"]]


def test_back_in_time_on_a_turned_cluster_exactly_the_rows_of_then_on_every_member(
    sandbox: Any, admin: Any, s3: Cluster, turned: Cluster, rows: Dsn, moved: Inventory, report: Any
) -> None:
    _fill(rows, 1, 50)
    then, past = _rows(rows), rows.ask("SELECT clock_timestamp()::text")
    rows.ask("SELECT pg_sleep(0.1)")
    _fill(rows, 51, 80)
    with rows.connect() as connection:
        connection.execute(f"DELETE FROM {TABLE} WHERE id <= 20")
    # First a look at it, beside the live cluster.
    with _copy(admin, "pg-test", "--to", past) as host:
        assert _beside(sandbox.node(host)) == len(then)
        assert len(_rows(rows)) == 60
    leader = turned.leader()
    assert leader["declared"] == "replica"
    started = time.monotonic()
    admin.pigsty("pgsql", "pitr", "pg-test", "--to", past, "--yes")
    report("restore of pg-test from S3 to a point in time", time.monotonic() - started, "s")
    eventually("the service is back", lambda: _rows(rows) == then, "services settle")
    eventually("pg-test is whole", lambda: s3.healthy(3), "old primary is a replica again")
    assert s3.leader()["timeline"] > leader["timeline"]
    for member in s3.members():
        found = _psql(sandbox.node(member["host"]), "test", f"SELECT array_agg(id) FROM {TABLE}")
        assert {int(word) for word in found.strip("{}").split(",")} == then
    assert admin.pigsty("pgsql", "backups", "pg-test")["backups"][-1]["type"] == "full"
    assert moved.unchanged("pg-test")


def test_another_clusters_backup_is_opened_beside_this_one(
    sandbox: Any, admin: Any, s3: Cluster, rows: Dsn
) -> None:
    _fill(rows, 1, 5)
    assert _archived(sandbox.node(s3.leader()["host"]))
    with _copy(admin, "pg-meta") as host:
        assert (host, _beside(sandbox.node(host))) == ("10.10.10.10", 6)


def test_a_drill_fails_loudly_and_restores_where_the_leader_is(
    admin: Any, s3: Cluster, turned: Cluster, storage: ObjectStorage
) -> None:
    before = turned.leader()
    with storage.gone():
        for command in (["drill", "pg-test"], ["pitr", "pg-test", "--to", "latest", "--yes"]):
            code, _, err = admin.run(["pigsty", "pgsql", *command])
            assert (code != 0, f"{BRIDGE}:{PORT}" in err) == (True, True), err
    assert _drilled(admin) == "0"
    assert s3.leader() == before
    assert admin.pigsty("pgsql", "drill", "pg-test")["host"] == before["host"]
    assert _drilled(admin) == "1"


def test_a_backup_that_the_storage_has_no_room_for_is_never_listed(
    admin: Any, s3: Cluster, storage: ObjectStorage
) -> None:
    labels = _labels(admin)
    with storage.full("/backup/"):
        code, out, err = admin.run(["pigsty", "pgsql", "backup", "pg-test", "--type", "full"])
    assert (code, "QuotaExceeded" in err) == (1, True), out + err
    assert _labels(admin) == labels


def test_a_silent_storage_doesnt_hold_up_a_switchover(
    sandbox: Any, admin: Any, s3: Cluster, storage: ObjectStorage, entry: Dsn, report: Any
) -> None:
    before = s3.leader()
    with storage.silent(), Writer(entry) as writer:
        _psql(sandbox.node(before["host"]), "postgres", "SELECT pg_switch_wal()")
        eventually("the replicas have it all", lambda: _lag(s3) < MIB, "services settle")
        started = time.monotonic()
        # It ends when the old leader follows the new one.
        admin.pigsty("pgsql", "switchover", "pg-test", "--yes")
        report(
            "switchover with a silent storage: until all follow", time.monotonic() - started, "s"
        )
        writer.wait_for_rows(20)
        report("… stall of writes", writer.longest_stall(), "s")
        assert writer.longest_stall() < DEADLINES["switchover with a silent archive"]
        code, _, err = admin.run(["pigsty", "pgsql", "backups", "pg-test"])
        assert (code, f"{BRIDGE}:{PORT}" in err) == (1, True), err
        assert writer.missing() == set()
    assert s3.leader()["member"] != before["member"]
    assert _archived(sandbox.node(s3.leader()["host"]))
