"""HAProxy follows a move of the lead: which services, what it is told, and when."""

from __future__ import annotations

import socket
import threading

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import deadlines
from pigsty.errors import ClientError
from pigsty.render import haproxy, services


class Admin:
    """HAProxy's admin socket: notes commands, one a connection, as HAProxy takes them."""

    def __init__(self, path):
        self.path, self.heard, self.answer = str(path), [], b"\n"
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            with client:
                self.heard.append(client.recv(65536).decode().strip())
                client.sendall(self.answer)


@pytest.fixture
def admin(tmp_path):
    made = Admin(tmp_path / "admin.sock")
    yield made
    made.server.close()


@pytest.fixture
def follow(member, deployment, admin, tmp_path, monkeypatch):
    """The module on a node with the services of pg-test, and of a cluster of a similar name."""
    texts = {
        name: haproxy.owned("pgsql", text)
        for name, text in services.files(deployment().pg_clusters["pg-test"]).items()
    }
    texts["pg-test2-primary.cfg"] = texts["pg-test-primary.cfg"].replace("pg-test", "pg-test2")
    texts["web.cfg"] = "listen web\n    bind *:80\n"
    member.salt["pigsty_haproxy.present"] = lambda: texts
    module = member.load("_modules", "pigsty_follow")
    module.SOCKET, module.MARKERS = admin.path, tmp_path / "run"
    module.answers = [False, ClientError("not yet"), True]
    marks = module.marks = []

    class Probe:
        def __init__(self, host, port, ca):
            module.asked = (host, port, ca)

        def healthy(self, path):
            marks.append(module.armed("pg-test"))
            assert path == "/primary"
            answer = module.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    module.Patroni = Probe
    monkeypatch.setattr(deadlines, "POLL_SECONDS", 0.001)
    short = {**deadlines.DEADLINES, "patroni.leads": 10.0, "follow.armed": 0.05}
    monkeypatch.setattr(deadlines, "DEADLINES", short)
    return module


def test_services_that_go_where_the_leader_is(follow):
    assert follow.followers("pg-test-1") == ["pg-test-default", "pg-test-primary"]
    assert follow.followers("pg-test2-1") == ["pg-test2-primary"]
    assert follow.followers("pg-test") == []


def test_of_a_service_with_backups_the_part_counts_that_has_the_member(follow, member):
    texts = member.salt["pigsty_haproxy.present"]()
    own = texts["pg-test-primary.cfg"].replace("pg-test-primary", "pg-test-own")
    backup = "\nbackend pg-test-own.backup\n" + own.partition("listen pg-test-own\n")[2]
    texts["pg-test-own.cfg"] = own.replace("server pg-test-1 ", "server pg-test-9 ") + backup
    found = follow.followers("pg-test-1")
    assert "pg-test-own.backup" in found and "pg-test-own" not in found


def test_haproxy_is_told_when_the_new_leader_takes_writes(follow, admin):
    found = follow.leader("pg-test", "10.1.1.12", 8008, True, "pg-test-2", "pg-test-1")
    assert found == ["pg-test-default", "pg-test-primary"]
    assert follow.asked == ("10.1.1.12", 8008, "/etc/pki/ca.crt")
    # The new one first: in between a client finds two, never none.
    assert admin.heard == [
        "set server pg-test-default/pg-test-2 health up",
        "set server pg-test-primary/pg-test-2 health up",
        "set server pg-test-default/pg-test-1 health down",
        "set server pg-test-primary/pg-test-1 health down",
    ]
    assert follow.marks == [True, True, True] and not follow.armed("pg-test")


def test_without_an_old_leader_nobody_is_down(follow, admin):
    follow.leader("pg-test", "10.1.1.12", 8008, False, "pg-test-2")
    assert [line.split()[-1] for line in admin.heard] == ["up", "up"]
    assert follow.asked[2] is None


def test_a_member_that_never_leads_changes_nothing(follow, admin, monkeypatch):
    monkeypatch.setattr(deadlines, "DEADLINES", {"patroni.leads": 0.05, "follow.armed": 0.05})
    follow.answers = [False] * 1000
    with pytest.raises(CommandExecutionError, match="pg-test-2 leads: not within"):
        follow.leader("pg-test", "10.1.1.12", 8008, True, "pg-test-2", "pg-test-1")
    assert admin.heard == [] and not follow.armed("pg-test")


def test_what_haproxy_says_against_it_is_told(follow, admin):
    admin.answer = b"No such server.\n"
    with pytest.raises(CommandExecutionError, match="No such server"):
        follow.leader("pg-test", "10.1.1.12", 8008, True, "pg-test-2", "pg-test-1")
    follow.SOCKET, follow.answers = "/nowhere", [True]
    with pytest.raises(CommandExecutionError, match="/nowhere"):
        follow.leader("pg-test", "10.1.1.12", 8008, True, "pg-test-2", "pg-test-1")
