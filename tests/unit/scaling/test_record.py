"""What a member notes about itself, and that nothing secret is in it."""

from __future__ import annotations

import json

import pytest

from pigsty import platform
from pigsty.pillar import pgsql
from pigsty.pillar.site import Site
from pigsty.render.pgbackrest import CONFIG
from pigsty.render.record import Record

ONE = "10.1.1.11"


@pytest.fixture
def spec(deployment):
    """Return a function that gives the pillar of the first member."""

    def build(**changes):
        found = deployment(**changes)
        return pgsql.pillar(found, found.nodes[ONE], Site(key=b"k" * 32, ca="CA"), platform.load())

    return build


def test_it_says_whose_the_data_are_and_where(spec):
    found = Record.of(spec())
    assert (found.cluster, found.instance, found.ip) == ("pg-test", "pg-test-1", ONE)
    assert found.main == "/data/postgres/pg-test-17" and found.home == "/pg"
    assert found.link == "/usr/pgsql"
    # By its real name: the link /pg is deleted before the backups are.
    assert found.repository == "/data/backups/pg-test-17/backup"
    assert found.stanza == "pg-test"


def test_a_repository_elsewhere_is_no_folder_of_the_machine(spec):
    s3 = {"type": "s3", "path": "/pgbackrest", "s3_key": "k", "s3_key_secret": "Canary"}
    found = Record.of(spec(pgbackrest_method="far", pgbackrest_repo={"far": s3}))
    assert (found.stanza, found.repository) == ("pg-test", "")


def test_without_backups_there_is_no_stanza(spec):
    found = Record.of(spec(pgbackrest_enabled=False))
    assert (found.stanza, found.repository) == ("", "")


def test_only_what_the_inventory_itself_says_lets_backups_and_packages_go(spec):
    found = Record.of(spec())
    assert (found.remove_data, found.remove_backup, found.remove_packages) == (True, None, False)
    found = Record.of(spec(pg_rm_data=False, pg_rm_backup=True, pg_rm_pkg=True, pg_safeguard=True))
    assert (found.remove_data, found.remove_backup, found.remove_packages) == (False, True, True)
    assert found.safeguard


def test_it_survives_its_file_and_holds_no_secret(spec):
    canaries = {
        name: f"Canary.{number}"
        for number, name in enumerate(
            ("patroni_password", "pg_etcd_password", "pg_admin_password", "pg_monitor_password",
             "pg_replication_password", "pg_dbsu_password")
        )
    }  # fmt: skip
    found = Record.of(spec(**canaries))
    file = found.file()
    assert "Canary" not in file.contents and not file.secret
    assert Record.read(file.contents) == found


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", json.dumps({"cluster": "pg-test"})])
def test_what_is_no_record_is_none(text):
    assert Record.read(text) is None


def test_files_with_secrets_are_not_shown_when_they_go(spec):
    found = Record.of(spec())
    secret = {file.path for file in found.around() if file.secret}
    assert secret == {CONFIG, "/etc/patroni/config.yml", "/etc/pgbouncer/userlist.txt"}
    paths = [file.path for file in found.around()]
    assert len(paths) == len(set(paths)) and all(file.contents is None for file in found.around())
    assert "/etc/systemd/system/patroni.service.d/pigsty.conf" in paths
    assert "/etc/default/vip-manager.yml" in paths
    assert "/etc/systemd/system/patroni.service.d/pigsty-vip.conf" in paths
