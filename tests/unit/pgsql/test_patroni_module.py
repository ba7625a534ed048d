"""This member's Patroni as the states ask for it: the live role, and waiting until it serves."""

from __future__ import annotations

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import deadlines
from pigsty.clients.patroni import Status
from pigsty.errors import ClientError

UNIT = "patroni.service"


def status(state="running", role="primary", unlocked=False):
    return Status("pg-test-1", "pg-test", state, role, 1, "", (), False, unlocked, "4.0.7")


class Api:
    """Answers of the REST API, one after the other; the last one stays."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def status(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


SILENT = ClientError("GET https://10.1.1.11:8008/patroni: Connection refused")


@pytest.fixture
def module(member, monkeypatch, tmp_path):
    found = member.load("_modules", "pigsty_patroni")
    spec = member.pillar["pigsty"]["pgsql"]
    spec["params"]["pg_data"] = str(tmp_path / "data")
    (tmp_path / "data").mkdir()
    member.install(UNIT, "active")
    found.data = tmp_path / "data"
    quick = dict.fromkeys(deadlines.DEADLINES, 0.2)
    monkeypatch.setattr(deadlines, "DEADLINES", quick)
    monkeypatch.setattr(deadlines, "POLL_SECONDS", 0.001)

    def answers(*given):
        api = Api(*given)
        monkeypatch.setattr(found, "_client", lambda: api)
        return found

    found.answers = answers
    return found


def test_a_member_without_data_has_no_role(module):
    assert module.answers(SILENT).live_role() is None


@pytest.mark.parametrize("role", ["primary", "replica", "standby_leader"])
def test_the_role_is_what_patroni_says(module, role):
    (module.data / "PG_VERSION").touch()
    assert module.answers(status(role=role)).live_role() == role


@pytest.mark.parametrize("answer", [SILENT, status(state="starting", role="uninitialized")])
def test_while_patroni_does_not_know_the_data_tell(module, answer):
    (module.data / "PG_VERSION").touch()
    assert module.answers(answer).live_role() == "primary"
    (module.data / "standby.signal").touch()
    assert module.answers(answer).live_role() == "replica"


def test_waiting_ends_when_it_serves_and_the_cluster_has_a_leader(module):
    module.answers(
        SILENT,
        status(state="starting", role="replica", unlocked=True),
        status(role="replica", unlocked=True),
        status(role="replica"),
    )
    assert module.await_member(UNIT)["role"] == "replica"


def test_a_leader_need_not_see_its_own_lock(module):
    assert module.answers(status(unlocked=True)).await_member(UNIT)["role"] == "primary"


def test_a_unit_that_failed_ends_the_wait_at_once(module, member):
    member.units[UNIT]["ActiveState"] = "failed"
    with pytest.raises(CommandExecutionError, match=r"journalctl -u patroni\.service"):
        module.answers(SILENT).await_member(UNIT)


def test_a_deadline_names_itself_and_what_was_seen(module):
    module.answers(status(state="stopped", role="uninitialized", unlocked=True))
    with pytest.raises(CommandExecutionError) as caught:
        module.await_member(UNIT)
    text = str(caught.value)
    assert "patroni.primary" in text and "It is stopped; the cluster has no leader" in text
    assert "/pg/log/patroni/patroni.log" in text


def test_a_replica_has_a_deadline_of_its_own(module, member):
    member.pillar["pigsty"]["pgsql"]["role"] = "replica"
    module.answers(status(state="stopped", role="uninitialized"))
    with pytest.raises(CommandExecutionError, match=r"patroni\.replica"):
        module.await_member(UNIT)


def test_a_long_copy_is_no_failure(module, member):
    member.pillar["pigsty"]["pgsql"]["role"] = "replica"
    module.answers(status(state="creating replica", role="uninitialized"))
    assert module.await_member(UNIT)["state"] == "creating replica"


def test_the_machine_is_measured(module, monkeypatch):
    found = module.machine()
    assert found["cpu"] >= 1 and found["memory"] > 100 and found["disk"] > 2**30


def test_memory_is_what_the_control_group_leaves(module, monkeypatch):
    real = module.Path.read_text

    def read(path, *args, **kwargs):
        if str(path) == "/sys/fs/cgroup/memory.max":
            return str(512 * 1024**2)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(module.Path, "read_text", read)
    assert module.machine()["memory"] == 512


@pytest.fixture
def layout(member, tmp_path, monkeypatch):
    """The folders' module on a machine under ``tmp_path``, where root isn't needed."""
    module = member.load("_modules", "pigsty_pgsql")
    spec = member.pillar["pigsty"]["pgsql"]
    main = tmp_path / "postgres" / "pg-test-17"
    spec["directories"] = {
        "home": str(tmp_path / "pg"),
        "main": str(main),
        "backup": str(tmp_path / "backups" / "pg-test-17" / "backup"),
        "programs": str(tmp_path / "lib" / "17"),
    }
    spec["params"] |= {"pg_bin_dir": str(tmp_path / "pgsql" / "bin"), "pg_dummy_filesize": "1MiB"}

    def changes(entries):
        return {
            e.path: {"directory": "created"} for e in entries if not module.Path(e.path).is_dir()
        }

    def converge(entries):
        for entry in entries:
            module.Path(entry.path).mkdir(parents=True, exist_ok=True)

    member.salt |= {"pigsty_file.changes": changes, "pigsty_file.converge": converge}
    module.main, module.root = main, tmp_path
    return module


def test_the_layout_is_made_once(layout):
    planned = layout.layout()
    assert str(layout.main / "dummy") in planned
    layout.make_layout()
    assert layout.layout() == {}
    assert (layout.root / "pg").readlink() == layout.main
    assert (layout.main / "dummy").stat().st_size == 2**20


def test_ballast_that_was_deleted_in_need_stays_deleted(layout):
    layout.make_layout()
    (layout.main / "dummy").unlink()
    assert layout.layout() == {}


def test_a_link_moves_to_a_new_version(layout, member):
    layout.make_layout()
    places = member.pillar["pigsty"]["pgsql"]["directories"]
    places["programs"] = str(layout.root / "lib" / "18")
    assert set(layout.layout()) == {str(layout.root / "pgsql")}
    layout.make_layout()
    assert (layout.root / "pgsql").readlink() == layout.root / "lib" / "18"


def test_what_stands_in_the_way_of_a_link_is_not_removed(layout):
    (layout.root / "pg").mkdir()
    with pytest.raises(CommandExecutionError, match="is in the way"):
        layout.make_layout()
    assert (layout.root / "pg").is_dir()
