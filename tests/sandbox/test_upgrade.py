"""A minor release of PostgreSQL comes to a cluster, member after member, under a client."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from expect import DEADLINES, Cluster, Dsn, Writer, eventually

REPOSITORY = "/www/pigsty"
PACKAGE = "postgresql-17"


def _sh(node: Any, script: str) -> str:
    code, out, err = node.run(["sh", "-ec", script])
    assert code == 0, out + err
    return str(out).strip()


def _versions(sandbox: Any, cluster: Cluster) -> dict[str, str]:
    """What each member has installed, and that its server runs from those files."""
    found = {}
    for member in cluster.members():
        node = sandbox.node(member["host"])
        found[member["member"]] = _sh(node, f"dpkg-query -W -f '${{Version}}' {PACKAGE}")
        runs = _sh(node, "readlink /proc/$(head -1 /pg/data/postmaster.pid)/exe")
        assert not runs.endswith("(deleted)"), f"{member['member']} runs a server of old"
    return found


def _renewed(admin: Any) -> None:
    """Have the repository of the admin node look at what is in its folder."""
    _sh(admin, f"rm -f {REPOSITORY}/repo_complete")
    _sh(admin, "salt-call --retcode-passthrough state.apply infra.repo")


@pytest.fixture
def newer(sandbox: Any, admin: Any, whole: Cluster) -> Iterator[str]:
    """A newer release in the repository: the same server under another version."""
    installed = max(_versions(sandbox, whole).values())
    plain, _, number = installed.partition("+pigsty")
    version = f"{plain}+pigsty{int(number or 0) + 1}"
    file = f"{REPOSITORY}/{PACKAGE}_{version.replace(':', '%3a')}_new.deb"
    _sh(
        admin,
        f"""folder=$(mktemp -d)
        for deb in {REPOSITORY}/{PACKAGE}_*.deb; do old=$deb; done
        dpkg-deb -R "$old" "$folder/root"
        sed -i 's/^Version: .*/Version: {version}/' "$folder/root/DEBIAN/control"
        dpkg-deb -Znone -b "$folder/root" {shlex.quote(file)}
        rm -rf "$folder" """,
    )
    _renewed(admin)
    yield version
    # Members keep what they have: it is the same server, and nothing ever takes one back.
    _sh(admin, f"rm -f {shlex.quote(file)}")
    _renewed(admin)
    index = _sh(admin, f"cat {REPOSITORY}/Packages")
    assert version not in index and f"Package: {PACKAGE}\n" in index


def test_a_minor_release_comes_to_replicas_first_and_to_the_old_leader_last(
    sandbox: Any,
    admin: Any,
    whole: Cluster,
    newer: str,
    entry: Dsn,
    report: Callable[[str, float, str], None],
) -> None:
    old = whole.leader()["member"]
    look = admin.pigsty("pgsql", "upgrade", whole.name, "--test")
    with Writer(entry) as writer:
        done = admin.pigsty("pgsql", "upgrade", whole.name, "--yes")
        writer.wait_for_rows(50)
        assert writer.missing() == set()
        stall = writer.longest_stall()
    report("minor upgrade of three members: longest stall", stall, "s")
    report("minor upgrade of three members", sum(s["seconds"] for s in done["steps"]), "s")
    assert done["plan"] == look["plan"]
    steps = [(step["action"], step["member"]) for step in done["plan"]]
    assert [action for action, _ in steps] == [
        "packages", "restart", "packages", "restart", "switchover", "packages", "restart",
    ]  # fmt: skip
    assert {member for _, member in steps[-2:]} == {old}
    assert steps[4][1] == whole.leader()["member"] != old
    eventually("all stream", lambda: whole.healthy(3), "old primary is a replica again")
    assert set(_versions(sandbox, whole).values()) == {newer}
    assert stall <= DEADLINES["restart in turn"]
    again = admin.pigsty("pgsql", "upgrade", whole.name, "--yes")
    assert (again["plan"], again["steps"]) == ([], [])
