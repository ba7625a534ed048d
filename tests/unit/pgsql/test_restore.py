"""Restored copies: how they are filled and started, and when a step refuses."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from salt.exceptions import CommandExecutionError

from pigsty import dcs
from pigsty.backups import Target
from pigsty.clients.consul import ConsulStore
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.errors import ClientError
from pigsty.pitr import exclusive
from pigsty.render import restore

LATEST = {"kind": "latest", "value": "", "exclusive": False}
NOON = Target("time", "2026-03-01 12:00:00.000000+00:00")


def settings_of(command):
    return dict(command[at + 1].split("=", 1) for at, word in enumerate(command) if word == "-c")


def test_a_copy_beside_never_touches_the_live_cluster(pillar):
    spec = pillar()
    copy = restore.side(spec, 5440)
    words = restore.restore(copy, "pg-test", NOON, "F")
    assert copy.data != spec["params"]["pg_data"]
    assert f"--pg1-path={copy.data}" in words
    assert "--archive-mode=off" in words
    assert f"--tablespace-map-all={copy.data}.tablespaces" in words
    assert "--delta" not in words
    settings = settings_of(restore.start(copy, spec, {}))
    assert settings["archive_mode"] == "off"
    assert settings["port"] == "5440"
    assert settings["shared_buffers"] == "128MB"


def test_a_drill_listens_nowhere_and_shares_nothing_with_a_persons_copy(pillar):
    copy, side = restore.drill(pillar()), restore.side(pillar(), 5440)
    assert settings_of(restore.start(copy, pillar(), {}))["listen_addresses"] == ""
    assert copy.socket.endswith("/drill")
    assert not {copy.unit, copy.data, copy.log, copy.socket} & {side.unit, side.data, side.log}


def test_in_place_nobody_connects_and_archiving_goes_on(pillar):
    spec = pillar()
    copy = restore.place(spec)
    assert copy.data == spec["params"]["pg_data"]
    settings = settings_of(restore.start(copy, spec, {}))
    assert settings["listen_addresses"] == ""
    assert settings["unix_socket_directories"] != spec["params"]["pg_localhost"]
    # The history of the new timeline has to come to the archive.
    assert "archive_mode" not in settings
    assert "--delta" in restore.restore(copy, "pg-test", NOON, "F")


def test_recovery_promotes_at_its_target(pillar):
    copy = restore.place(pillar())
    words = restore.restore(copy, "pg-test", NOON, "F", "3")
    assert {"--type=time", f"--target={NOON.value}", "--target-action=promote"} <= set(words)
    assert {"--set=F", "--target-timeline=3"} <= set(words)
    latest = restore.restore(copy, "pg-test", Target("latest"), "F")
    assert "--type=default" in latest
    # pgBackRest refuses it without a target.
    assert not any(word.startswith("--target") for word in latest)


def test_a_copy_of_another_cluster_reads_its_repository(pillar):
    copy = restore.side(pillar(), 5440)
    words = restore.restore(copy, "pg-meta", NOON, "F", config=copy.config)
    command = next(word for word in words if word.startswith("--recovery-option"))
    assert f"--config={copy.config} --stanza=pg-meta" in command


def test_the_end_of_a_backup_has_its_own_timeline(pillar):
    words = restore.restore(restore.place(pillar()), "pg-test", Target("immediate"), "F", "3")
    assert not any(word.startswith("--target-timeline") for word in words)


def test_right_before_a_point(pillar):
    words = restore.restore(restore.place(pillar()), "pg-test", exclusive(NOON), "F")
    assert "--target-exclusive" in words


def test_settings_that_recovery_needs_come_from_the_backup():
    lines = [
        "pg_control version number:            1700",
        "wal_level setting:                    logical",
        "max_connections setting:              500",
        "track_commit_timestamp setting:       on",
    ]
    assert restore.controls(lines) == {
        "wal_level": "logical",
        "max_connections": "500",
        "track_commit_timestamp": "on",
    }


def test_what_patroni_forgets_is_not_its_configuration():
    assert "leader" in dcs.LEADERSHIP
    assert "status" in dcs.LEADERSHIP
    assert not {"config", "initialize", "history"} & set(dcs.LEADERSHIP)


@pytest.fixture
def machine(member, tmp_path):
    """The restore's module on a member whose data are below a temporary folder."""
    spec = member.pillar["pigsty"]["pgsql"]
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    spec["params"]["pg_data"] = str(data)
    spec["directories"]["main"] = str(tmp_path)
    member.install("patroni.service", "inactive")
    for unit in ("pigsty-restore.service", "pigsty-side.service", "pigsty-drill.service"):
        member.units[unit] = {"LoadState": "not-found", "ActiveState": "inactive"}
    member.calls = []
    member.salt |= {
        "pigsty_pgbackrest.execute": lambda words, *_: member.calls.append(words),
        "pigsty_pgbackrest.info": lambda source=False: [],
        "pigsty_pgbackrest.stanza": lambda source=False: "other" if source else "pg-test",
        "pigsty_patroni.status": lambda: {"paused": member.paused},
    }
    member.paused = False
    module = member.load("_modules", "pigsty_restore")
    module.member, module.data = member, data
    return module


