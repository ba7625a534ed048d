"""The repository's states, on a node whose apt, web server and network are made up."""

from __future__ import annotations

import pytest
from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DeadlineExceeded
from pigsty.render import repo as render

META = {
    "admin_ip": "10.10.10.10",
    "ca": "PEM",
    "id": "10.10.10.11",
    "repo": {
        "local": True,
        "name": "pigsty",
        "remove": False,
        "upstream": [],
        "url": "https://10.10.10.10/pigsty",
    },
}


class Node:
    """What the states ask of a node."""

    def __init__(self, minion):
        self.minion = minion
        self.files = {}
        self.lists = None
        self.served = "one"
        self.held = ["a", "b"]
        self.waits_for = 0
        self.updates = []
        self.aside = []
        self.extra = ["/etc/apt/sources.list"]
        self.built = None
        self.builds = 0
        self.itself = None
        minion.pillar["pigsty"] = {"meta": META, "infra": {"repo": {"packages": ["a"]}}}
        minion.salt |= {
            "pigsty_file.changes": self.changes,
            "pigsty_file.converge": self.converge,
            "pigsty_repo.stored": lambda name: self.lists,
            "pigsty_repo.served": self.flag,
            "pigsty_repo.others": lambda: list(self.extra),
            "pigsty_repo.set_aside": self.set_aside,
            "pigsty_repo.update": self.update,
            "pigsty_repo.status": self.status,
            "pigsty_repo.build": self.build,
        }
        self.states = minion.load("_states", "pigsty_repo")

    def changes(self, files):
        return {f.path: {"diff": "x"} for f in files if self.files.get(f.path) != f.contents}

    def converge(self, files):
        self.files |= {f.path: f.contents for f in files}

    def flag(self, url, ca):
        if self.waits_for:
            self.waits_for -= 1
            return None
        return {"release": self.served, "packages": self.held}

    def set_aside(self, paths):
        self.aside += paths
        self.extra = [path for path in self.extra if path not in paths]

    def update(self, ours):
        self.updates.append(ours)
        self.lists = self.served

    def status(self, repo):
        return {"wanted": "f", "built": self.built, "missing": ["grafana"], "count": 3}

    def build(self, repo, itself):
        self.builds += 1
        self.itself = itself
        self.built = "f"
        return {"count": 3, "missing": ["grafana"], "size": 2**20}

    def sources(self, test=False):
        self.minion.opts["test"] = test
        return self.states.sources("node-repo")

    def repository(self, test=False):
        self.minion.opts["test"] = test
        return self.states.built("/www/pigsty")


@pytest.fixture
def node(minion):
    return Node(minion)


def settle(node):
    done = node.sources()
    assert done["result"] is True, done
    again = node.sources()
    assert (again["result"], again["changes"]) == (True, {})
    return done


def test_a_bare_node_gets_its_source_and_its_lists(node):
    would = node.sources(test=True)
    assert would["result"] is None
    assert node.files == {}
    assert node.updates == []
    assert settle(node)["changes"] == would["changes"]
    assert node.updates == [True]
    assert node.aside == []


def test_a_bare_node_waits_for_the_repository(node, monkeypatch):
    node.waits_for = 3
    monkeypatch.setattr(
        node.states, "wait_until", lambda look, *_: [None for _ in range(9) if not look()]
    )
    assert node.sources()["result"] is True
    assert node.updates == [True]


def test_a_wait_that_is_too_long_fails_and_writes_nothing(node, monkeypatch):
    def never(*_):
        raise DeadlineExceeded("repo.ready", 900, "the repository answers")

    node.waits_for = 10**9
    monkeypatch.setattr(node.states, "wait_until", never)
    done = node.sources()
    assert done["result"] is False
    assert "deadline repo.ready" in done["comment"]
    assert node.files == {}


def test_a_test_never_waits(node):
    node.waits_for = 10**9
    assert node.sources(test=True)["result"] is None


