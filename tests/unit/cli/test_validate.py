"""`pigsty validate`: what it prints, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pigsty_cli import inventories, main

ROOT = Path(__file__).resolve().parents[3]
BAD = """\
all:
  vars:
    admin_ip: 10.10.10.10
    pg_port: many
    pg_prot: 5432
  children:
    infra: { hosts: { 10.10.10.10: { infra_seq: 1 } } }
"""
#: Each list holds nine times the one before: "billion laughs".
BOMB = (
    "all: { vars: { x: *k9 } }\nk0: &k0 [lol]\n"
    + "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 9)}]\n" for i in range(1, 10))
).split("\n")
BOMB = "\n".join([*BOMB[1:], BOMB[0], ""]).encode()


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """An inventory with an error and a warning."""
    file = tmp_path / "bad.yml"
    file.write_text(BAD, "utf-8")
    return file


def test_errors_come_first_with_line_path_message_and_hint(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["validate", str(bad)]) == 1
    out, err = capsys.readouterr()
    first = out.splitlines()[0]
    assert first.startswith(f"ERROR {bad}:4 all.vars.pg_port: pg_port: expected a port")
    assert " → " in first
    assert f"WARNING {bad}:5 all.vars.pg_prot: unknown parameter pg_prot" in out
    assert f"{bad}: 1 error, 1 warning" in err


def test_json_is_a_list_of_findings(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["validate", "-o", "json", str(bad)]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert all(set(f) == {"severity", "path", "line", "message", "hint"} for f in findings)
    assert [f["line"] for f in findings if f["severity"] == "error"] == [4]


def test_it_says_which_clusters_count_on_a_consul_that_nobody_installs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pigsty.yml"
    text = (ROOT / "pillar/inventory/sandbox.yml").read_text("utf-8")
    file.write_text(text, "utf-8")
    assert main.run(["validate", str(file)]) == 0
    assert "Consul" not in capsys.readouterr().err
    mine = "pg_cluster: pg-test"
    assert text.count(mine) == 1
    own = f"{mine}\n{' ' * 8}pg_dcs_type: consul\n{' ' * 8}pg_consul_token: T"
    file.write_text(text.replace(mine, own), "utf-8")
    assert main.run(["validate", "-o", "json", str(file)]) == 0
    out, err = capsys.readouterr()
    assert all("Consul" not in finding["message"] for finding in json.loads(out))
    assert "in Consul: pg-test. It is yours to run" in err
    assert "http://127.0.0.1:8500" in err


def test_a_good_inventory_exits_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["validate", str(ROOT / "pillar/inventory/sandbox.yml")]) == 0
    assert "no errors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"\xff\xfe\x00a", "not UTF-8"),
        (b"all:\n  vars: {a: \xe9}\n", "not UTF-8"),
        (BOMB, "expand"),
        (b"all: " + b"[" * 20000, "levels deep"),
        (b"all: {vars: {}, children: {}}\n", "no hosts"),
    ],
    ids=["empty", "comments", "utf-16", "latin-1", "billion laughs", "deep", "no hosts"],
)  # fmt: skip
def test_what_is_no_inventory_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_bytes(content)
    assert main.run(["validate", str(file)]) == 1
    out, err = capsys.readouterr()
    assert said in out
    assert "Traceback" not in out + err


def test_a_folder_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["validate", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().out


def test_a_missing_file_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["validate", str(tmp_path / "none.yml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_the_inventory_is_found_where_people_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inventories, "PLACES", (tmp_path / "etc.yml", Path("pigsty.yml")))
    assert main.run(["validate"]) == 2
    shutil.copy(ROOT / "pillar/inventory/meta.yml", tmp_path / "pigsty.yml")
    assert main.run(["validate"]) == 0
    (tmp_path / "etc.yml").write_text("all: {}\n")
    assert main.run(["validate"]) == 1
    assert main.run(["validate", "-i", "pigsty.yml"]) == 0
    capsys.readouterr()
