"""The state of the objects: what Salt is told."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DeadlineExceeded
from pigsty.errors import ClientError
from pigsty.scope import Scope
from pigsty.sql.baseline import BaselineError
from pigsty.sql.converge import Outcome
from pigsty.sql.session import Server, Unreachable

EXTMODS = Path(__file__).resolve().parents[3] / "extmods"
CHANGES = {"role app": {"connlimit": {"old": 1, "new": 2}}}


def load(kind, pillar, opts, salt):
    """Import a loader file with dunders."""
    path = EXTMODS / kind / "pigsty_sql.py"
    spec = importlib.util.spec_from_file_location(f"{kind}.pigsty_sql", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__pillar__, module.__opts__, module.__salt__ = pillar, opts, salt
    return module


class Member:
    """A member whose server and Patroni are told what to answer."""

    def __init__(self, objects):
        self.spec = {
            "cluster": "pg-it",
            "instance": "pg-it-1",
            "ip": "10.0.0.1",
            "role": "primary",
            "objects": objects,
            "certificates": "/pg/cert",
            "directories": {"programs": "/usr/lib/postgresql/17"},
            "params": {
                "pg_localhost": "/var/run/postgresql",
                "pg_port": 5432,
                "pg_dbsu": "postgres",
                "patroni_port": 8008,
                "patroni_ssl_enabled": True,
            },
        }
        self.opts = {"test": False}
        self.files = {}
        self.outcome = Outcome()
        #: What the server says once it was waited for, and who leads then.
        self.later, self.next_leader = None, ""
        self.leader = "pg-it-1"
        self.calls = []
        salt = {"cp.cache_file": lambda url, saltenv: self.files.get((url, saltenv))}
        self.module = load("_modules", {"pigsty": {"pgsql": self.spec}}, self.opts, salt)
        self.module.converge = self._converge
        self.module._patroni = lambda: self
        self.module._answers = lambda: bool(self.later)
        self.module.wait_until = self._wait_until
        salt["pigsty_sql.objects"] = self.module.objects
        self.state = load("_states", {"pigsty": {"pgsql": self.spec}}, self.opts, salt)

    def _converge(self, wanted, server, baseline, *, leads, test, scope):
        self.calls.append((wanted, server, test, scope))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def _wait_until(self, condition, deadline, what):
        self.leader = self.next_leader or self.leader
        self.outcome = self.later or self.outcome
        if not condition():
            raise DeadlineExceeded(deadline, 1.0, what)

    def cluster(self):
        """What Patroni sees; without a leader it doesn't answer at all."""
        if not self.leader:
            raise ClientError("no answer")
        return SimpleNamespace(leader=SimpleNamespace(name=self.leader))

    def healthy(self, path):
        """Patroni's health check."""
        assert path == "/primary"
        return self.cluster().leader.name == self.spec["instance"]

    def apply(self, outcome, *, test=False):
        self.opts["test"] = test
        self.outcome = outcome
        return self.state.objects("pg-it")


@pytest.fixture
def member(pillar):
    return Member(pillar())


def test_as_declared(member):
    ret = member.apply(Outcome())
    assert (ret["result"], ret["changes"]) == (True, {})
    assert "as declared" in ret["comment"]


@pytest.mark.parametrize("test", [True, False])
def test_changes_are_the_same_with_and_without_test(member, test):
    ret = member.apply(Outcome(changes=CHANGES), test=test)
    assert ret["changes"] == CHANGES
    assert ret["result"] is (None if test else True)
    assert member.calls[-1][2] is test


@pytest.mark.parametrize("test", [True, False])
def test_failure_of_one_object_fails_the_state_and_keeps_the_changes(member, test):
    done = Outcome(changes=CHANGES, failures={"database x": "no such owner"}, notes=("a note",))
    ret = member.apply(done, test=test)
    assert ret["result"] is False
    assert ret["changes"] == CHANGES
    assert "1 failed" in ret["comment"]
    assert "database x: no such owner" in ret["comment"]
    assert ret["warnings"] == ["a note"], "a person sees warnings, and no comment"


def test_replica_says_who_leads(member):
    member.leader = "pg-it-2"
    ret = member.apply(Outcome(standby=True))
    assert ret == {
        "name": "pg-it",
        "changes": {},
        "result": True,
        "comment": "no action: pg-it-2 leads pg-it",
    }


