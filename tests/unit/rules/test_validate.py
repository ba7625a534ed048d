"""Validation as a whole: once per mistake, kept per file, quick; public passwords; the refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pigsty import rules, topology, validate
from pigsty.errors import PillarError
from pigsty.findings import Finding, has_errors

HOSTS = 200


def text_of(*variables: str, profile: str = "sandbox") -> str:
    """Return an inventory with many clusters of four, and some global variables."""
    lines = ["all:", "  vars:", "    admin_ip: 10.0.0.1", f"    pigsty_profile: {profile}"]
    lines += [f"    {line}" for line in variables]
    lines += [
        "  children:",
        "    infra: { hosts: { 10.0.0.1: { infra_seq: 1 } } }",
        "    etcd: { hosts: { 10.0.0.1: { etcd_seq: 1 } } }",
    ]
    for cluster in range(HOSTS // 4):
        lines += [f"    pg-{cluster:03d}:", f"      vars: {{ pg_cluster: pg-{cluster:03d} }}"]
        lines.append("      hosts:")
        for seq in range(1, 5):
            role = "primary" if seq == 1 else "replica"
            ip = f"10.0.{1 + cluster // 50}.{4 * (cluster % 50) + seq}"
            lines.append(f"        {ip}: {{ pg_seq: {seq}, pg_role: {role} }}")
    return "\n".join(lines) + "\n"


def findings_of(folder: Path, text: str) -> list[Finding]:
    """Return the findings about a text, without what every inventory of today gets."""
    file = folder / "pigsty.yml"
    file.write_text(text, "utf-8")
    usual = ("not yet built", "don't follow a failover")
    return [f for f in validate.validate(file) if not any(said in f.message for said in usual)]


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("pg_port: many", "expected a port"),
        ("pg_prot: 1", "unknown parameter"),
        ("pg_users: [{ name: app, roles: [nobody] }]", "'nobody' does not exist"),
        ("pgbouncer_port: 5432", "is used twice"),
        ("vip_enabled: true", "there is no vip_address"),
        ("pg_rto: fats", "'fats'"),
        ("admin_ip: 10.9.9.9", "is no host"),
        ("pg_fs_bkup: /b", "is called pg_fs_backup"),
        ('node_timezone: "{{ nowhere }}"', "names something unknown"),
        ("pgbackrest_method: tape", "is no repository"),
        ("pg_databases: [{ name: app, owner: nobody }]", "'nobody' does not exist"),
    ],
)
def test_a_mistake_that_all_hosts_share_is_reported_once(
    tmp_path: Path, variable: str, said: str
) -> None:
    text = text_of(variable)
    if variable.startswith("admin_ip"):
        text = text.replace("    admin_ip: 10.0.0.1\n", "")
    line = text.splitlines().index(f"    {variable}") + 1
    found = [f for f in findings_of(tmp_path, text) if said in f.message]
    assert [f.line for f in found] == [line], found


def test_findings_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = findings_of(
        tmp_path, text_of("pg_port: x", "etcd_port: y", "pg_prot: 1", "node_tune: z")
    )
    lines = [f.line for f in found]
    assert lines == sorted(lines, key=lambda line: line or 0)
    assert len(found) == 4


def test_a_result_is_kept_as_long_as_the_file_is(tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(text_of())
    first = validate.validate(file)
    assert validate.validate(file) is first
    file.write_text(text_of("pg_port: many"))
    os.utime(file, ns=(1, 1))
    assert has_errors(validate.validate(file))


def test_a_file_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    (finding,) = validate.validate(tmp_path / "none.yml")
    assert finding.severity == "error"
    assert "none.yml" in finding.message


def test_a_rule_that_stumbles_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[Finding]:
        raise RuntimeError("oops")

    monkeypatch.setattr(validate, "RULES", (broken, *rules.RULES))
    found = findings_of(tmp_path, text_of("pg_port: many"))
    assert any(f.message.startswith(validate.DEFECT) and "oops" in f.message for f in found)
    assert any("expected a port" in f.message for f in found)


@pytest.mark.parametrize(
    ("profile", "variable", "count"),
    [
        ('""', "pg_admin_password: DBUser.DBA", 1),
        ('""', "pg_users: [{ name: a, password: DBUser.Meta }]", 1),
        ('""', "pgbackrest_repo: { m: { type: s3, cipher_pass: pgBackRest } }", 1),
        ('""', "pg_admin_password: my own", 0),
        ('""', "pg_cluster_comment: DBUser.DBA", 0),
        ("sandbox", "pg_admin_password: DBUser.DBA", 0),
    ],
)
def test_public_passwords(tmp_path: Path, profile: str, variable: str, count: int) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(text_of(variable, profile=profile))
    found = rules.public_passwords(topology.load(file))
    assert len(found) == count
    for finding in found:
        assert "DBUser" not in finding.message
        assert finding.line == 5


def test_a_refusal_names_the_first_error_and_the_command() -> None:
    one = Finding("error", "all.vars.a", 3, "is odd", "")
    assert validate.refusal("/p.yml", [one]) == (
        "the inventory /p.yml has an error in line 3: all.vars.a: is odd; "
        "`pigsty validate /p.yml` shows all"
    )
    whole = Finding("error", "", None, "the file is empty", "")
    assert "has 2 errors, the first: the file is empty;" in validate.refusal("/p.yml", [whole, one])


def test_secrets_never_stand_in_a_finding(tmp_path: Path) -> None:
    secret = "S3cr3t-T0ken"
    text = text_of(
        f"pg_admin_password: [{secret}]",
        f"pg_monitor_password: {{ {secret}: 1 }}",
        f'haproxy_admin_password: "{secret}\\n"',
        f"pg_users: [{{ name: a, password: [{secret}] }}]",
        f"pg_default_roles: [{{ name: b, password: {{ x: {secret} }} }}]",
        f"minio_users: [{{ access_key: a, secret_key: [{secret}] }}]",
    )
    found = findings_of(tmp_path, text)
    assert len([f for f in found if f.severity == "error"]) >= 5
    for finding in found:
        assert secret not in repr(finding)


def test_what_is_used_is_what_was_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit between validation and use must not slip through: the file is read once."""
    file = tmp_path / "pigsty.yml"
    file.write_text(text_of())
    good = topology.load(file)
    reads = iter([good])
    monkeypatch.setattr(topology, "load", lambda _: next(reads))
    assert validate.usable(file) is good


@pytest.mark.parametrize("text", ["all: [", "all: { vars: { pg_port: x } }\n", ""])
def test_an_inventory_with_errors_is_not_usable(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(text)
    with pytest.raises(PillarError, match="`pigsty validate"):
        validate.usable(file)
