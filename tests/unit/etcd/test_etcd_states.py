"""A member's states over a store in memory: users, first starts, joining, restarts in turn."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import deadlines
from pigsty.clients.etcd import EtcdError, Member, Unreachable
from pigsty.deadlines import DEADLINES, DeadlineExceeded
from pigsty.render import etcd as render

USERS = [
    {"name": "pg-test", "password": "Pg.Token", "prefix": "/pg/pg-test/", "right": "READWRITE"}
]


def member(number):
    return {"ip": f"10.0.0.{number}", "name": f"etcd-{number}", "peer_port": 2380, "port": 2379}


class Store:
    """The users of a store, and its members; every member of the cluster answers from it."""

    def __init__(self):
        self.enabled = False
        self.revision = 1
        self.passwords = {}
        self.granted = {}
        self.rights = {}
        self.keys = set()
        self.rows = []
        #: What the next calls end with, though they may have been carried out.
        self.busy = []
        self.down = set()
        self.log = []
        self.holder = None

    def apply(self, path, body):
        self.log.append(path)
        self.revision += 1
        name = body.get("name") or body.get("user") or body.get("role")
        if path == "auth/user/add":
            self.passwords[name] = body["password"]
            self.granted[name] = ()
        elif path == "auth/user/changepw":
            self.passwords[name] = body["password"]
        elif path == "auth/user/delete":
            del self.passwords[name], self.granted[name]
        elif path == "auth/user/grant":
            self.granted[name] += (body["role"],)
        elif path == "auth/role/add":
            self.rights[name] = ()
        elif path == "auth/role/delete":
            del self.rights[name]
        elif path == "auth/role/grant":
            perm = body["perm"]
            row = (perm["permType"], *(b64decode(perm[k]).decode() for k in ("key", "range_end")))
            self.rights[name] += (row,)
        elif path == "auth/enable":
            self.enabled = True
        else:
            raise AssertionError(path)


class Client:
    """One member's API over the store."""

    def __init__(self, store, name):
        self.store, self.name = store, name
        self.user = None

    def _check(self):
        if self.name in self.store.down:
            raise Unreachable("down")

    def healthy(self):
        return self.name not in self.store.down

    def authenticate(self, user, password):
        self._check()
        if not self.store.enabled:
            raise EtcdError("etcdserver: authentication is not enabled", "auth/authenticate")
        if self.store.passwords.get(user) != password:
            raise EtcdError("etcdserver: authentication failed", "auth/authenticate")
        self.user = user

    def knows(self, user, password):
        return self.store.passwords.get(user) == password

    def do(self, path, body):
        self._check()
        if self.store.enabled:
            assert self.user == "root"
        self.store.apply(path, body)

    def auth_revision(self):
        assert self.user == "root"
        return self.store.revision

    def users(self):
        return dict(self.store.granted)

    def roles(self):
        return dict(self.store.rights)

    def led(self, prefix, end):
        assert end == render.range_end(prefix)
        return f"{prefix}leader" in self.store.keys

    def members(self):
        return list(self.store.rows)

    def _answer(self):
        if self.store.busy:
            raise self.store.busy.pop(0)

    def add(self, peer, learner):
        self._check()
        if any(peer in row.peers for row in self.store.rows):
            raise EtcdError("etcdserver: Peer URLs already exists", "cluster/member/add")
        self.store.rows.append(Member("9", "", (peer,), (), learner))
        self._answer()

    def promote(self, member):
        self._check()
        self._answer()
        at, row = next((n, r) for n, r in enumerate(self.store.rows) if r.id == member)
        if not row.learner:
            raise EtcdError(
                "etcdserver: can only promote a learner member", "cluster/member/promote"
            )
        self.store.rows[at] = replace(row, learner=False)

    def lock(self, key, owner, seconds):
        if self.store.holder:
            return None
        self.store.holder, self.store.seconds = owner, seconds
        return "lease"

    def unlock(self, lease):
        self.store.holder = None


