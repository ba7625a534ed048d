"""What the state of backups does on a leader, on a replica, on a bare machine, and in test mode."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

STANZA = "stanza pg-test"
#: System identifiers: of this member's server, and of the one that had the name before.
OWN, OLD = 2, 1


def stanza(code, *kinds, system=OWN):
    """A repository's answer."""
    backups = [
        {"label": k, "type": k, "timestamp": {"start": 1, "stop": 2}, "database": {"id": system}}
        for k in kinds
    ]
    status = {"code": code, "message": "m"}
    known = [{"id": number, "system-id": number} for number in range(1, system + 1)]
    return [{"name": "pg-test", "status": status, "backup": backups, "db": known}]


class Repository:
    """pgBackRest in memory."""

    def __init__(self, module):
        self.module, self.answer, self.calls = module, stanza(1), []

    def record(self, system):
        """Have the stanza in the machine's own folder."""
        file = self.module._archive_info()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[db]\ndb-system-id={system}\n")

    def execute(self, arguments, deadline):
        self.calls.append(list(arguments))
        if arguments[0] in ("stanza-create", "stanza-upgrade"):
            self.answer = stanza(2)
            self.record(OWN)
        if arguments[0] == "backup":
            self.answer = stanza(0, arguments[1].partition("=")[2])
        return ""


@pytest.fixture
def setup(member, tmp_path):
    """Return a function: the live role, gives the state and the repository behind it."""
    pgsql = member.pillar["pigsty"]["pgsql"]
    pgsql["params"]["pg_data"] = str(tmp_path)
    pgsql["backup"]["options"]["path"] = str(tmp_path / "backup")
    (tmp_path / "global").mkdir()
    (tmp_path / "global/pg_control").write_bytes(OWN.to_bytes(8, sys.byteorder) + bytes(100))

    def build(role):
        member.live = role
        module = member.load("_modules", "pigsty_pgbackrest")
        repository = Repository(module)
        module.execute = repository.execute
        module.info = lambda: repository.answer
        module._await_lead = lambda: None
        for name in ("plan", "carry_out"):
            member.salt[f"pigsty_pgbackrest.{name}"] = getattr(module, name)
        return member.load("_states", "pigsty_pgbackrest").managed, repository

    return build


def test_the_leader_makes_the_stanza_and_the_first_backup_once(setup):
    managed, repository = setup("primary")
    ret = managed("pg-test")
    assert ret["result"] is True
    assert list(ret["changes"]) == [STANZA, "backup"]
    assert repository.calls == [["stanza-create"], ["check"], ["backup", "--type=full"]]
    repository.calls.clear()
    assert managed("pg-test")["changes"] == {}
    assert repository.calls == []


@pytest.mark.parametrize("command", ["backup", "restore", "check", "info"])
def test_who_waits_for_a_backup_or_a_restore_is_told_how_far_it_is(member, command):
    ran, stages = [], []
    lines = [
        "2026-03-01 12:00:00.123 P01 DETAIL: backup file /d/a (8KB, 25.00%)\n",
        "2026-03-01 12:00:00.124 P01 DETAIL: reference pg_data/x to F\n",
        "2026-03-01 12:00:00.125 P00   WARN: a page is odd\n",
        "2026-03-01 12:00:00.126 P01 DETAIL: backup file /d/b (24KB, 100.00%)\n",
    ]

    def answer(words, user, group, deadline, take):
        ran.append((words, user))
        return "".join(line for line in lines if take is None or not take(line))

    member.salt |= {
        "pigsty_command.answer": answer,
        "pigsty_work.tell": lambda **stage: stages.append((stage["done"], stage["total"])),
    }
    module = member.load("_modules", "pigsty_pgbackrest")
    said = module.execute([command, "--type=full"], "backup.run")
    ((words, user),) = ran
    assert (words[:3], user) == (["pgbackrest", "--stanza=pg-test", command], "postgres")
    tells = command in ("backup", "restore")
    assert ("--log-level-console=detail" in words) is tells
    assert stages == ([(8192, 32768), (32768, 32768)] if tells else [])
    assert said == (lines[2] if tells else "".join(lines))


def test_a_test_run_says_the_same_and_does_nothing(setup, member):
    managed, repository = setup("primary")
    member.opts["test"] = True
    tested = managed("pg-test")
    assert (tested["result"], repository.calls) == (None, [])
    member.opts["test"] = False
    assert managed("pg-test")["changes"] == tested["changes"]


def test_a_stanza_without_a_backup_gets_one(setup):
    managed, repository = setup("primary")
    repository.answer = stanza(2)
    managed("pg-test")
    assert repository.calls == [["backup", "--type=full"]]


