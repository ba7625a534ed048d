"""One aspect of a cluster: which states run where, under which rules, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_salt import META, ONE, THREE, TWO

from pigsty import topology
from pigsty.targets import Job, TargetError
from pigsty_cli import aspects, exitcodes, history, inventories, lock
from pigsty_cli.errors import Refused

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"
STATES = ROOT / "states/pgsql"


def test_an_aspect_runs_its_states_on_the_members_alone(master: Any) -> None:
    where = aspects.members("pgsql.objects", "pgsql.pgbouncer")
    code = aspects.carry_out("pg-test", where, "pigsty x", "table", test=False)
    assert code == exitcodes.OK
    assert master.applied == [((ONE, TWO, THREE), ["pgsql.objects,pgsql.pgbouncer"])]
    assert history.read() == {}, "one aspect is no apply of the host"


def test_what_changed_is_told(master: Any, capsys: pytest.CaptureFixture[str]) -> None:
    aspects.carry_out("pg-meta", aspects.members("pgsql.objects"), "x", "table", test=False)
    out = capsys.readouterr().out
    assert "pg-meta-1: changed: pgsql-objects (pgsql.objects)" in out
    assert "comment: a → b" in out


def test_an_audit_tells_what_would_change_and_asks_for_nothing_else(
    master: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    aspects.carry_out("pg-meta", aspects.members("pgsql.objects"), "x", "json", test=True)
    assert json.loads(capsys.readouterr().out)[0]["changes"][0]["id"] == "pgsql-objects"
    assert master.published[-1]["keywords"] == {"test": True}


def test_names_of_objects_go_along_in_the_pillar(master: Any) -> None:
    aspects.carry_out(
        "pg-meta",
        aspects.members("pgsql.objects"),
        "x",
        "table",
        test=False,
        only=lambda topology, cluster: {"users": ["dbuser_view"]},
    )
    assert master.published[-1]["keywords"] == {
        "pillar": {"pigsty_only": {"users": ["dbuser_view"]}}
    }


def test_who_is_not_there_makes_it_partial(master: Any, capsys: pytest.CaptureFixture[str]) -> None:
    master.links.remove(TWO)
    del master.answers[TWO]
    code = aspects.carry_out("pg-test", aspects.members("pgsql.hba"), "x", "table", test=False)
    assert code == exitcodes.PARTIAL
    assert master.applied == [((ONE, THREE), ["pgsql.hba"])]
    assert "isn't connected" in capsys.readouterr().out


def test_an_unknown_cluster_is_named_with_the_nearest(master: Any) -> None:
    with pytest.raises(TargetError, match="did you mean pg-test"):
        aspects.carry_out("pg-tset", aspects.members("pgsql.hba"), "x", "table", test=False)
    assert master.published == []


def test_an_inventory_with_errors_touches_nothing(master: Any) -> None:
    file = inventories.PLACES[0]
    file.write_text(file.read_text().replace("pg_seq: 2", "pg_seq: 1"), encoding="utf-8")
    with pytest.raises(Refused, match="nothing was touched"):
        aspects.carry_out("pg-test", aspects.members("pgsql.hba"), "x", "table", test=False)
    assert master.published == []


def test_one_run_at_a_time(master: Any) -> None:
    with lock.held("another"), pytest.raises(Refused, match="another run is going on"):
        aspects.carry_out("pg-test", aspects.members("pgsql.hba"), "x", "table", test=True)


def test_services_stand_on_the_members_or_on_who_carries_them(tmp_path: Path) -> None:
    text = SANDBOX.read_text(encoding="utf-8")
    own = topology.load(SANDBOX)
    cluster = own.pg_clusters["pg-test"]
    assert list(aspects.carriers("s")(own, cluster)) == [Job((ONE, TWO, THREE), ("s",))]
    file = tmp_path / "pigsty.yml"
    file.write_text(
        text.replace(
            "pg_cluster: pg-test", "pg_cluster: pg-test\n        pg_service_provider: infra"
        )
    )
    other = topology.load(file)
    assert list(aspects.carriers("s")(other, other.pg_clusters["pg-test"])) == [
        Job((META,), ("s",))
    ]


def test_a_host_in_two_aspects_runs_both_in_one_job() -> None:
    found = aspects.joined(
        [Job((ONE, TWO), ("a",)), Job((TWO, META), ("b",)), Job((META,), ("b",))]
    )
    assert found == (Job((ONE,), ("a",)), Job((TWO,), ("a", "b")), Job((META,), ("b",)))
    both = aspects.both(aspects.members("a"), aspects.members("b", "a"))
    own = topology.load(SANDBOX)
    assert tuple(both(own, own.pg_clusters["pg-meta"])) == (Job((META,), ("a", "b")),)


@pytest.mark.parametrize("name", ["hba", "objects", "pgbouncer", "backup", "service"])
def test_an_aspect_drags_nothing_along(name: str) -> None:
    text = (STATES / f"{name}.sls").read_text(encoding="utf-8")
    lines: list[Any] = [line.split("#")[0] for line in text.splitlines()]
    assert not [line for line in lines if "include" in line or "require" in line]