def test_a_repository_that_is_down_is_no_failure_while_its_lists_are_here(node):
    settle(node)
    node.waits_for = 10**9
    assert node.sources()["changes"] == {}
    assert node.sources()["result"] is True


def test_a_rebuilt_repository_is_read_again(node):
    settle(node)
    node.served = "two"
    assert list(node.sources(test=True)["changes"]) == ["lists"]
    assert list(settle(node)["changes"]) == ["lists"]


def test_packages_that_were_asked_for_later_are_waited_for(node, monkeypatch):
    settle(node)
    node.minion.pillar["pigsty"]["node"] = {"packages": ["a", "new"]}
    assert list(node.sources(test=True)["changes"]) == ["lists"]
    waits = []

    def wait(look, name, what):
        waits.append((name, what, look()))
        node.served, node.held = "two", ["a", "b", "new"]
        assert look()

    monkeypatch.setattr(node.states, "wait_until", wait)
    settle(node)
    assert node.updates == [True, True]
    ((name, what, first),) = waits
    assert (name, first) == ("repo.rebuilt", False)
    assert "has new: apply 10.10.10.10" in what


def test_other_sources_are_put_aside_when_wanted(node):
    node.minion.pillar["pigsty"]["meta"] = {**META, "repo": {**META["repo"], "remove": True}}
    done = settle(node)
    assert node.aside == ["/etc/apt/sources.list"]
    assert done["changes"]["/etc/apt/sources.list"]["new"] == "in /etc/apt/backup"
    assert node.updates == [False]


def test_the_admin_node_does_not_wait_for_itself(node):
    node.minion.pillar["pigsty"]["meta"] = {**META, "id": "10.10.10.10"}
    node.waits_for = 10**9
    done = node.sources()
    assert done["result"] is True
    assert node.files.get(render.SOURCES) is None
    node.waits_for = 0
    settle(node)
    assert node.files[render.SOURCES]


def test_a_failed_update_is_a_failure(node, monkeypatch):
    def fail(ours):
        raise CommandExecutionError("apt-get update failed")

    node.minion.salt["pigsty_repo.update"] = fail
    assert node.sources()["result"] is False


def test_the_repository_is_built_once(node):
    would = node.repository(test=True)
    assert (would["result"], node.builds) == (None, 0)
    done = node.repository()
    assert done["result"] is True
    assert done["changes"] == would["changes"]
    assert "no source has grafana" in done["comment"]
    again = node.repository()
    assert (again["result"], again["changes"], node.builds) == (True, {}, 1)
    assert "no source has grafana" in again["comment"]


@pytest.mark.parametrize(("host", "itself"), [("10.10.10.10", True), ("10.10.10.11", False)])
def test_only_the_admin_node_has_itself_among_its_sources(node, host, itself):
    node.minion.pillar["pigsty"]["meta"] = {**META, "id": host}
    assert node.repository()["result"] is True
    assert node.itself is itself


def test_a_failed_build_is_a_failure(node):
    def fail(repo, itself):
        raise CommandExecutionError("disk full")

    node.minion.salt["pigsty_repo.build"] = fail
    done = node.repository()
    assert (done["result"], done["comment"]) == (False, "disk full")


def test_declared_upstream_is_there_before_the_build(node):
    line = "deb [trusted=yes] http://x.example/ trixie main"
    repo = {**META["repo"], "upstream": [line], "remove": True}
    node.minion.pillar["pigsty"]["meta"] = {**META, "repo": repo}
    seen = []

    def record(repo, itself):
        seen.append(dict(node.files))
        return node.build(repo, itself)

    node.minion.salt["pigsty_repo.build"] = record
    assert node.repository()["result"] is True
    assert line in seen[0][render.UPSTREAM]
    assert node.aside == ["/etc/apt/sources.list"]
    assert node.repository()["changes"] == {}
