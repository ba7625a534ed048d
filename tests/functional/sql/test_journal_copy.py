"""The copy of the journal in a real PostgreSQL: over TLS, on whichever server takes writes."""

from __future__ import annotations

import os
import pwd
import re
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier, Literal

from pigsty import archive, pki
from pigsty.archive import Batch, Target
from pigsty.archiving import BACK_OFF, Archiver
from pigsty.clients.archive import Archive
from pigsty.errors import ClientError
from pigsty.events import Hint
from pigsty.journal import Journal

PASSWORD = "Zorilla.Admin.7"
#: Roles as every cluster has them, and the default privileges that new tables get there.
ROLES = f"""
    CREATE ROLE dbuser_dba SUPERUSER LOGIN PASSWORD '{PASSWORD}';
    CREATE ROLE dbrole_readonly; CREATE ROLE dbrole_offline; CREATE ROLE dbrole_readwrite;
    CREATE ROLE reader LOGIN IN ROLE dbrole_readonly;
    CREATE ROLE writer LOGIN IN ROLE dbrole_readonly, dbrole_readwrite;
    CREATE ROLE stranger LOGIN;
    ALTER DEFAULT PRIVILEGES FOR ROLE dbuser_dba GRANT SELECT ON TABLES TO dbrole_readonly;
    ALTER DEFAULT PRIVILEGES FOR ROLE dbuser_dba
        GRANT INSERT, UPDATE, DELETE ON TABLES TO dbrole_readwrite;
"""


