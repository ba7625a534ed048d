"""pgBackRest's files: options, secrets, the schedule, and the program that asks who leads."""

from __future__ import annotations

import configparser
import http.server
import os
import subprocess
import sys
import threading

import pytest

from pigsty.errors import PillarError
from pigsty.render import patroni, pgbackrest
from pigsty.render.files import Directory, File
from pigsty.render.tuning import GIB, Machine

S3 = {
    "type": "s3",
    "s3_endpoint": "sss.pigsty",
    "s3_key": "backup",
    "path": "/pgbackrest",
    "storage_port": 9000,
    "bundle": True,
    "cipher_type": "aes-256-cbc",
}


def options_of(spec, cpu=4):
    found = configparser.ConfigParser(interpolation=None)
    found.read_string(pgbackrest.configuration(spec, cpu))
    return found


def entries(spec):
    return {entry.path: entry for entry in pgbackrest.files(spec, 4)}


def test_the_local_repository_is_the_default(pillar):
    found = options_of(pillar())
    assert found["global"]["repo1-path"] == "/pg/backup"
    assert found["global"]["repo1-retention-full"] == "2"
    assert "repo1-cipher-type" not in found["global"]
    assert found["pg-test"]["pg1-path"] == "/pg/data"
    assert found["global"]["compress-type"] == "zst"
    assert found["global"]["archive-async"] == "y"
    assert found["global"]["spool-path"] == "/pg/spool"


def test_a_repositorys_keys_become_options(pillar):
    found = options_of(pillar(pgbackrest_method="far", pgbackrest_repo={"far": S3}))["global"]
    assert found["repo1-s3-endpoint"] == "sss.pigsty"
    assert found["repo1-storage-port"] == "9000"
    assert found["repo1-bundle"] == "y"


def test_a_silent_repository_holds_a_stopping_server_up_for_seconds_only(pillar):
    found = options_of(pillar(pgbackrest_method="far", pgbackrest_repo={"far": S3}))
    assert int(found["global:archive-push"]["archive-timeout"]) <= 5
    for command in ("archive-push", "archive-get"):
        assert int(found[f"global:{command}"]["io-timeout"]) <= 10
    # A check or a backup waits for its WAL as long as pgBackRest finds right.
    assert not {"archive-timeout", "io-timeout"} & set(found["global"])


def test_undeclared_secrets_are_derived_and_differ_between_clusters(pillar):
    changes = {"pgbackrest_method": "far", "pgbackrest_repo": {"far": S3}}
    first = pillar(**changes)["backup"]["options"]
    again = pillar("10.1.1.12", **changes)["backup"]["options"]
    assert len(first["cipher_pass"]) == 24
    assert first["cipher_pass"] == again["cipher_pass"]
    assert first["s3_key_secret"] not in ("", first["cipher_pass"])
    declared = {"far": {**S3, "cipher_pass": "mine"}}
    assert (
        pillar(pgbackrest_method="far", pgbackrest_repo=declared)["backup"]["options"][
            "cipher_pass"
        ]
        == "mine"
    )


def test_nothing_is_encrypted_unless_asked_for(pillar):
    assert "cipher_pass" not in pillar()["backup"]["options"]


def test_the_file_is_for_the_superuser_only_and_never_shown(pillar):
    file = entries(pillar())[pgbackrest.CONFIG]
    assert isinstance(file, File)
    assert (file.mode, file.user, file.group, file.secret) == ("0640", "postgres", "postgres", True)


@pytest.mark.parametrize("value", ["", "a\nrepo1-path=/", " x", "x\r"])
def test_a_value_that_would_break_the_file_is_refused(pillar, value):
    spec = pillar(pgbackrest_repo={"local": {"path": "/b"}})
    spec["backup"]["options"]["cipher_pass"] = value
    with pytest.raises(PillarError):
        pgbackrest.configuration(spec, 1)


def test_only_a_local_repository_gets_a_folder(pillar):
    assert isinstance(entries(pillar())["/pg/backup"], Directory)
    far = pillar(pgbackrest_method="far", pgbackrest_repo={"far": S3})
    assert "/pgbackrest" not in entries(far)


@pytest.mark.parametrize("cpu", [1, 2, 8, 200])
def test_every_command_has_a_process_and_none_has_more_than_the_machine(cpu):
    counts = pgbackrest.processes(cpu)
    assert all(1 <= count <= cpu for count in counts.values())
    assert counts["archive-push"] <= 4


def test_without_backups_there_is_no_file_and_no_archiving(pillar):
    spec = pillar(pgbackrest_enabled=False)
    assert spec["backup"] is None
    assert "pgbackrest" not in spec["packages"]
    assert entries(spec)[pgbackrest.CONFIG].contents is None
    config = patroni.build(spec, Machine(4, 8192, 40 * GIB), watchdog=False)
    assert "archive_command" not in config["postgresql"]["parameters"]


