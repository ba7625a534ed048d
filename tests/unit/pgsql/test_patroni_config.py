"""Patroni's configuration: who may bootstrap, with which timing, and where which setting stands."""

from __future__ import annotations

import pytest
import yaml

from pigsty.errors import PillarError
from pigsty.pillar import replication
from pigsty.render import patroni
from pigsty.render.tuning import GIB, Machine

MACHINE = Machine(cpu=4, memory=8192, disk=100 * GIB)


@pytest.fixture
def config(pillar):
    def build(ip="10.1.1.11", host=None, watchdog=False, **changes):
        return patroni.build(pillar(ip, host, **changes), MACHINE, watchdog=watchdog)

    return build


def test_only_the_declared_primary_can_bootstrap(config):
    holders = [
        ip
        for ip in ("10.1.1.11", "10.1.1.12", "10.1.1.13", "10.1.1.14")
        if "bootstrap" in config(ip)
    ]
    assert holders == ["10.1.1.11"]


def test_identity_and_addresses(config):
    found = config("10.1.1.12")
    assert (found["scope"], found["namespace"], found["name"]) == ("pg-test", "/pg/", "pg-test-2")
    assert found["restapi"]["listen"] == "10.1.1.12:8008"
    assert found["postgresql"]["listen"] == "0.0.0.0:5432"
    assert found["postgresql"]["connect_address"] == "10.1.1.12:5432"


def test_etcd_by_tls_as_the_clusters_own_user(config):
    found = config()["etcd3"]
    assert found["hosts"] == ["10.1.1.10:2379", "10.1.1.11:2379"]
    assert found["protocol"] == "https"
    assert found["username"] == "pg-test"
    assert found["password"] not in ("", "pg-test")
    assert {found["cacert"], found["cert"], found["key"]} == {
        "/pg/cert/ca.crt",
        "/pg/cert/server.crt",
        "/pg/cert/server.key",
    }


def test_rest_api_speaks_tls_and_changes_need_a_known_address(config):
    found = config()["restapi"]
    assert found["certfile"] and found["keyfile"] and found["cafile"]
    assert found["verify_client"] == "none"
    assert found["allowlist"] == ["10.1.1.10", "10.1.1.11", "10.1.1.12", "10.1.1.13", "10.1.1.14"]
    plain = config(patroni_ssl_enabled=False)
    assert "certfile" not in plain["restapi"] and plain["ctl"] == {}


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("fast", (20, 5, 5, 15)),
        ("norm", (30, 5, 10, 25)),
        ("safe", (60, 10, 20, 45)),
        ("wide", (120, 20, 30, 95)),
    ],
)
def test_presets(config, preset, expected):
    dcs = config(pg_rto=preset)["bootstrap"]["dcs"]
    names = ("ttl", "loop_wait", "retry_timeout", "primary_start_timeout")
    assert tuple(dcs[name] for name in names) == expected
    # Patroni silently changes values that break its rule, so ours never may.
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"]


def test_a_plan_of_ones_own(config):
    plan = {"norm": [40, 6, 11, 26, 7, "2s", "1s", "2s", 3, 3]}
    assert config(pg_rto_plan=plan)["bootstrap"]["dcs"]["ttl"] == 40
    with pytest.raises(PillarError, match="ten values"):
        config(pg_rto_plan={"norm": [40, 6]})