def test_files_are_restored_where_nothing_runs(machine):
    assert machine.fill(LATEST, "F") == {"restored": "F"}
    assert machine.member.calls[0][0] == "restore"


@pytest.mark.parametrize("step", ["fill", "recover", "forget", "serve"])
def test_nothing_is_done_while_patroni_runs(machine, step):
    machine.member.install("patroni.service", "active")
    words = {"fill": (LATEST, "F"), "serve": (True,)}.get(step, ())
    with pytest.raises(CommandExecutionError, match="Patroni runs"):
        getattr(machine, step)(*words)
    assert machine.member.calls == []
    assert machine.data.exists()


@pytest.mark.parametrize("step", ["fill", "recover", "forget", "serve"])
def test_nothing_is_done_while_postgresql_runs(machine, step):
    (machine.data / "postmaster.pid").write_text("1\n")
    words = {"fill": (LATEST, "F"), "serve": (True,)}.get(step, ())
    with pytest.raises(CommandExecutionError, match="PostgreSQL runs"):
        getattr(machine, step)(*words)
    assert machine.data.exists()


@pytest.mark.parametrize("store", ["etcd", "consul"])
def test_the_last_leader_is_forgotten_in_the_store_of_the_cluster(machine, monkeypatch, store):
    spec = machine.member.pillar["pigsty"]["pgsql"]
    if store == "consul":
        spec["patroni"]["consul"] = {"url": "https://c:8501", "token": "T", "ca": ""}
    deleted = []
    kinds = {"etcd": EtcdStore, "consul": ConsulStore}
    monkeypatch.setattr(kinds[store], "delete", lambda _self, key: deleted.append(key))
    assert machine.forget() == {"forgotten": list(dcs.LEADERSHIP)}
    assert deleted == [f"/pg/pg-test/{key}" for key in dcs.LEADERSHIP]


def test_a_store_that_refuses_is_one_error(machine, monkeypatch):
    def refuse(_self, key):
        raise ClientError(f"etcd refuses {key}")

    monkeypatch.setattr(EtcdStore, "delete", refuse)
    with pytest.raises(CommandExecutionError, match="etcd refuses /pg/pg-test/failover"):
        machine.forget()


def test_only_a_paused_cluster_is_stopped(machine):
    machine.member.install("patroni.service", "active")
    with pytest.raises(CommandExecutionError, match="isn't paused"):
        machine.halt()
    assert machine.member.acts == []
    machine.member.paused = True
    machine.halt()
    assert machine.member.acts == [("stop", "patroni.service")]
    assert machine.member.told == ["stops Patroni"]


def test_a_replica_starts_without_its_data_and_tablespaces(machine, tmp_path):
    space = tmp_path / "space"
    (space / "PG_17_2024").mkdir(parents=True)
    (space / "other").mkdir()
    (machine.data / "pg_tblspc").mkdir()
    (machine.data / "pg_tblspc/16400").symlink_to(space)
    machine.serve(empty=True)
    assert not machine.data.exists()
    assert [entry.name for entry in space.iterdir()] == ["other"]
    assert machine.member.acts == [("start", "patroni.service")]


class Server:
    """The restored server: it takes no connection, then answers what stands in `rows`."""

    def __init__(self, rows):
        self.rows = rows

    @contextmanager
    def impersonated(self):
        yield

    @contextmanager
    def connect(self, _database):
        if self.rows[:1] == [None]:
            self.rows.pop(0)
            raise psycopg.OperationalError("the database system is starting up")
        yield self

    def execute(self, query):
        if "pg_control_checkpoint" in query:
            found = (2, "0/6")
        elif "pg_last_committed" in query:
            found = ("11:59",)
        else:
            found = self.rows.pop(0)
        return SimpleNamespace(fetchone=lambda: found)


