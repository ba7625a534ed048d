"""Where backups go: a method that is no repository, and a repository that a failover leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pigsty import validate

LEFT = "don't follow a failover"


def messages(folder: Path, members: int, *variables: str) -> list[str]:
    """Return what is said about a deployment of one cluster."""
    hosts = "\n".join(
        f"        10.0.0.{n}: {{ pg_seq: {n}, pg_role: {'primary' if n == 1 else 'replica'} }}"
        for n in range(1, members + 1)
    )
    file = folder / "pigsty.yml"
    lines = ["all:", "  vars:", "    admin_ip: 10.0.0.1", *(f"    {line}" for line in variables)]
    lines += [
        "  children:",
        "    etcd: { hosts: { 10.0.0.1: { etcd_seq: 1 } } }",
        "    pg-a:",
        "      vars: { pg_cluster: pg-a }",
        "      hosts:",
        hosts,
    ]
    file.write_text("\n".join(lines) + "\n")
    return [f.message for f in validate.validate(file)]


def test_a_local_repository_of_several_members_is_warned_of_once(tmp_path: Path) -> None:
    assert len([m for m in messages(tmp_path, 3) if LEFT in m]) == 1


@pytest.mark.parametrize(
    "variable",
    ["pgbackrest_enabled: false", "pgbackrest_method: minio"],
)
def test_not_without_backups_or_with_a_shared_repository(tmp_path: Path, variable: str) -> None:
    assert not [m for m in messages(tmp_path, 3, variable) if LEFT in m]


def test_one_member_has_nowhere_to_fail_over_to(tmp_path: Path) -> None:
    assert not [m for m in messages(tmp_path, 1) if LEFT in m]


def test_a_line_of_the_schedule_that_cron_would_not_understand(tmp_path: Path) -> None:
    good = 'pg_crontab: ["00 01 * * 1 /pg/bin/pg-backup full", "@daily /bin/true"]'
    assert not [m for m in messages(tmp_path, 1, good) if "crontab" in m]
    bad = 'pg_crontab: ["@daily /bin/true", "every day"]'
    assert len([m for m in messages(tmp_path, 3, bad) if "'every day' is no line" in m]) == 1


def test_the_deployments_own_object_storage_that_is_not_there(tmp_path: Path) -> None:
    def nowhere(*variables: str) -> list[str]:
        return [m for m in messages(tmp_path, 1, *variables) if "no group minio" in m]

    assert len(nowhere("pgbackrest_method: minio")) == 1
    assert not nowhere("pgbackrest_method: minio", "pgbackrest_enabled: false")
    known = 'node_etc_hosts: ["10.0.0.9 sss.pigsty"]'
    assert not nowhere("pgbackrest_method: minio", known)
    own = "pgbackrest_repo: { s3: { type: s3, s3_endpoint: s3.example.com, path: /b } }"
    assert not nowhere("pgbackrest_method: s3", own)


def test_a_recovery_that_makes_no_sense(tmp_path: Path) -> None:
    def found(value: str) -> list[str]:
        return [m for m in messages(tmp_path, 1, f"pg_pitr: {value}") if "pg_pitr" in m]

    assert not found("{ time: '2026-03-01 12:00:00+00', exclusive: true }")
    assert not found("")
    assert len(found("false")) == len(found("[time]")) == 1
    assert found("{ action: pause }") != []
    assert found("{ cluster: pg-b }") == ["pg_pitr: there is no cluster pg-b"]
