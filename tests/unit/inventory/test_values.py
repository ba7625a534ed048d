"""What a value of the file means: the declared type decides, and YAML 1.1 sets no traps."""

from __future__ import annotations

from typing import Any

import pytest

from pigsty import inventory

#: parameter, as it stands in the file, what it means
TRAPS: list[tuple[str, str, Any]] = [
    # an enum whose word YAML 1.1 takes for a boolean
    ("patroni_watchdog_mode", "off", "off"),
    ("patroni_watchdog_mode", "'off'", "off"),
    ("patroni_watchdog_mode", "no", "off"),
    ("patroni_watchdog_mode", "false", "off"),
    ("patroni_watchdog_mode", "OFF", "off"),
    ("patroni_watchdog_mode", "required", "required"),
    ("node_firewall_mode", "off", "off"),
    ("node_firewall_mode", "none", "none"),
    ("vip_role", "MASTER", "master"),
    # a text that YAML 1.1 takes for something else
    ("pg_cluster", "3.10", "3.10"),
    ("pg_cluster", "on", "on"),
    ("pg_cluster", "0640", "0640"),
    ("pg_cluster", "2026-11-21", "2026-11-21"),
    ("pg_cluster", "22:22:22", "22:22:22"),
    ("pg_cluster", "1e3", "1e3"),
    ("pg_cluster", "0x1F", "0x1F"),
    ("pg_admin_password", "12345", "12345"),
    ("pg_admin_password", "0012345", "0012345"),
    ("pg_admin_password", "true", "true"),
    ("pg_admin_password", "1_000", "1_000"),
    ("node_timezone", "~", None),
    ("node_timezone", "null", None),
    ("node_timezone", "'null'", "null"),
    ("node_timezone", "", None),
    # numbers
    ("pg_seq", "1", 1),
    ("pg_seq", "'1'", 1),
    ("pg_seq", "01", 1),
    ("pg_seq", "08", 8),
    ("pg_seq", "010", 10),
    ("pg_seq", "one", "one"),
    ("pg_seq", "1.5", "1.5"),
    ("pg_port", "5_432", 5432),
    ("pg_port", "0x1538", 5432),
    ("pg_port", "90:12", "90:12"),
    ("pg_seq", "9" * 5000, "9" * 5000),
    ("node_hugepage_ratio", "0.25", 0.25),
    ("node_hugepage_ratio", "0", 0),
    ("pg_max_conn", "auto", "auto"),
    ("pg_max_conn", "300", 300),
    # booleans
    ("dns_enabled", "yes", True),
    ("dns_enabled", "Off", False),
    ("dns_enabled", "'true'", True),
    ("dns_enabled", "maybe", "maybe"),
    ("dns_enabled", "1", "1"),
    # settings keep words, and numbers as numbers
    ("pg_parameters", "{fsync: off}", {"fsync": "off"}),
    ("pg_parameters", "{work_mem: 64MB}", {"work_mem": "64MB"}),
    ("pg_parameters", "{log_min_duration_statement: 100}", {"log_min_duration_statement": 100}),
    ("pg_parameters", "{log_file_mode: 0640}", {"log_file_mode": "0640"}),
    ("pg_parameters", "{random_page_cost: 1.10}", {"random_page_cost": "1.10"}),
    ("node_sysctl_params", "{net.ipv4.ip_forward: yes}", {"net.ipv4.ip_forward": "yes"}),
    ("node_aliases", "{k: 1}", {"k": "1"}),
    # objects have typed fields
    ("pg_users", "[{name: 1e3, password: 007, login: no}]",
     [{"name": "1e3", "password": "007", "login": False}]),
    ("pg_users", "[{name: u, expire_at: 2030-01-02, connlimit: '8'}]",
     [{"name": "u", "expire_at": "2030-01-02", "connlimit": 8}]),
    ("pg_users", "[{name: u, roles: [on, {name: r, admin: yes}]}]",
     [{"name": "u", "roles": ["on", {"name": "r", "admin": True}]}]),
    ("pg_users", "[{name: u, parameters: {search_path: on}}]",
     [{"name": "u", "parameters": {"search_path": "on"}}]),
    ("pg_databases", "[{name: d, extensions: [{name: postgis, version: 3.10}]}]",
     [{"name": "d", "extensions": [{"name": "postgis", "version": "3.10"}]}]),
    ("pg_default_extensions", "[citus, {name: age}]", ["citus", {"name": "age"}]),
    ("pg_services", "[{name: x, port: '5440', dest: 5432}]",
     [{"name": "x", "port": 5440, "dest": "5432"}]),
    ("redis_instances", "{6379: {}, 6380: {replica_of: '10.0.0.1 6379'}}",
     {"6379": {}, "6380": {"replica_of": "10.0.0.1 6379"}}),
    ("infra_portal", "{home: {domain: on}}", {"home": {"domain": "on"}}),
    ("pgbackrest_repo", "{local: {retention_full: 2, block: y}}",
     {"local": {"retention_full": 2, "block": "y"}}),
    ("pg_rto_plan", "{norm: [30, 5, 10, 25, 5, 2s, 1s, 2s, 3, 3]}",
     {"norm": [30, 5, 10, 25, 5, "2s", "1s", "2s", 3, 3]}),
    ("node_crontab", "['00 01 * * * postgres x']", ["00 01 * * * postgres x"]),
    # an unknown name is read as Ansible does, without its traps
    ("my_own", "yes", True),
    ("my_own", "12", 12),
    ("my_own", "1.5", 1.5),
    ("my_own", "0640", "0640"),
    ("my_own", "22:22:22", "22:22:22"),
    ("my_own", "2026-11-21", "2026-11-21"),
    ("my_own", "'12'", "12"),
    ("my_own", "!!str 12", "12"),
    ("my_own", "{yes: no}", {"yes": False}),
    ("pg_cluster", "!!int '12'", 12),
    # a template is left for later
    ("pg_seq", "'{{ x }}'", "{{ x }}"),
    ("dns_enabled", "'{{ x }}'", "{{ x }}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), TRAPS)
def test_the_declared_type_decides(name: str, text: str, value: Any) -> None:
    found = inventory.parse(f"all: {{vars: {{{name}: {text}}}}}".encode())
    result = found.groups["all"].variables[name].value
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("number", "preset"),
    [(5, "fast"), (20, "fast"), (21, "norm"), (30, "norm"), (45, "safe"), (60, "safe"),
     (61, "wide"), (3600, "wide")],
)  # fmt: skip
def test_a_number_for_pg_rto_is_the_ttl_of_older_releases(number: int, preset: str) -> None:
    found = inventory.parse(f"all:\n  vars:\n    pg_rto: {number}\n".encode())
    assert found.groups["all"].variables["pg_rto"].value == preset
    [finding] = found.findings
    assert (finding.severity, finding.line) == ("warning", 3)
    assert preset in finding.hint


def test_pg_rto_by_name_is_no_matter() -> None:
    assert inventory.parse(b"all: {vars: {pg_rto: safe}}").findings == ()