def test_patroni_archives_with_it_unless_the_inventory_says_otherwise(pillar):
    def command(**changes):
        config = patroni.build(pillar(**changes), Machine(4, 8192, 40 * GIB), watchdog=False)
        return config["postgresql"]["parameters"]["archive_command"]

    assert command() == 'pgbackrest --stanza=pg-test archive-push "%p"'
    assert command(pg_parameters={"archive_command": "/bin/mine"}) == "/bin/mine"
    assert "pgbackrest" in pillar()["packages"]


def test_an_unknown_method_is_refused(pillar):
    with pytest.raises(PillarError, match="tape"):
        pillar(pgbackrest_method="tape")


def test_the_schedule_runs_as_the_superuser():
    lines = ["00 01 * * 1 /pg/bin/pg-backup full", "@daily  /bin/x -y 'a  b'"]
    text = pgbackrest.crontab(lines, "dba")
    assert "00 01 * * 1 dba /pg/bin/pg-backup full\n" in text
    assert "@daily dba /bin/x -y 'a  b'\n" in text


def test_an_emptied_schedule_removes_the_file(pillar):
    assert entries(pillar())[pgbackrest.CRONTAB].contents is None
    assert entries(pillar(pg_crontab=["@daily x"]))[pgbackrest.CRONTAB].contents


@pytest.mark.parametrize("line", ["", "1 2 3 4 5", "@daily", "* * * * * a\n* * * * * root b"])
def test_a_broken_line_of_the_schedule_is_refused(line):
    with pytest.raises(PillarError):
        pgbackrest.crontab([line], "postgres")


@pytest.fixture
def run(pillar, tmp_path):
    """Return a function: the status that Patroni answers with, gives code, output and calls."""
    tool = tmp_path / "bin/pgbackrest"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    tool.chmod(0o755)

    def call(status, *arguments):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            spec = pillar(patroni_ssl_enabled=False, patroni_port=server.server_port)
            spec["ip"] = "127.0.0.1"
            program = tmp_path / "pg-backup"
            program.write_text(pgbackrest.program(spec))
            done = subprocess.run(
                [sys.executable, program, *arguments],
                capture_output=True,
                text=True,
                env={"PATH": f"{tool.parent}:/usr/bin:/bin"},
            )
            server.shutdown()
        called = tmp_path / "called"
        return done, called.read_text().strip() if called.exists() else ""

    return call


def test_the_leader_makes_a_backup(run):
    done, called = run(200, "full")
    assert (done.returncode, called) == (0, "--stanza=pg-test --type=full backup")


def test_a_replica_does_nothing_and_says_so(run):
    done, called = run(503)
    assert (done.returncode, done.stdout, called) == (1, "", "")
    assert "another member leads" in done.stderr


def test_a_patroni_in_trouble_is_an_error(run):
    done, called = run(500)
    assert done.returncode != 0
    assert (done.stderr != "", called) == (True, "")


@pytest.fixture
def get(pillar, tmp_path):
    """Return a function: what pgBackRest does, gives the getter's exit code and all calls."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    spec = pillar()
    spec["directories"]["home"] = str(tmp_path)
    program = tmp_path / "pg-wal-get"
    program.write_text(pgbackrest.getter(spec).replace("timeout 5", "timeout 0.3"))
    tool, called = tmp_path / "bin/pgbackrest", tmp_path / "called"

    def call(does):
        tool.write_text(f'#!/bin/sh\necho "$@" >> {called}\n{does}\n')
        tool.chmod(0o755)
        words = ["sh", program, "0000000A.history", "pg_wal/a b"]
        environment = {"PATH": f"{tool.parent}:/usr/bin:/bin"}
        done = subprocess.run(words, env=environment, timeout=5)
        return done.returncode, called.read_text().splitlines()

    return call


@pytest.mark.parametrize("code", [0, 1, 49])
def test_wal_is_fetched_and_what_pgbackrest_says_of_it_is_said(get, code):
    expected = "--stanza=pg-test archive-get 0000000A.history pg_wal/a b"
    assert get(f"exit {code}") == (code, [expected])
    assert get("exit 0") == (0, [expected, expected])


def test_a_silent_repository_is_left_alone_for_a_while(get, tmp_path):
    # PostgreSQL takes any code up to 125 for "there is none".
    assert (get("exec sleep 3")[0], len(get("exit 0")[1])) == (124, 1)
    assert get("exit 0")[0] == 1
    marker = tmp_path / "tmp/pgbackrest-silent"
    before = marker.stat().st_mtime - 60
    os.utime(marker, (before, before))
    code, calls = get("exit 0")
    assert (code, len(calls)) == (0, 2)


def test_another_word_is_no_kind_of_backup(run):
    done, called = run(200, "--stanza=other")
    assert (done.returncode, called) == (1, "")