@pytest.mark.parametrize(("then", "fine"), [("replica", True), ("primary", False)])
def test_a_lead_that_is_lost_meanwhile_is_no_failure(setup, member, then, fine):
    managed, repository = setup("primary")
    repository.record(OWN)
    repository.answer = stanza(2)

    def fails(arguments, deadline):
        member.live = then
        raise CommandExecutionError("unable to find primary cluster")

    repository.module.execute = fails
    ret = managed("pg-test")
    assert (ret["result"], ret["changes"]) == (fine, {})
    assert ("the lead of pg-test went to another member" in ret["comment"]) is fine


def test_no_first_backup_where_none_is_wanted(setup, member):
    managed, repository = setup("primary")
    member.pillar["pigsty"]["pgsql"]["params"]["pgbackrest_init_backup"] = False
    assert list(managed("pg-test")["changes"]) == [STANZA]
    assert repository.calls == [["stanza-create"], ["check"]]


def test_a_replica_prepares_its_own_repository_without_the_leader(setup):
    managed, repository = setup("replica")
    assert list(managed("pg-test")["changes"]) == [STANZA]
    assert repository.calls == [["stanza-create", "--no-online"]]
    assert managed("pg-test")["changes"] == {}


def test_what_an_older_cluster_of_this_name_left_is_taken_over(setup, member):
    managed, repository = setup("primary")
    repository.answer = stanza(0, "full", system=OLD)
    member.opts["test"] = True
    tested = managed("pg-test")["changes"]
    assert tested[STANZA] == {"old": "of system 1", "new": "of system 2"}
    member.opts["test"] = False
    assert managed("pg-test")["changes"] == tested
    assert repository.calls == [["stanza-upgrade"], ["check"], ["backup", "--type=full"]]
    assert managed("pg-test")["changes"] == {}


def test_a_replica_takes_the_stanza_of_its_own_folder_over(setup):
    managed, repository = setup("replica")
    repository.record(OLD)
    assert list(managed("pg-test")["changes"]) == [STANZA]
    assert repository.calls == [["stanza-upgrade", "--no-online"]]
    assert managed("pg-test")["changes"] == {}


def test_an_encrypted_folder_is_asked_whose_it_is(setup):
    managed, repository = setup("replica")
    repository.record("Salted__")
    repository.answer = stanza(0, "full", system=OLD)
    assert managed("pg-test")["changes"][STANZA]["old"] == "of system 1"


@pytest.mark.parametrize("what", ["managed", "backup"])
def test_a_stanza_that_somebody_else_could_use_is_left_alone(setup, member, what):
    managed, repository = setup("primary")
    member.pillar["pigsty"]["pgsql"]["backup"]["options"] = {"type": "s3", "path": "/b"}
    repository.answer = stanza(0, "full", system=OLD)
    if what == "managed":
        ret = managed("pg-test")
        assert (ret["result"], ret["changes"]) == (False, {})
        assert "system 1, here 2" in ret["comment"]
        assert "pgbackrest --stanza=pg-test stanza-upgrade" in ret["comment"]
    else:
        with pytest.raises(CommandExecutionError, match="another cluster of this name"):
            repository.module.backup("full")
    assert repository.calls == []


def test_a_replica_leaves_a_shared_repository_alone(setup, member):
    managed, repository = setup("replica")
    member.pillar["pigsty"]["pgsql"]["backup"]["options"] = {"type": "s3", "path": "/b"}
    assert managed("pg-test")["changes"] == {}
    assert repository.calls == []


def test_a_bare_machine_is_tested_without_pgbackrest(setup, member):
    managed, repository = setup(None)
    member.opts["test"] = True
    ret = managed("pg-test")
    assert (ret["result"], list(ret["changes"])) == (None, [STANZA, "backup"])
    assert repository.calls == []


def test_a_repository_in_trouble_fails_and_nothing_is_made(setup):
    managed, repository = setup("primary")
    repository.answer = stanza(99)
    ret = managed("pg-test")
    assert (ret["result"], ret["changes"], repository.calls) == (False, {}, [])


def test_what_pgbackrest_says_is_the_comment(setup):
    managed, repository = setup("primary")

    def refuse(*_):
        raise CommandExecutionError("pgbackrest stanza-create: no")

    repository.module.execute = refuse
    assert managed("pg-test")["comment"] == "pgbackrest stanza-create: no"


def test_a_backup_is_made_by_the_leader_only(setup):
    _, repository = setup("replica")
    with pytest.raises(CommandExecutionError, match="doesn't lead"):
        repository.module.backup("full")
    assert repository.calls == []


