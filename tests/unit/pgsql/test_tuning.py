"""The tuning templates: each formula at values where a wrong one would show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigsty.errors import PillarError
from pigsty.render.tuning import GIB, TEMPLATES, Machine, parameters, template_of

PARAMS = {
    "pg_conf": "oltp.yml",
    "pg_version": 17,
    "pg_max_conn": "auto",
    "pg_shared_buffer_ratio": 0.25,
    "pg_default_service_dest": "pgbouncer",
    "pg_libs": "pg_stat_statements, auto_explain",
    "pg_storage_type": "SSD",
    "pg_io_method": "worker",
    "pg_pwd_enc": "scram-sha-256",
    "pg_log_dir": "/pg/log/postgres",
    "pg_primary_db": "postgres",
    "pg_cert_dir": "/pg/cert",
}
SMALL = Machine(cpu=2, memory=4096, disk=40 * GIB)
LARGE = Machine(cpu=64, memory=524288, disk=4000 * GIB)


def tuned(machine=LARGE, **changes):
    return parameters(machine, {**PARAMS, **changes})


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_known_with_and_without_its_suffix(name):
    assert template_of(name) == template_of(f"{name}.yml") == name


def test_an_unknown_template_is_an_error_that_lists_the_known():
    with pytest.raises(PillarError, match=r"'mine.yml'.*oltp.yml, olap.yml, crit.yml, tiny.yml"):
        template_of("mine.yml")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pg_conf": "oltp"}, 500),
        ({"pg_conf": "oltp", "pg_default_service_dest": "postgres"}, 1000),
        ({"pg_conf": "crit"}, 500),
        ({"pg_conf": "crit", "pg_default_service_dest": "postgres"}, 1000),
        ({"pg_conf": "olap", "pg_default_service_dest": "postgres"}, 500),
        ({"pg_conf": "tiny", "pg_default_service_dest": "postgres"}, 250),
        ({"pg_max_conn": 300}, 300),
        ({"pg_max_conn": "300"}, 300),
        ({"pg_max_conn": 19}, 500),
        # Patroni would throw away a smaller number and take its own default.
        ({"pg_max_conn": 20}, 25),
    ],
)
def test_connections(changes, expected):
    assert tuned(**changes)["max_connections"] == expected


def test_memory_of_a_large_machine():
    found = tuned()
    assert found["shared_buffers"] == "131072MB"
    assert found["effective_cache_size"] == "393216MB"
    assert found["maintenance_work_mem"] == "32768MB"
    assert found["work_mem"] == "262MB"
    assert tuned(pg_conf="olap")["maintenance_work_mem"] == "65536MB"


@pytest.mark.parametrize(
    ("template", "machine", "expected"),
    [
        ("oltp", SMALL, "64MB"),
        ("tiny", SMALL, "16MB"),
        ("olap", SMALL, "64MB"),
        ("oltp", Machine(64, 8 * 524288, GIB), "1024MB"),
        ("tiny", LARGE, "256MB"),
        ("olap", Machine(64, 64 * 524288, GIB), "8192MB"),
    ],
)
def test_work_mem_stays_within_its_template(template, machine, expected):
    assert tuned(machine, pg_conf=template)["work_mem"] == expected


def test_shared_buffers_round_up():
    assert tuned(Machine(1, 1001, GIB))["shared_buffers"] == "251MB"


@pytest.mark.parametrize(
    ("template", "cpu", "expected"),
    [
        # (max_worker_processes, max_parallel_workers, per_gather, maintenance)
        ("oltp", 2, (24, 2, 2, 2)),
        ("oltp", 64, (80, 32, 8, 22)),
        ("oltp", 16, (32, 8, 3, 6)),
        ("olap", 2, (28, 2, 2, 2)),
        ("olap", 64, (84, 52, 32, 22)),
        ("crit", 64, (80, 32, 0, 22)),
        ("tiny", 1, (20, 1, 0, 1)),
        ("tiny", 16, (28, 8, 0, 5)),
    ],
)
def test_workers(template, cpu, expected):
    found = tuned(Machine(cpu, 4096, GIB), pg_conf=template)
    assert (
        found["max_worker_processes"],
        found["max_parallel_workers"],
        found["max_parallel_workers_per_gather"],
        found["max_parallel_maintenance_workers"],
    ) == expected


@pytest.mark.parametrize(
    ("gib", "unit"), [(1, 1), (20, 1), (21, 2), (400, 20), (2000, 100), (9000, 100)]
)
def test_wal_is_measured_by_the_disk(gib, unit):
    found = tuned(Machine(4, 4096, gib * GIB))
    assert found["min_wal_size"] == f"{unit}GB"
    assert found["max_wal_size"] == f"{4 * unit}GB"
    assert found["max_slot_wal_keep_size"] == f"{6 * unit}GB"
    assert found["temp_file_limit"] == f"{unit}GB"
    assert tuned(Machine(4, 4096, gib * GIB), pg_conf="olap")["temp_file_limit"] == f"{4 * unit}GB"


@pytest.mark.parametrize(
    ("libs", "template", "locks", "prepared"),
    [
        ("pg_stat_statements", "oltp", 500, 0),
        ("timescaledb, pg_stat_statements", "oltp", 1000, 0),
        ("citus, pg_stat_statements", "oltp", 1000, 500),
        ("pg_stat_statements", "olap", 1000, 0),
        ("citus", "olap", 2000, 500),
    ],
)
def test_distributed_extensions_need_more_locks(libs, template, locks, prepared):
    found = tuned(pg_libs=libs, pg_conf=template)
    assert found["max_locks_per_transaction"] == locks
    assert found["max_prepared_transactions"] == prepared


def test_settings_of_a_library_come_with_it_only():
    found = tuned(pg_libs="auto_explain,pg_cron ", pg_primary_db="meta")
    assert found["shared_preload_libraries"] == "auto_explain, pg_cron"
    assert found["cron.database_name"] == "meta"
    assert not any(name.startswith("pg_stat_statements.") for name in found)


def test_settings_exist_only_where_the_version_knows_them():
    old, middle, new = (tuned(pg_version=version) for version in (14, 17, 18))
    assert "wal_compression" not in old and middle["wal_compression"] == "lz4"
    assert "sync_replication_slots" not in old and middle["sync_replication_slots"] == "on"
    assert "io_method" not in middle and new["io_method"] == "worker"
    assert new["io_workers"] == 16 and tuned(pg_version=18, pg_conf="olap")["io_workers"] == 32
    assert tuned(pg_version=18, pg_io_method="auto")["io_method"] == "io_uring"
    assert new["idle_replication_slot_timeout"] == "7d"
    assert tuned(pg_version=18, pg_conf="crit")["idle_replication_slot_timeout"] == "3d"


def test_spinning_disks_keep_the_planners_own_costs():
    assert tuned()["random_page_cost"] == 1.1
    assert "random_page_cost" not in tuned(pg_storage_type="HDD")


def test_what_crit_does_that_others_do_not():
    found = tuned(pg_conf="crit")
    assert found["log_connections"] == found["log_disconnections"] == "on"
    assert found["wal_writer_flush_after"] == 0
    assert found["idle_in_transaction_session_timeout"] == "1min"
    assert "log_connections" not in tuned()


def test_archiving_can_be_switched_on_without_a_restart():
    assert tuned()["archive_mode"] == "on"
    assert tuned()["archive_command"] == "/bin/true"


@given(
    cpu=st.integers(1, 1024),
    memory=st.integers(256, 16 * 1024**2),
    disk=st.integers(GIB, 10**15),
    template=st.sampled_from(TEMPLATES),
    version=st.integers(13, 18),
)
def test_every_machine_gets_settings_that_a_server_accepts(cpu, memory, disk, template, version):
    machine = Machine(cpu, memory, disk)
    found = tuned(machine, pg_conf=template, pg_version=version)
    assert found == tuned(machine, pg_conf=template, pg_version=version)
    assert list(found) == sorted(found)
    # Limits of PostgreSQL: pg_settings.min_val and max_val.
    assert 128 <= int(found["shared_buffers"][:-2]) * 128 <= 1073741823
    assert 1 <= int(found["work_mem"][:-2]) * 1024 <= 2147483647
    assert int(found["maintenance_work_mem"][:-2]) * 1024 <= 2147483647
    assert found["max_worker_processes"] <= 262143
    assert found["max_parallel_workers"] <= 1024
    assert found["max_parallel_workers_per_gather"] <= 1024
    assert found["superuser_reserved_connections"] < found["max_connections"]
