"""Folders, links and small files around PostgreSQL."""

from __future__ import annotations

import pytest

from pigsty.render import pglayout


def test_folders_come_before_what_is_in_them(pillar):
    paths = [folder.path for folder in pglayout.folders(pillar())]
    for index, path in enumerate(paths):
        parents = [other for other in paths if path.startswith(other + "/")]
        assert all(paths.index(parent) < index for parent in parents)


def test_the_clusters_folders_are_closed_to_others_and_the_data_is_patronis(pillar):
    found = {folder.path: folder for folder in pglayout.folders(pillar())}
    assert found["/data/postgres"].user == "root"
    assert found["/data/postgres/pg-test-17"].mode == "0750"
    assert found["/data/postgres/pg-test-17/log/patroni"].user == "postgres"
    assert found["/data/backups/pg-test-17/backup"].user == "postgres"
    assert not any(path.endswith("/data") for path in found)
    assert all(folder.mode == "0750" for folder in found.values() if folder.user != "root")


def test_links(pillar):
    assert pglayout.links(pillar()) == {
        "/pg": "/data/postgres/pg-test-17",
        "/data/postgres/pg-test-17/backup": "/data/backups/pg-test-17/backup",
        "/usr/pgsql": "/usr/lib/postgresql/17",
    }
    own = pillar(pg_bin_dir="/usr/lib/postgresql/17/bin")
    assert "/usr/lib/postgresql/17" not in pglayout.links(own)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("64MiB", 67108864), ("1GiB", 1073741824), ("512kB", 524288), ("0", 0), (100, 100), ("", 0)],
)
def test_ballast(pillar, size, expected):
    spec = pillar()
    spec["params"]["pg_dummy_filesize"] = size
    assert pglayout.ballast(spec) == ("/data/postgres/pg-test-17/dummy", expected)


def files(spec):
    return {file.path: file for file in pglayout.files(spec)}


def test_debian_makes_no_cluster_of_its_own(pillar):
    [file] = pglayout.before_packages(pillar())
    assert file.path == "/etc/postgresql-common/createcluster.d/pigsty.conf"
    assert "create_main_cluster = false" in file.contents


@pytest.mark.parametrize(
    ("level", "text"),
    [("all", "ALL=(ALL) ALL"), ("nopass", "NOPASSWD: ALL"), ("limit", "systemctl reload patroni")],
)
def test_sudo(pillar, level, text):
    file = files(pillar(pg_dbsu_sudo=level))["/etc/sudoers.d/pigsty-pgsql"]
    assert text in file.contents and file.mode == "0440"


def test_limited_sudo_offers_no_way_to_a_shell(pillar):
    """A pager run by root is one key from a shell of root."""
    text = files(pillar())["/etc/sudoers.d/pigsty-pgsql"].contents
    assert "status" not in text and "journalctl" not in text and "*" not in text


def test_no_sudo_means_no_file(pillar):
    assert files(pillar(pg_dbsu_sudo="none"))["/etc/sudoers.d/pigsty-pgsql"].contents is None


def test_units_come_back_after_a_crash(pillar):
    found = files(pillar())
    for unit in ("patroni", "pgbouncer"):
        text = found[f"/etc/systemd/system/{unit}.service.d/pigsty.conf"].contents
        assert "Restart=on-failure" in text and "StartLimitIntervalSec=0" in text


def test_patroni_may_use_the_watchdog_only_where_it_is_wanted(pillar):
    path = "/etc/systemd/system/patroni.service.d/pigsty.conf"
    assert "/dev/watchdog" not in files(pillar())[path].contents
    assert "/dev/watchdog" in files(pillar(patroni_watchdog_mode="automatic"))[path].contents
    assert "/dev/watchdog" in files(pillar(pg_conf="crit.yml"))[path].contents