def test_a_backup_on_demand_makes_what_is_missing_first(setup):
    _, repository = setup("primary")
    assert repository.module.backup("diff")["type"] == "diff"
    assert repository.calls == [["stanza-create"], ["backup", "--type=diff"]]
    with pytest.raises(CommandExecutionError, match="no backup of type"):
        repository.module.backup("--stanza=x")


def test_a_backup_whose_leader_changed_meanwhile_says_so(setup, member):
    _, repository = setup("primary")
    made = repository.module.execute

    def execute(arguments, deadline):
        if arguments[0] != "backup":
            return made(arguments, deadline)
        member.live = "replica"
        raise CommandExecutionError("NULL result required to complete request")

    repository.module.execute = execute
    with pytest.raises(CommandExecutionError, match=r"another member meanwhile.*NULL result"):
        repository.module.backup("full")


@pytest.mark.parametrize("queued", [True, False])
def test_wal_that_isnt_archived_is_told_with_its_reason(setup, member, tmp_path, queued):
    managed, repository = setup("primary")
    member.pillar["pigsty"]["pgsql"]["directories"]["home"] = str(tmp_path)
    if queued:
        queue = tmp_path / "spool/archive/pg-test/out"
        queue.mkdir(parents=True)
        (queue / "00000001.error").write_text("39\nunable to write '/b': [28] No space left\n")
    made = repository.module.execute

    def execute(arguments, deadline):
        if arguments[0] == "check":
            raise CommandExecutionError("WAL segment 1 was not archived before the 60000ms timeout")
        return made(arguments, deadline)

    repository.module.execute = execute
    ret = managed("pg-test")
    assert (ret["result"], "was not archived" in ret["comment"]) == (False, True)
    assert ret["comment"].endswith("No space left") is queued


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_disk_is_said_first_and_what_it_means(setup, member, tmp_path, shared):
    managed, repository = setup("primary")
    (tmp_path / "backup").mkdir()
    if shared:
        member.pillar["pigsty"]["pgsql"]["backup"]["options"]["type"] = "s3"
    made = repository.module.execute

    def execute(arguments, deadline):
        if arguments[0] == "backup":
            raise CommandExecutionError(
                "pgbackrest backup: ERROR: [082]: unable to write '/b/x': [28] No space left on "
                "device"
            )
        return made(arguments, deadline)

    repository.module.execute = execute
    ret = managed("pg-test")
    assert ret["result"] is False
    first, _, rest = ret["comment"].partition("\n")
    assert "a disk is full" in first and "make room" in first
    assert (f"({tmp_path / 'backup'}, " in first) is not shared
    assert rest.endswith("unable to write '/b/x': [28] No space left on device")


def test_a_disk_that_fills_meanwhile_is_told_whatever_the_last_words_are(
    setup, monkeypatch, tmp_path
):
    managed, repository = setup("primary")
    free = SimpleNamespace(free=2**30)
    monkeypatch.setattr(repository.module.shutil, "disk_usage", lambda _: free)
    made = repository.module.execute

    def execute(arguments, deadline):
        if arguments[0] == "backup":
            free.free = 0
            raise CommandExecutionError("unable to write '/b/x': [2] No such file or directory")
        return made(arguments, deadline)

    repository.module.execute = execute
    comment = managed("pg-test")["comment"]
    assert comment.startswith("a disk is full")
    assert f"({tmp_path / 'backup'}, 0 B free)" in comment and comment.endswith("or directory")


def test_on_a_full_disk_nothing_is_begun_and_nobody_waits(setup, member, monkeypatch, tmp_path):
    managed, repository = setup("primary")
    free = SimpleNamespace(free=2**20)
    monkeypatch.setattr(repository.module.shutil, "disk_usage", lambda _: free)
    ret = managed("pg-test")
    assert (ret["result"], repository.calls) == (False, [["stanza-create"]])
    assert f"({tmp_path / 'backup'}) is full: 1.0 MiB free" in ret["comment"]
    # A disk of somebody else's is asked by its owner alone.
    member.pillar["pigsty"]["pgsql"]["backup"]["options"]["type"] = "s3"
    assert managed("pg-test")["result"] is True


def test_archiving_that_holds_the_lock_is_waited_for(setup, monkeypatch):
    managed, repository = setup("primary")
    made, held = repository.module.execute, ["once", "twice"]

    def execute(arguments, deadline):
        if arguments[0] == "stanza-create" and held:
            held.pop()
            raise CommandExecutionError("unable to acquire lock on file")
        return made(arguments, deadline)

    repository.module.execute = execute
    monkeypatch.setattr("pigsty.deadlines.POLL_SECONDS", 0)
    assert managed("pg-test")["result"] is True
    assert held == []