def secure(instance, folder):
    """Have a server show a certificate, and take nobody over the network without TLS."""
    key, ca = pki.create_ca("a test's CA", 30)
    private = pki.make_key()
    leaf = pki.Leaf("server", ("localhost",), ("127.0.0.1",), 30)
    signed = pki.sign(key, ca, pki.make_csr(private), leaf, datetime.now(UTC))
    (folder / "ca.crt").write_bytes(ca)
    user = pwd.getpwnam(instance.server.dbsu)
    for name, content in (("server.key", private), ("server.crt", signed)):
        path = instance.data / name
        path.write_bytes(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, user.pw_uid, user.pw_gid)
    (instance.data / "pg_hba.conf").write_text(
        "local all all peer\nlocal replication all peer\n"
        "hostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    instance.query("ALTER SYSTEM SET ssl = on")
    instance.query("SELECT pg_reload_conf()")
    return str(folder / "ca.crt")


@pytest.fixture
def ca(instance, tmp_path):
    """File of the CA that the instance's certificate comes from; the roles are there."""
    instance.query(ROLES)
    return secure(instance, tmp_path)


@pytest.fixture
def copy(ca):
    """A function: servers to the copy on them."""

    def _copy(*instances, password=PASSWORD, ca=ca, database="postgres"):
        hosts = tuple(("127.0.0.1", found.server.port) for found in instances)
        return Archive(Target("pg-it", database, hosts, "dbuser_dba"), password, ca)

    return _copy


@pytest.fixture
def journal(tmp_path):
    found = Journal(tmp_path / "journal.db")
    yield found
    found.close()


def react(journal, at, cluster="a", outcome="a-2 leads a; followed on 10.1.1.1", troubles=None):
    """A reaction of two and a half seconds."""
    journal.note(Hint("pgsql.leader", cluster, "master", {"leader": "a-2", "previous": "a-1"}), at)
    reaction = journal.take(at)
    detail = {"changed": {"10.1.1.1": ["pgsql-hba"]}, "troubles": troubles or {}}
    journal.end(reaction, "done", outcome, at + 2.5, detail)


def bring(journal, copied):
    """One look of the archiver, which must succeed."""
    archiver = Archiver(lambda: journal, lambda: copied)
    archiver.look(journal)
    assert archiver.behind() == 0.0


def lines(instance):
    return instance.query("SELECT id, subject, outcome FROM pigsty.reaction ORDER BY queued")


def test_a_reaction_stands_in_the_table_with_all_that_is_known_of_it(instance, copy, journal):
    react(journal, 1_790_000_000.25)
    bring(journal, copy(instance))
    (row,) = instance.query(
        "SELECT subject, kind, cause, outcome, state, queued, duration, hints,"
        " effect -> 'changed' ->> '10.1.1.1', causes -> 0 ->> 'sender' FROM pigsty.reaction"
    )
    assert row == (
        "a",
        "pgsql.leader",
        "a-2 leads, after a-1",
        "a-2 leads a; followed on 10.1.1.1",
        "done",
        datetime.fromtimestamp(1_790_000_000.25, UTC),
        timedelta(seconds=2.5),
        1,
        '["pgsql-hba"]',
        "master",
    )


def test_the_questions_of_the_documentation_are_answered(instance, copy, journal):
    for number in range(2):
        react(journal, int(time.time()) - 100.0 + number * 10, f"c{number}")
    bring(journal, copy(instance))
    page = (Path(__file__).resolve().parents[3] / "docs/events.md").read_text("utf-8")
    (block,) = re.findall(r"^```sql\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    slowest, changes = (part for part in block.split(";") if part.strip())
    assert sorted(row[1:4] for row in instance.query(slowest)) == [
        (f"c{number}", timedelta(seconds=2.5), "a-2 leads, after a-1") for number in (0, 1)
    ]
    assert [row[:3] for row in instance.query(changes)] == [("10.1.1.1", "pgsql-hba", 2)]


def test_a_second_look_writes_nothing_and_what_changed_is_replaced(instance, copy, journal):
    react(journal, 1000.0)
    bring(journal, copy(instance))
    (before,) = instance.query("SELECT xmin::text FROM pigsty.reaction")
    bring(journal, copy(instance))
    assert instance.query("SELECT xmin::text FROM pigsty.reaction") == [before]
    journal.note(Hint("pgsql.leader", "a", "master", {"leader": "a-2"}), 1060.0, fired=999.0)
    react(journal, 1100.0, "b")
    bring(journal, copy(instance))
    assert instance.query("SELECT subject, hints FROM pigsty.reaction ORDER BY queued") == [
        ("a", 2),
        ("b", 1),
    ]


def test_a_line_that_has_become_part_of_another_one_goes(instance, copy, journal):
    for at, outcome in ((1000.0, "nothing new"), (1004.0, "a-2 leads a")):
        journal.note(Hint("pgsql.leader", "a", "master", {}), at)
        reaction = journal.take(at)
        journal.end(reaction, "done", outcome, at + 2, known=outcome == "nothing new")
        bring(journal, copy(instance))
    assert [outcome for _id, _subject, outcome in lines(instance)] == ["a-2 leads a"]


def test_texts_are_data_whatever_stands_in_them(instance, copy, journal):
    evil = "'); DROP TABLE pigsty.reaction; -- %s {} \\ \" \0 \u2028 €"
    react(journal, 1000.0, outcome=evil, troubles={"10.1.1.1": f"{evil} \ud83d", "%(id)s": [evil]})
    react(journal, 1010.0, "b", outcome="x" * 100_000)
    bring(journal, copy(instance))
    first, second = lines(instance)
    assert first[2] == evil.replace("\0", "\ufffd")
    assert len(second[2]) == 100_000


def test_a_backlog_of_many_batches_is_caught_up(instance, copy, journal):
    count = 2 * archive.BATCH + 7
    for number in range(count):
        react(journal, 1000.0 + 5 * number, f"c{number}")
    bring(journal, copy(instance))
    found = lines(instance)
    assert len(found) == len(set(found)) == count


def test_who_may_read_the_cluster_reads_it_and_nobody_writes(instance, copy, journal):
    react(journal, 1000.0)
    bring(journal, copy(instance))

    def may(role, privilege):
        query = "SELECT has_table_privilege(%s, 'pigsty.reaction', %s)"
        return instance.query(query, role, privilege)[0][0]

    assert may("reader", "SELECT")
    assert instance.query("SELECT has_schema_privilege('reader', 'pigsty', 'USAGE')") == [(True,)]
    assert not may("stranger", "SELECT")
    assert not any(may("writer", word) for word in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"))


def test_every_column_says_what_it_means(instance, copy):
    with copy(instance).session():
        pass
    found = instance.query(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = 'pigsty.reaction'::regclass AND attnum > 0"
    )
    assert len(found) == 16
    assert all(meaning for _name, meaning in found), found
    assert instance.query("SELECT obj_description('pigsty.reaction'::regclass)") != [(None,)]


def test_what_somebody_changed_about_the_table_stays(instance, copy, journal):
    react(journal, 1000.0)
    bring(journal, copy(instance))
    instance.query("GRANT SELECT ON pigsty.reaction TO stranger")
    instance.query("ALTER TABLE pigsty.reaction ADD note text; UPDATE pigsty.reaction SET note='?'")
    react(journal, 1010.0, "b")
    bring(journal, copy(instance))
    assert instance.query("SELECT note FROM pigsty.reaction ORDER BY queued") == [("?",), (None,)]
    assert instance.query("SELECT has_table_privilege('stranger', 'pigsty.reaction', 'SELECT')")[0]


def test_a_schema_that_is_there_is_used_as_it_is(instance, copy, journal):
    instance.query("CREATE ROLE dbuser_meta; CREATE SCHEMA pigsty AUTHORIZATION dbuser_meta")
    react(journal, 1000.0)
    bring(journal, copy(instance))
    owner = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'pigsty'"
    assert instance.query(owner) == [("dbuser_meta",)]
    assert len(lines(instance)) == 1


def test_it_goes_where_writes_are_taken_and_follows_the_lead(copy, instance, standby, journal):
    both = copy(standby, instance)
    react(journal, 1000.0)
    bring(journal, both)
    assert instance.query("SELECT pg_is_in_recovery()") == [(False,)]
    assert len(lines(instance)) == 1
    # The switch: the old leader goes without a word, the other one is promoted.
    instance.query("SELECT pg_switch_wal()")
    behind = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    (lsn,) = instance.query("SELECT pg_current_wal_lsn()::text")[0]
    assert _eventually(lambda: standby.query(behind, lsn) == [(True,)])
    instance.stop()
    react(journal, 1010.0, "b")
    archiver = Archiver(lambda: journal, lambda: both)
    archiver.look(journal)
    assert archiver.behind() > 0.0, "a standby takes no writes"
    standby.query("SELECT pg_promote()")
    bring(journal, both)
    assert [subject for _id, subject, _outcome in lines(standby)] == ["a", "b"]
    instance.start()


def _eventually(condition):
    from pigsty.deadlines import wait_until

    return wait_until(condition, "patroni.follows", "the standby has replayed") >= 0


@pytest.fixture
def refused(copy):
    """A function: options of a copy to why no session is opened."""

    def _refused(*instances, **options):
        with pytest.raises(ClientError) as caught, copy(*instances, **options).session():
            pass
        assert PASSWORD not in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return _refused


def test_a_server_that_somebody_else_certified_gets_no_password(
    instance, refused, tmp_path_factory
):
    _key, other = pki.create_ca("somebody else", 30)
    path = tmp_path_factory.mktemp("other") / "ca.crt"
    path.write_bytes(other)
    assert "certificate verify failed" in refused(instance, ca=str(path))


def test_nothing_goes_over_the_network_in_clear(instance, refused):
    instance.query("ALTER SYSTEM SET ssl = off")
    instance.query("SELECT pg_reload_conf()")
    _eventually(lambda: instance.query("SHOW ssl") == [("off",)])
    assert "SSL" in refused(instance)


def test_each_refusal_is_one_clear_line(instance, refused):
    assert refused(instance, password="Wrong").startswith("pg-it/postgres: ")
    assert 'database "nosuch" does not exist' in refused(instance, database="nosuch")
    instance.stop()
    assert "refused" in refused(instance)
    instance.start()


def test_a_table_that_somebody_holds_delays_no_longer_than_the_deadline(
    instance, copy, journal, monkeypatch
):
    from pigsty.clients import archive as client

    react(journal, 1000.0)
    bring(journal, copy(instance))
    react(journal, 1010.0, "b")
    monkeypatch.setattr(client, "DEADLINES", {**client.DEADLINES, "journal.copy": 3.0})
    with instance.server.impersonated():
        other = instance.server.connect("postgres")
    with closing(other), other.transaction():
        other.execute("LOCK TABLE pigsty.reaction IN ACCESS EXCLUSIVE MODE")
        archiver = Archiver(lambda: journal, lambda: copy(instance))
        archiver.look(journal)
        assert 2.5 < archiver.behind() < BACK_OFF[0], "it has waited for the lock, and not longer"
    bring(journal, copy(instance))
    assert len(lines(instance)) == 2


def test_a_batch_is_written_as_a_whole_or_not_at_all(instance, copy, journal):
    react(journal, 1000.0)
    react(journal, 1010.0, "b")
    good = archive.batch(journal, 0)
    first, second = good.rows
    bad = Batch((first, second.__class__(**{**_fields(second), "state": None})), (), good.revision)
    with suppress(ClientError), copy(instance).session() as session:
        session.write(journal.name(), bad)
    assert lines(instance) == []
    bring(journal, copy(instance))
    assert len(lines(instance)) == 2


def _fields(row):
    return {name: getattr(row, name) for name in row.__slots__}


def test_the_password_stands_in_no_log_of_the_server(instance, copy, journal):
    instance.query("ALTER SYSTEM SET log_connections = on")
    instance.query("SELECT pg_reload_conf()")
    instance.query(
        SQL("ALTER ROLE {} PASSWORD {}").format(Identifier("dbuser_dba"), Literal("Quagga.8"))
    )
    react(journal, 1000.0)
    before = instance.log.count("Quagga.8")
    bring(journal, copy(instance, password="Quagga.8"))
    assert instance.log.count("Quagga.8") == before


def test_it_is_seen_who_connects(instance, copy):
    with copy(instance).session():
        names = instance.query("SELECT application_name FROM pg_stat_activity")
    assert ("pigsty journal",) in names