@pytest.mark.parametrize(
    ("changes", "mode", "strict"),
    [
        ({}, False, False),
        ({"pg_rpo": 0}, True, False),
        ({"pg_conf": "crit.yml"}, True, True),
        ({"pg_conf": "tiny.yml"}, False, False),
        ({"pg_sync_mode": "on"}, True, False),
        ({"pg_sync_mode": "quorum"}, "quorum", False),
        ({"pg_sync_mode": "quorum", "pg_conf": "crit.yml"}, "quorum", True),
        ({"pg_sync_mode": "quorum", "pg_rpo": 0}, "quorum", False),
        ({"pg_sync_mode": "off", "pg_conf": "crit.yml"}, False, False),
    ],
)
def test_synchronous_mode(config, changes, mode, strict):
    dcs = config(**changes)["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == (mode, strict)


def test_strict_mode_needs_a_second_copy(pillar, config):
    alone = {**pillar("10.1.1.10"), "role": "primary"}
    alone["params"] = {**alone["params"], "pg_conf": "crit.yml"}
    dcs = patroni.dynamic(alone, MACHINE)
    assert dcs["synchronous_mode"] is True and dcs["synchronous_mode_strict"] is False


def test_loss_is_bounded_by_pg_rpo(config):
    assert config(pg_rpo=4096)["bootstrap"]["dcs"]["maximum_lag_on_failover"] == 4096
    # A bound of nothing would forbid a failover to the synchronous standby itself.
    assert config(pg_rpo=0)["bootstrap"]["dcs"]["maximum_lag_on_failover"] == 1048576


def test_a_cluster_can_be_born_paused(config):
    assert config(patroni_mode="pause")["bootstrap"]["dcs"]["pause"] is True
    assert "pause" not in config()["bootstrap"]["dcs"]


@pytest.mark.parametrize(
    ("mode", "template", "present", "expected"),
    [
        ("off", "oltp.yml", True, "off"),
        ("automatic", "oltp.yml", True, "automatic"),
        ("automatic", "oltp.yml", False, "off"),
        # Required means that a member without one may not lead: that must not be softened.
        ("required", "oltp.yml", False, "required"),
        ("off", "crit.yml", True, "automatic"),
        ("off", "crit.yml", False, "off"),
    ],
)
def test_watchdog(config, mode, template, present, expected):
    found = config(patroni_watchdog_mode=mode, pg_conf=template, watchdog=present)
    assert found["watchdog"]["mode"] == expected
    assert f"mode: '{expected}'" in patroni.text(found) or expected != "off"


def test_members_that_stand_aside_are_never_elected(config):
    for ip, aside in (("10.1.1.12", False), ("10.1.1.13", False), ("10.1.1.14", True)):
        tags = config(ip)["tags"]
        assert (tags["nofailover"], tags["nosync"]) == (aside, aside)


def test_a_cascade_names_the_member_not_the_address(config):
    assert config("10.1.1.13", host="10.1.1.13", pg_upstream="10.1.1.12")["tags"][
        "replicatefrom"
    ] == ("pg-test-2")
    assert "replicatefrom" not in config("10.1.1.12")["tags"]


def test_a_standby_cluster_follows_its_upstream(config):
    found = config(host="10.1.1.11", pg_upstream="10.1.1.10")
    standby = found["bootstrap"]["dcs"]["standby_cluster"]
    assert (standby["host"], standby["port"]) == ("10.1.1.10", 5432)
    assert "recovery_min_apply_delay" not in standby
    assert "recovery_conf" not in found["postgresql"]
    delayed = config(host="10.1.1.11", pg_upstream="10.1.1.10", pg_delay="1d")
    assert delayed["bootstrap"]["dcs"]["standby_cluster"]["recovery_min_apply_delay"] == "1d"


def test_a_standby_cluster_finds_another_member_of_its_upstream(deployment):
    """So neither a failover there nor a lost machine stops it; who stands aside isn't asked."""
    found = deployment("10.1.1.14", pg_role="primary", pg_upstream="10.1.1.12", pg_cluster="pg-dr")
    upstream = replication.standby_of(found, found.pg_clusters["pg-dr"])
    assert upstream["host"] == "10.1.1.12,10.1.1.11,10.1.1.13"
    assert replication.standby_of(found, found.pg_clusters["pg-test"]) is None


def test_a_delayed_member_stays_behind_and_serves_no_reader(config):
    delayed = config("10.1.1.14", host="10.1.1.14", pg_role="delayed", pg_delay="2 hours")
    assert delayed["postgresql"]["recovery_conf"] == {"recovery_min_apply_delay": "2h"}
    tags = {"nofailover": True, "nosync": True, "clonefrom": False, "noloadbalance": True}
    assert tags.items() <= delayed["tags"].items()
    offline = config("10.1.1.14", pg_delay="1h")
    assert "recovery_conf" not in offline["postgresql"]
    assert offline["tags"]["noloadbalance"] is False


@pytest.mark.parametrize(
    ("written", "known"),
    [("0", ""), (0, ""), ("0s", ""), ("", ""), (None, ""), ("1h", "1h"), ("90 sec", "90s"),
     ("1.5 hours", "1.5h"), ("2w", "14d"), ("1 day", "1d"), ("5m", "5min"), ("500ms", "500ms"),
     (100, "100"), ("soon", ""), ("${x}", "")],
)  # fmt: skip
def test_a_time_span_is_written_as_postgresql_reads_it(written, known):
    assert replication.span(written) == known


def test_hba_rules_are_read_from_a_file_that_patroni_leaves_alone(config):
    found = config("10.1.1.12")["postgresql"]
    assert found["parameters"]["hba_file"] == "/pg/conf/pg_hba.conf"
    assert not found["parameters"]["hba_file"].startswith(found["data_dir"] + "/")
    assert "pg_hba" not in found


def test_own_settings_stand_where_patroni_reads_them(config):
    own = {"work_mem": "99MB", "max_connections": 333}
    found = config(pg_parameters=own)
    assert found["postgresql"]["parameters"]["work_mem"] == "99MB"
    assert "max_connections" not in found["postgresql"]["parameters"]
    assert found["bootstrap"]["dcs"]["postgresql"]["parameters"]["max_connections"] == 333


def test_initdb(config):
    options = config()["bootstrap"]["initdb"]
    assert "data-checksums" in options
    assert {"builtin-locale": "C"} in options and {"locale-provider": "builtin"} in options
    assert not any("trust" in str(option) for option in options)
    assert "data-checksums" not in config(pg_checksum=False)["bootstrap"]["initdb"]
    assert "data-checksums" in config(pg_checksum=False, pg_conf="crit.yml")["bootstrap"]["initdb"]
    libc = config(pg_locale="en_US.UTF-8")["bootstrap"]["initdb"]
    assert not any("builtin" in str(option) for option in libc)
    assert {"builtin-locale": "C.UTF-8"} in config(pg_locale="C.UTF8")["bootstrap"]["initdb"]


def test_the_superuser_has_a_password_only_if_declared(config):
    assert config()["postgresql"]["authentication"]["superuser"] == {"username": "postgres"}
    given = config(pg_dbsu_password="Super.Secret")["postgresql"]["authentication"]["superuser"]
    assert given["password"] == "Super.Secret"


def test_the_text_is_yaml_that_reads_back_and_is_the_same_every_time(config):
    found = config()
    assert yaml.safe_load(patroni.text(found)) == found
    assert patroni.text(found) == patroni.text(config())


SHARED = {"s3": {"type": "s3", "path": "/b"}}


def test_replicas_come_from_a_repository_that_all_members_reach(config):
    found = config("10.1.1.12", pgbackrest_method="s3", pgbackrest_repo=SHARED)["postgresql"]
    assert found["create_replica_methods"] == ["pgbackrest", "basebackup"]
    assert "--stanza=pg-test" in found["pgbackrest"]["command"]
    assert found["recovery_conf"]["restore_command"] == '/pg/bin/pg-wal-get %f "%p"'


@pytest.mark.parametrize("changes", [{}, {"pgbackrest_enabled": False}])
def test_replicas_come_from_the_leader_without_one(config, changes):
    found = config("10.1.1.12", **changes)["postgresql"]
    assert found["create_replica_methods"] == ["basebackup"]
    assert not {"recovery_conf", "pgbackrest"} & set(found)


def test_a_cluster_in_consul_has_consul_and_no_etcd(pillar):
    spec = pillar(
        pg_dcs_type="consul", pg_consul_token="T", pg_consul_url="https://consul.test:8501",
        pg_consul_ca="/etc/consul/ca.crt",
    )  # fmt: skip
    config = patroni.build(spec, MACHINE, watchdog=False)
    assert "etcd3" not in config
    assert config["consul"] == {
        "url": "https://consul.test:8501",
        "register_service": False,
        "token": "T",
        "cacert": "/etc/consul/ca.crt",
        "verify": True,
    }
    assert "python3-consul" in spec["packages"]


def test_a_cluster_in_etcd_has_no_consul(pillar):
    spec = pillar()
    assert "consul" not in patroni.build(spec, MACHINE, watchdog=False)
    assert "python3-consul" not in spec["packages"]
