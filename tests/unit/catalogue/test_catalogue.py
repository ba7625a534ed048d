"""The parameter catalogue: complete, consistent, and without a secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pigsty import catalogue
from pigsty.errors import CatalogueError
from pigsty.rules import values
from pigsty.types import coerce

CATALOGUE = catalogue.load()
#: How many names Pigsty 2.5 to 4.5 have between them in the six modules.
NAMES = 398
SCALARS = {
    "arg", "bool", "cidr", "cidr4", "dict", "enum", "float", "int", "int|auto", "interval", "ip",
    "ips", "password", "path", "pgurl", "port", "size", "string", "url", "username", "setting",
    "settings", "strings", "any",
}  # fmt: skip


def fields() -> list[tuple[str, catalogue.Field]]:
    """Return every field of every object with a name for the test."""
    return [
        (f"{kind}.{name}", field)
        for kind, entries in CATALOGUE.objects.items()
        for name, field in entries.items()
    ]


def known(kind: str) -> bool:
    """Return whether a type name is one."""
    kind = kind.removesuffix("_map").removesuffix("[]")
    return kind in SCALARS or kind in CATALOGUE.objects


def test_every_name_is_there_once() -> None:
    assert len(CATALOGUE) >= NAMES
    assert len({parameter.name for parameter in CATALOGUE.parameters}) == len(CATALOGUE.parameters)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pg_fs_bkup", "pg_fs_backup"), ("patroni_citus_db", "pg_primary_db"),
        ("node_disable_firewall", "node_firewall_mode"), ("vector_enabled", "promtail_enabled"),
        ("pg_uninstall", "pg_rm_pkg"), ("nginx_navbar", "infra_services"),
    ],
)  # fmt: skip
def test_former_and_later_names_lead_to_the_same_parameter(old: str, new: str) -> None:
    assert CATALOGUE[old] is CATALOGUE[new]
    assert CATALOGUE.canonical(old) == new
    assert CATALOGUE[new].name == new


def test_an_unknown_name_stays_and_the_nearest_is_found() -> None:
    assert CATALOGUE.canonical("no_such_thing") == "no_such_thing"
    assert CATALOGUE.nearest("pg_versoin") == "pg_version"
    assert CATALOGUE.nearest("zzzzzzzz") == ""


@pytest.mark.parametrize("name", [
    "pg_clean", "etcd_clean", "minio_clean", "redis_clean", "pgbackrest_clean", "prometheus_clean",
    "grafana_clean", "nginx_clean", "haproxy_clean", "vmetrics_clean",
])  # fmt: skip
def test_switches_that_delete_are_known_and_do_nothing(name: str) -> None:
    assert "never deletes" in CATALOGUE[name].unsupported


def offenders(wrong: Callable[[catalogue.Parameter], object]) -> list[str]:
    """Return the names of the parameters for which something wrong is found."""
    return [f"{p.name}: {wrong(p)}" for p in CATALOGUE.parameters if wrong(p)]


def test_every_parameter_is_described() -> None:
    assert not offenders(lambda p: not (p.meaning.endswith(".") and len(p.meaning) > 10))
    assert not offenders(lambda p: not p.level or set(p.level) - set("GCIA"))
    assert not offenders(lambda p: p.module.lower() not in catalogue.MODULES)
    assert not offenders(lambda p: p.since not in {"2.5", "3.3", "4.5", ""})


def test_every_type_is_known() -> None:
    assert not offenders(lambda p: not known(p.type))
    assert not [name for name, field in fields() if not known(field.type)]
    assert not [name for name, field in fields() if not field.meaning]


def test_every_default_has_its_type() -> None:
    def wrong(p: catalogue.Parameter) -> object:
        # An empty text means "none" where text of a certain form is asked for.
        if p.type == "setting[]_map" or (
            p.default == "" and p.type in {"interval", "url", "pgurl"}
        ):
            return []
        return list(values.check(p.type, p.default, CATALOGUE, choices=p.choices))

    assert not offenders(wrong)


def test_every_default_survives_a_second_reading() -> None:
    def wrong(p: catalogue.Parameter) -> object:
        return coerce(p.default, p.type, CATALOGUE, p.choices) != p.default

    assert not offenders(wrong)


def test_a_secret_has_no_value_of_its_own() -> None:
    assert not offenders(lambda p: p.type == "password" and not p.secret)
    assert not offenders(lambda p: p.secret and p.default not in (None, "", {}))
    assert not [name for name, f in fields() if (f.type == "password") != f.secret]


def test_former_values_lead_to_allowed_ones() -> None:
    def wrong(p: catalogue.Parameter) -> object:
        meant = [value for table in p.translations.values() for value in table.values()]
        meant += [value for _, value in p.numbers]
        return p.choices and set(meant) - set(p.choices)

    assert not offenders(wrong)


def test_no_public_password_hides_in_a_default() -> None:
    public = {word for parameter in CATALOGUE.parameters for word in parameter.public}
    public |= {"S3User.Backup", "S3User.Meta", "S3User.Data", "pgBackRest", "DBUser.Meta"}
    public -= {"admin", "pigsty", "minioadmin"}  # names of users and hosts, too

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [str(value)]

    for parameter in CATALOGUE.parameters:
        assert not public & set(texts(parameter.default)), parameter.name


def test_the_reference_platform() -> None:
    expected = {
        "pg_version": 17,
        "pg_fs_main": "/data/postgres",
        "pg_packages": ["pgsql-main pgsql-common"],
        "pg_dbsu_uid": 543,
        "pg_rto": "norm",
        "repo_upstream": [],
        "patroni_ssl_enabled": True,
    }
    assert {name: CATALOGUE[name].default for name in expected} == expected


def test_the_default_roles_privileges_rules_and_services_are_whole() -> None:
    count = {
        name: len(CATALOGUE[name].default)
        for name in (
            "pg_default_roles", "pg_default_privileges", "pg_default_hba_rules",
            "pgb_default_hba_rules", "pg_default_services", "pg_default_extensions", "pg_rto_plan",
        )
    }  # fmt: skip
    assert count == {
        "pg_default_roles": 8, "pg_default_privileges": 17, "pg_default_hba_rules": 12,
        "pgb_default_hba_rules": 7, "pg_default_services": 4, "pg_default_extensions": 15,
        "pg_rto_plan": 4,
    }  # fmt: skip


class TestBroken:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[", "infra.yml"),
            ("- x", "no mapping"),
            ("module: INFRA\nsections: {S: {p: {type: int}}}", "parameter p of INFRA"),
        ],
    )
    def test_a_file_of_the_catalogue_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "infra.yml").write_text(text)
        with pytest.raises(CatalogueError, match=words):
            catalogue.load(tmp_path)

    def test_a_missing_catalogue_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogueError, match="infra\\.yml"):
            catalogue.load(tmp_path)

    def test_two_parameters_of_one_name(self) -> None:
        first = CATALOGUE.parameters[0]
        with pytest.raises(CatalogueError, match=first.name):
            catalogue.Catalogue((first, first))