def test_a_recovery_tells_how_far_it_has_come_until_it_is_promoted(machine, monkeypatch):
    stages = []
    rows = [None, (True, "0/4", None), (True, "0/5", "11:58"), (True, "0/6", "11:59")]
    log = Path(machine.restore.place(machine._spec()).log)
    words = iter(["starting\n", "", "", "recovery stopping before commit of transaction 7\n"])

    def tell(phase, done=0, total=0, detail=""):
        stages.append((phase, detail))

    def show(unit):
        with log.open("a") as file:
            file.write(next(words, ""))
        return {unit: {"LoadState": "loaded", "ActiveState": "active"}}

    server = Server([*rows, (False, None, None)])
    monkeypatch.setattr(machine, "_server", lambda _copy: server)
    monkeypatch.setattr(machine, "_program", lambda *_: "")
    monkeypatch.setattr("pigsty.deadlines.POLL_SECONDS", 0)
    log.parent.mkdir(exist_ok=True)
    machine.member.salt |= {
        "pigsty_work.tell": tell,
        "pigsty_systemd.show": show,
        "pigsty_command.run": lambda *_: None,
    }
    found = machine._recover(machine.restore.place(machine._spec()))
    assert (found["timeline"], found["last_commit"]) == (2, "11:59")
    assert stages == [
        ("replays WAL until the data files agree", ""),
        ("replays WAL", "at 0/4"),
        ("replays WAL", "at 0/5, 11:58"),
        ("is promoted", "at 0/6"),
    ]


def test_the_leader_starts_with_its_data(machine):
    machine.serve()
    assert (machine.data / "PG_VERSION").exists()


def test_a_second_copy_is_refused(machine, tmp_path):
    (tmp_path / "side").mkdir()
    with pytest.raises(CommandExecutionError, match="there is a copy already"):
        machine.side(LATEST, "F", 5440)
    assert machine.remove() == {"removed": str(tmp_path / "side")}
    assert machine.remove() == {"removed": None}


def test_nothing_is_left_of_a_copy_that_fails(machine, tmp_path, monkeypatch):
    answer = [{"name": "pg-test", "status": {"code": 0}, "backup": [{"label": "F"}]}]
    machine.member.salt["pigsty_pgbackrest.info"] = lambda source=False: answer

    def fail(*_):
        assert (tmp_path / "side/data").is_dir()
        raise CommandExecutionError("the repository is silent")

    machine.member.salt["pigsty_pgbackrest.execute"] = fail
    monkeypatch.setattr(machine.shutil, "chown", lambda *_: None)
    monkeypatch.setattr(machine.pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=0))
    with pytest.raises(CommandExecutionError, match="silent"):
        machine.side(LATEST, "F", 5440)
    assert not (tmp_path / "side").exists()


def test_a_drill_leaves_a_persons_copy_alone_and_removes_its_own(machine, tmp_path):
    (tmp_path / "side").mkdir()
    (tmp_path / "drill").mkdir()
    with pytest.raises(CommandExecutionError, match="no backup F"):
        machine.side(LATEST, "F")
    assert (tmp_path / "side").exists()
    assert not (tmp_path / "drill").exists()
    (tmp_path / "drill").mkdir()
    assert machine.remove(drill=True) == {"removed": str(tmp_path / "drill")}
    assert (tmp_path / "side").exists()


def test_a_copy_that_finds_no_space_or_backup_is_refused(machine, tmp_path):
    with pytest.raises(CommandExecutionError, match="no backup F"):
        machine.side(LATEST, "F", 5440)
    huge = {"label": "F", "type": "full", "info": {"size": 2**62}}
    answer = [{"name": "pg-test", "status": {"code": 0}, "backup": [huge]}]
    machine.member.salt["pigsty_pgbackrest.info"] = lambda source=False: answer
    with pytest.raises(CommandExecutionError, match=r"free, the copy needs .* nothing was done"):
        machine.side(LATEST, "F", 5440)
    assert not (tmp_path / "side").exists()


def test_in_place_the_data_that_go_make_room(machine, monkeypatch, tmp_path):
    space = tmp_path / "space/PG_17_2024"
    space.mkdir(parents=True)
    (space / "1").write_bytes(bytes(2**20))
    (machine.data / "pg_tblspc").mkdir()
    (machine.data / "pg_tblspc/16400").symlink_to(tmp_path / "space")
    (machine.data / "base").write_bytes(bytes(2**20))
    free = SimpleNamespace(free=2**20)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: free)
    assert machine.lacks(3 * 2**20) == {"problem": ""}
    problem = machine.lacks(2**30)["problem"]
    assert problem.startswith(f"{machine.data} has 2.0 MiB of data that go and 1.0 MiB free")
    assert problem.endswith("the backup needs 1.0 GiB")


def test_where_the_data_are_gone_the_disk_itself_counts(machine, monkeypatch):
    machine._empty(machine.data)
    asked = []

    def usage(path):
        asked.append(path)
        return SimpleNamespace(free=10)

    monkeypatch.setattr(machine.shutil, "disk_usage", usage)
    assert "0 B of data that go and 10 B free" in machine.lacks(11)["problem"]
    assert asked == [machine.data.parent]