def test_replica_without_a_patroni_that_answers(member):
    member.leader = ""
    assert member.apply(Outcome(standby=True))["comment"].startswith("no action: another server")


@pytest.mark.parametrize("test", [True, False])
def test_replica_that_still_copies(member, test):
    member.leader = "pg-it-2"
    ret = member.apply(Unreachable("no socket"), test=test)
    assert (ret["result"], ret["changes"]) == (True, {})


@pytest.mark.parametrize("leader", ["", "pg-it-1"])
def test_silent_server_that_should_lead(member, leader):
    member.leader = leader
    ret = member.apply(Unreachable("no socket"))
    assert (ret["result"], ret["comment"]) == (False, "no socket")


def test_one_that_just_gave_the_lead_up_says_who_took_it(member):
    member.next_leader = "pg-it-2"
    ret = member.apply(Unreachable("PostgreSQL went away"))
    assert (ret["result"], ret["comment"]) == (True, "no action: pg-it-2 leads pg-it")


def test_a_leader_that_starts_again_gets_its_objects(member):
    member.later = Outcome(changes=CHANGES)
    ret = member.apply(Unreachable("PostgreSQL went away"))
    assert (ret["result"], ret["changes"]) == (True, CHANGES)


def test_bare_machine_in_test_mode(member):
    member.leader = ""
    ret = member.apply(Unreachable("no user postgres"), test=True)
    assert ret["result"] is None
    assert ret["changes"] == {"objects": {"old": None, "new": "8 roles, 0 databases"}}
    member.spec["role"] = "replica"
    ret = member.apply(Unreachable("no user postgres"), test=True)
    assert (ret["result"], ret["changes"]) == (True, {})


@pytest.mark.parametrize(("leader", "leads"), [("pg-it-1", True), ("pg-it-2", False), ("", True)])
def test_patroni_has_the_last_word_on_who_leads(member, leader, leads):
    member.leader = leader
    assert member.module._leads() is leads


def test_error_of_the_client(member):
    ret = member.apply(ClientError("another run changes objects"))
    assert (ret["result"], ret["comment"]) == (False, "another run changes objects")


@pytest.mark.parametrize(
    ("localhost", "socket"),
    [("/run/pg", "/run/pg"), ("127.0.0.1", "/var/run/postgresql")],
)
def test_server_is_reached_by_its_socket(member, localhost, socket):
    member.spec["params"] |= {"pg_localhost": localhost, "pg_port": 5433, "pg_dbsu": "dbsu"}
    member.apply(Outcome())
    assert member.calls[-1][1] == Server(socket=socket, port=5433, dbsu="dbsu")


def test_baseline_is_looked_for_on_the_master(member, monkeypatch):
    ran = []
    monkeypatch.setattr(member.module.baseline, "run", lambda *args: ran.append(args))
    server = Server()
    member.files["salt://base.sql", "files"] = "/cache/base.sql"
    member.module._baseline(server, "shop", "base.sql")
    member.module._baseline(server, "shop", "/srv/own.sql")
    psql = "/usr/lib/postgresql/17/bin/psql"
    assert ran == [
        (server, "shop", Path("/cache/base.sql"), psql),
        (server, "shop", Path("/srv/own.sql"), psql),
    ]
    with pytest.raises(BaselineError, match=r"no /etc/pigsty/files/none\.sql on the admin node"):
        member.module._baseline(server, "shop", "none.sql")


def test_a_run_for_some_objects_alone(member):
    member.module.__pillar__["pigsty_only"] = {"users": ["app"]}
    member.apply(Outcome())
    assert member.calls[-1][3] == Scope.of({"users": ["app"]})


def test_declared_objects_are_shown_without_passwords(pillar):
    member = Member(pillar(pg_users=[{"name": "app", "password": "Secret"}]))
    shown = member.module.declared()
    assert shown["roles"]["app"]["password"] is True
    assert "SCRAM" not in repr(shown)


def test_module_reports_errors_as_salt_expects_them(member):
    member.outcome = ClientError("no")
    with pytest.raises(CommandExecutionError):
        member.module.objects()
