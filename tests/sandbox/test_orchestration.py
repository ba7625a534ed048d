"""Ordered work starts inside Salt: the command's order and refusals, and one return says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from expect import DEADLINES, Cluster, Dsn, Writer

#: Nothing that follows from an event touches it.
PROFILE = "/etc/profile.d/pigsty.sh"
SERVER = "/usr/lib/postgresql/17/bin/postgres"


@dataclass(frozen=True)
class Returned:
    """What the one state of an orchestration returned, and how `salt-run` ended."""

    code: int
    result: bool | None
    comment: str
    changes: dict[str, Any]


def _orchestrated(admin: Any, name: str, *words: str, **pillar: Any) -> Returned:
    command = ["salt-run", "state.orchestrate", f"orch.{name}", *words, "--out", "json"]
    code, out, err = admin.run([*command, f"pillar={json.dumps(pillar)}"], timeout=600)
    try:
        (states,) = json.loads(out)["data"].values()
    except (ValueError, KeyError, TypeError) as error:
        raise AssertionError(f"{name} returned no states: {out}\n{err}") from error
    (state,) = states.values()
    return Returned(int(code), state["result"], str(state["comment"]), state["changes"])


def _started(cluster: Cluster, dsn: Dsn) -> dict[str, str]:
    """When each member's server started."""
    return {
        member["member"]: Dsn(member["host"], 5432, dsn.dbname, dsn.user, dsn.password).ask(
            "SELECT pg_postmaster_start_time()::text"
        )
        for member in cluster.members()
    }


def test_a_restart_goes_from_the_replicas_to_the_leader_under_a_client(
    admin: Any, turned: Cluster, entry: Dsn, report: Callable[[str, float, str], None]
) -> None:
    leader, before = turned.leader(), _started(turned, entry)
    look = _orchestrated(admin, "restart", "test=True", cluster=turned.name)
    assert (look.code, look.result) == (0, None), look
    assert look.comment.startswith("would be done: PostgreSQL restarts on pg-test-")
    assert _started(turned, entry) == before, "a look restarts nobody"
    with Writer(entry) as writer:
        done = _orchestrated(admin, "restart", cluster=turned.name)
        writer.wait_for_rows(50)
        stall = writer.longest_stall()
        assert writer.missing() == set()
    report("restart of all members, started inside Salt: longest stall", stall, "s")
    assert (done.code, done.result) == (0, True), done
    assert done.changes == look.changes
    assert done.comment == look.comment.replace("would be done", "done")
    after = _started(turned, entry)
    assert all(after[member] != before[member] for member in before)
    # As the servers themselves tell it, the comment says the order.
    order = sorted(after, key=lambda member: after[member])
    assert order[-1] == leader["member"]
    assert done.comment.endswith(", then ".join(order))
    assert stall <= DEADLINES["restart in turn"]
    now = turned.leader()
    assert (now["member"], now["timeline"]) == (leader["member"], leader["timeline"])


def test_an_upgrade_restarts_who_runs_from_replaced_files_and_then_has_nothing_to_do(
    sandbox: Any, admin: Any, turned: Cluster, entry: Dsn
) -> None:
    replica = next(m for m in turned.members() if m["role"] != "primary")
    before = _started(turned, entry)
    # As after a run of unattended upgrades: the file is another one, and the server runs on.
    replaced = f"cp -p {SERVER} {SERVER}.new && mv {SERVER}.new {SERVER}"
    assert sandbox.node(replica["host"]).run(["sh", "-c", replaced])[0] == 0
    done = _orchestrated(admin, "upgrade", cluster=turned.name)
    step = f"{replica['member']}: PostgreSQL restarts"
    assert (done.code, done.comment) == (0, f"done: {step}"), done
    assert done.changes == {"steps": {"old": [], "new": [step]}}
    after = _started(turned, entry)
    assert [member for member in before if after[member] != before[member]] == [replica["member"]]
    again = _orchestrated(admin, "upgrade", cluster=turned.name)
    assert (again.code, again.changes) == (0, {})
    assert "newest release" in again.comment


def test_a_deployment_sets_right_what_differs_and_a_second_one_changes_nothing(
    sandbox: Any, admin: Any, whole: Cluster
) -> None:
    host = next(m for m in whole.members() if m["role"] != "primary")["host"]
    edited = ["sed", "-i", "$ a # edited by hand", PROFILE]
    assert sandbox.node(host).run(edited)[0] == 0
    done = _orchestrated(admin, "deploy", targets=[host])
    assert (done.code, done.comment) == (0, f"done: changes on {host}"), done
    assert list(done.changes[host]) == ["node-environment"]
    again = _orchestrated(admin, "deploy", targets=[host])
    assert (again.code, again.result, again.changes) == (0, True, {}), again


def test_bad_input_is_one_message_and_nothing_is_touched(
    admin: Any, pg_test: Cluster, test_dsn: Dsn
) -> None:
    before = _started(pg_test, test_dsn)
    for name, pillar, known in (
        ("restart", {"cluster": "pg-tset"}, "did you mean pg-test"),
        ("upgrade", {"cluster": "pg-tset"}, "did you mean pg-test"),
        ("deploy", {"targets": ["pg-tset"]}, "did you mean pg-test"),
        ("deploy", {"pg-tset": True}, "there are: targets"),
    ):
        said = _orchestrated(admin, name, **pillar)
        assert (said.code, said.result, said.changes) == (1, False, {}), said
        assert "'pg-tset'" in said.comment and known in said.comment and "\n" not in said.comment
    assert _started(pg_test, test_dsn) == before
