"""`pigsty pillar` and `pigsty schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pigsty_cli import main
from pigsty_cli.commands import pillar as command

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"
#: Every secret that the inventory below declares; none is a word of anything else.
TOKENS = [f"Tok3n-{number:02d}-'q\"uote" for number in range(12)]


@pytest.fixture(autouse=True)
def no_deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the command find no deployment key, whatever this machine has."""
    monkeypatch.setattr(command, "KEY", str(tmp_path / "none.key"))


@pytest.fixture
def secretive(tmp_path: Path) -> Path:
    """The sandbox's inventory with a token for every secret that it may hold."""
    data = yaml.safe_load(SANDBOX.read_text("utf-8"))
    names = [
        "pg_admin_password", "pg_monitor_password", "pg_replication_password", "patroni_password",
        "haproxy_admin_password", "etcd_root_password", "pg_etcd_password",
        "grafana_admin_password", "vip_auth_pass",
    ]  # fmt: skip
    data["all"]["vars"].update(dict(zip(names, TOKENS, strict=False)))
    variables = data["all"]["children"]["pg-test"]["vars"]
    variables["pg_users"] = [{"name": "app", "password": TOKENS[9], "pgbouncer": True}]
    variables["pg_databases"] = [{"name": "app", "owner": "app"}]
    file = tmp_path / "pigsty.yml"
    file.write_text(yaml.safe_dump(data), "utf-8")
    return file


@pytest.mark.parametrize("fmt", ["json", "yaml", "table"])
@pytest.mark.parametrize("host", ["10.10.10.10", "10.10.10.11"])
def test_no_secret_is_shown(
    secretive: Path, capsys: pytest.CaptureFixture[str], fmt: str, host: str
) -> None:
    assert main.run(["pillar", host, "-i", str(secretive), "-o", fmt]) == 0
    out = capsys.readouterr().out
    for token in TOKENS:
        assert token[:8] not in out
    assert "SCRAM-SHA-256$" not in out
    assert "PRIVATE KEY" not in out
    assert "********" in out


def test_secrets_are_shown_on_request(secretive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pillar", "10.10.10.11", "-i", str(secretive), "-o", "json", "--show-secrets"]
    assert main.run(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["pigsty"]["pgsql"]["patroni"]["password"] == TOKENS[3]


def test_a_host_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["pillar", "pg-test-1", "-i", str(SANDBOX), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pigsty"]["meta"]["id"] == "10.10.10.11"


def test_an_unknown_host_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["pillar", "pg-tset-1", "-i", str(SANDBOX)]) == 2
    assert "did you mean pg-test-1?" in capsys.readouterr().err


def test_a_bad_inventory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(SANDBOX.read_text("utf-8").replace("pg_seq: 1", "pg_seq: one"), "utf-8")
    assert main.run(["pillar", "10.10.10.11", "-i", str(file)]) == 4
    assert "pigsty validate" in capsys.readouterr().err


def test_the_table_has_a_line_for_each_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["pillar", "10.10.10.11", "-i", str(SANDBOX)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["pigsty:pgsql:cluster", "pg-test"] for line in lines)


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["all"]
    assert main.run(["schema", "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == schema