class Node:
    """A member's node: files in memory, one unit, and the states."""

    def __init__(self, minion, monkeypatch, number=1, size=1):
        self.minion, self.store = minion, Store()
        self.files = {}
        self.units = {
            name: {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
            for name in ("etcd.service", render.DEFRAG_TIMER)
        }
        self.verbs = []
        self.etcd = {
            "cluster": "etcd",
            "data": str(minion.folder / "data"),
            "election": 1000,
            "heartbeat": 100,
            "init": "new",
            "ip": f"10.0.0.{number}",
            "learner": False,
            "members": [member(n + 1) for n in range(size)],
            "name": f"etcd-{number}",
            "peer_port": 2380,
            "platform": {"conf": "/etc/etcd", "unit": "etcd.service", "user": "etcd"},
            "port": 2379,
            "root_password": "Root.Token",
            "users": list(USERS),
        }
        minion.pillar["pigsty"] = {"meta": {"ca": "CA"}, "etcd": self.etcd}
        plan = minion.load("_modules", "pigsty_systemd").plan
        minion.salt |= {
            "pigsty_file.read": self.files.get,
            "pigsty_file.changes": self.changes,
            "pigsty_file.converge": self.converge,
            "pigsty_systemd.show": lambda *units: {unit: self.units[unit] for unit in units},
            "pigsty_systemd.plan": plan,
            "pigsty_systemd.act": self.act,
        }
        monkeypatch.setattr(render, "CERT", str(minion.folder / "server.crt"))
        (minion.folder / "server.crt").write_text("x")
        self.module = minion.load("_modules", "pigsty_etcd")
        monkeypatch.setattr(self.module, "client", lambda m: Client(self.store, m["name"]))
        monkeypatch.setattr(self.module, "_listens", lambda m: m["name"] not in self.store.down)
        for name in ("healthy", "start_values", "login", "restart", "stamp", "learner", "promote"):
            minion.salt[f"pigsty_etcd.{name}"] = getattr(self.module, name)
        minion.salt["pigsty_etcd.client"] = lambda m: self.module.client(m)
        self.states = minion.load("_states", "pigsty_etcd")
        monkeypatch.setattr(render, "STAMP", str(minion.folder / "stamp.json"))

    def changes(self, entries):
        found = {}
        for entry in entries:
            wanted = getattr(entry, "contents", "directory")
            if self.files.get(entry.path) != wanted:
                found[entry.path] = {"diff": "x"}
        return found

    def converge(self, entries):
        found = self.changes(entries)
        for entry in entries:
            wanted = getattr(entry, "contents", "directory")
            self.files[entry.path] = wanted
            if entry.path == render.STAMP:
                path = self.minion.folder / "stamp.json"
                path.unlink(missing_ok=True) if wanted is None else path.write_text(wanted)
        return found

    def act(self, verb, *units):
        self.verbs.append((verb, *units))
        unit = self.units.get(units[-1]) if units else None
        if verb == "enable":
            unit["UnitFileState"] = "enabled"
        if verb in ("start", "restart"):
            unit["ActiveState"] = "active"
            unit["MainPID"] = str(len(self.verbs) + 100)
            if units[-1] == "etcd.service":
                (self.minion.folder / "data/member").mkdir(parents=True, exist_ok=True)
                text = render.fingerprint(self.files[render.CONF], "CA")
                self.files[render.LOADED] = f"{text}\n"

    def apply(self, state, test=False):
        self.minion.opts["test"] = test
        return getattr(self.states, state)("etcd.service" if state == "member" else "etcd-users")

    def settle(self, state):
        would = self.apply(state, test=True)
        done = self.apply(state)
        assert done["result"] is True, done
        assert done["changes"] == would["changes"]
        assert would["result"] is (None if done["changes"] else True)
        again = self.apply(state)
        assert (again["result"], again["changes"]) == (True, {}), again
        return done


@pytest.fixture
def node(minion, monkeypatch):
    return Node(minion, monkeypatch)


@pytest.fixture
def three(minion, monkeypatch):
    """The second of three members."""
    node = Node(minion, monkeypatch, number=2, size=3)
    for number in (1, 2, 3):
        peer, client = (f"https://10.0.0.{number}:{port}" for port in (2380, 2379))
        node.store.rows.append(Member(str(number), f"etcd-{number}", (peer,), (client,), False))
    return node


@pytest.fixture
def fast(monkeypatch):
    """Waits look again at once."""
    monkeypatch.setattr(deadlines, "POLL_SECONDS", 0.001)


def users(done):
    return done["changes"].get("users", {}).get("new", [])


def test_a_new_store_is_closed_and_has_its_users(node):
    done = node.settle("auth")
    assert users(done)[-1] == "users: enabled"
    assert node.store.enabled
    assert node.store.granted == {"pg-test": ("pg-test",), "root": ("root",)}
    assert node.store.rights["pg-test"] == (("READWRITE", "/pg/pg-test/", "/pg/pg-test0"),)
    assert node.files[render.PASSWORD] == "Root.Token\n"


def test_no_change_and_no_stamp_shows_a_password(node):
    done = node.settle("auth")
    assert "Token" not in str(done)
    assert "Token" not in (node.minion.folder / "stamp.json").read_text()


def test_a_no_op_asks_for_the_revision_alone(node, monkeypatch):
    node.settle("auth")
    monkeypatch.setattr(Client, "users", lambda self: pytest.fail("read all users"))
    assert node.apply("auth")["changes"] == {}


def test_without_a_revision_every_run_reads_the_users(node, monkeypatch):
    monkeypatch.setattr(Client, "auth_revision", lambda self: None)
    node.settle("auth")
    node.store.passwords["pg-test"] = "weak"
    assert users(node.apply("auth")) == ["user pg-test: password"]


def test_what_somebody_changed_by_hand_is_set_right(node):
    node.settle("auth")
    node.store.passwords["pg-test"] = "weak"
    node.store.revision += 1
    assert users(node.settle("auth")) == ["user pg-test: password"]


def test_the_root_password_is_changed_with_the_old_one(node):
    node.settle("auth")
    node.etcd["root_password"] = "New.Token"
    assert users(node.settle("auth")) == ["user root: password"]
    assert node.store.passwords["root"] == "New.Token"
    assert node.files[render.PASSWORD] == "New.Token\n"


def test_an_unknown_root_password_is_an_error_that_says_so(node):
    node.settle("auth")
    node.store.passwords["root"] = "somebody else's"
    done = node.apply("auth")
    assert done["result"] is False
    assert "etcd_root_password" in done["comment"]


def test_a_removed_cluster_loses_its_user_once_it_has_no_leader(node):
    node.settle("auth")
    node.store.keys.add("/pg/pg-test/leader")
    node.etcd["users"] = []
    assert users(node.apply("auth")) == []
    assert "pg-test" in node.store.granted
    node.store.keys.clear()
    assert users(node.settle("auth")) == ["user pg-test: removed", "role pg-test: removed"]
    assert list(node.store.granted) == ["root"]


def test_the_first_healthy_member_does_it(three):
    assert three.apply("auth")["comment"] == "etcd-1 sees to it"
    assert three.store.log == []
    three.store.down.add("etcd-1")
    assert users(three.apply("auth"))[-1] == "users: enabled"


def test_without_any_member_it_fails_but_a_test_previews(node):
    node.store.down.add("etcd-1")
    assert node.apply("auth")["result"] is False
    would = node.apply("auth", test=True)
    assert would["result"] is None
    assert users(would)[-1] == "users: enabled"


def test_a_new_member_is_configured_and_started(node):
    done = node.settle("member")
    assert done["changes"]["etcd.service"]["active"]["new"] == "active"
    assert ("start", "--no-block", "etcd.service") in node.verbs
    assert node.units[render.DEFRAG_TIMER]["UnitFileState"] == "enabled"


def test_another_configuration_is_a_restart(node):
    node.settle("member")
    node.verbs.clear()
    node.etcd["election"] = 2000
    done = node.settle("member")
    assert done["changes"]["etcd.service"]["new"] == "restarted"
    assert node.verbs == [("restart", "--no-block", "etcd.service")]


def test_an_apply_that_was_killed_before_the_restart_is_made_up_for(node):
    node.settle("member")
    node.etcd["election"] = 2000
    start = node.module.start_values(node.etcd, False)
    node.converge(render.files(node.etcd, start))
    assert list(node.settle("member")["changes"]) == ["etcd.service"]


def test_a_port_that_somebody_else_holds_is_not_our_member(node, monkeypatch):
    waits = []

    def wait(look, name, what):
        waits.append(name)
        if not look():
            raise DeadlineExceeded(name, 1, what)

    monkeypatch.setattr(node.states, "wait_until", wait)
    monkeypatch.setattr(node, "act", lambda *_: None)
    node.minion.salt["pigsty_systemd.act"] = lambda *_: None
    node.minion.salt["cmd.run_stdout"] = lambda command, python_shell: "address already in use"
    done = node.apply("member")
    assert done["result"] is False
    assert "address already in use" in done["comment"]
    assert waits == ["etcd.quorum"]


def test_members_that_are_all_new_begin_together(three):
    three.store.down |= {"etcd-1", "etcd-3"}
    assert three.module.start_values(three.etcd, False) == render.initial(three.etcd)


def test_a_member_that_comes_late_to_a_first_start_begins_like_the_others(three):
    row = three.store.rows[1]
    three.store.rows[1] = Member(row.id, row.name, row.peers, (), False)
    assert three.module.start_values(three.etcd, False) == render.initial(three.etcd)


def test_a_new_member_joins_a_cluster_that_lives(three):
    del three.store.rows[1:]
    start = three.module.start_values(three.etcd, False)
    assert start == {
        "initial-cluster": "etcd-1=https://10.0.0.1:2380,etcd-2=https://10.0.0.2:2380",
        "initial-cluster-state": "existing",
    }
    assert three.store.rows[1].peers == ("https://10.0.0.2:2380",)


def test_a_new_member_gets_its_vote_when_it_has_the_data(three, fast):
    del three.store.rows[1:]
    behind = "etcdserver: can only promote a learner member which is in sync with leader"
    three.store.busy = [Unreachable("the answer is lost"), EtcdError(behind, "member/promote")]
    done = three.apply("member")
    assert done["result"] is True, done
    assert [row.learner for row in three.store.rows] == [False, False]
    assert three.apply("member")["changes"] == {}


def test_a_member_that_still_has_no_vote_gets_it_by_the_next_apply(three, fast):
    del three.store.rows[1:]
    three.etcd["learner"] = True
    three.apply("member")
    three.etcd["learner"] = False
    assert "vote" in three.settle("member")["changes"]
    assert not three.store.rows[1].learner


def test_a_declared_learner_stays_one(three, fast):
    del three.store.rows[1:]
    three.etcd["learner"] = True
    assert three.settle("member")["result"] is True
    assert three.store.rows[1].learner
    assert three.apply("member")["changes"] == {}


def test_a_test_does_not_announce_a_member(three):
    del three.store.rows[1:]
    three.module.start_values(three.etcd, True)
    assert len(three.store.rows) == 1


def test_a_join_that_was_killed_is_taken_up(three):
    del three.store.rows[1:]
    first = three.module.start_values(three.etcd, False)
    assert three.module.start_values(three.etcd, False) == first
    assert len(three.store.rows) == 2


def test_a_member_that_lost_its_data_is_not_begun_anew(three):
    with pytest.raises(CommandExecutionError, match="etcdctl member remove 2"):
        three.module.start_values(three.etcd, False)


def test_data_is_never_begun_anew(three):
    (three.minion.folder / "data/member").mkdir(parents=True)
    joined = render.joining(
        [("etcd-1", "https://10.0.0.1:2380"), ("etcd-2", "https://10.0.0.2:2380")]
    )
    three.files[render.CONF] = render.config(three.etcd, joined)
    assert three.module.start_values(three.etcd, False) == joined


def test_existing_without_a_cluster_is_refused(three):
    three.store.down |= {"etcd-1", "etcd-3"}
    three.etcd["init"] = "existing"
    with pytest.raises(CommandExecutionError, match="no other member answers"):
        three.module.start_values(three.etcd, False)


def restart(node, monkeypatch):
    """Restart a member; a wait that is not over at its first look has failed."""

    def wait(look, name, what):
        if not look():
            raise DeadlineExceeded(name, 1, what)

    monkeypatch.setattr(node.module, "wait_until", wait)
    node.files[render.CONF] = "x"
    node.store.enabled, node.store.passwords = True, {"root": "Root.Token"}
    node.module.restart(node.etcd, "etcd.service")


def test_a_member_restarts_while_it_holds_the_lock(three, monkeypatch):
    held = []
    monkeypatch.setattr(three, "act", lambda *_: None)
    real = Node.act

    def act(verb, *units):
        held.append(three.store.holder)
        real(three, verb, *units)

    three.minion.salt["pigsty_systemd.act"] = act
    restart(three, monkeypatch)
    assert held == ["etcd-2"]
    # It must not end while its holder still waits for the others or comes back.
    assert three.store.seconds >= DEADLINES["etcd.turn"] + 2 * DEADLINES["etcd.healthy"]
    assert three.store.holder is None


def test_nobody_restarts_while_another_does(three, monkeypatch):
    three.store.holder = "etcd-3"
    with pytest.raises(DeadlineExceeded, match=r"etcd\.turn"):
        restart(three, monkeypatch)
    assert three.verbs == []
    assert three.store.holder == "etcd-3"


def test_a_restart_that_would_break_the_majority_does_not_happen(three, monkeypatch):
    three.store.down.add("etcd-3")
    with pytest.raises(DeadlineExceeded, match="2 other members"):
        restart(three, monkeypatch)
    assert three.verbs == []
    assert three.store.holder is None


def test_a_member_that_is_sick_itself_restarts_at_once(three, monkeypatch):
    three.store.down.add("etcd-2")
    with pytest.raises(DeadlineExceeded, match="healthy after its restart"):
        restart(three, monkeypatch)
    assert three.verbs == [("restart", "--no-block", "etcd.service")]


def test_the_stamp_is_json(node):
    node.settle("auth")
    data = json.loads((node.minion.folder / "stamp.json").read_text())
    assert data["revision"] == node.store.revision


def test_how_long_a_member_has_belonged_to_the_store(node):
    with pytest.raises(CommandExecutionError, match="no member of etcd lives here"):
        node.module.age()
    node.settle("member")
    folder = Path(node.etcd["data"]) / "member"
    os.utime(folder, (0, time.time() - 400))
    assert 399 < node.module.age()["seconds"] < 460
