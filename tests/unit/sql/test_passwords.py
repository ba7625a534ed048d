"""One rule for the plain passwords of system users."""

from __future__ import annotations

from types import SimpleNamespace

from pigsty.pillar.site import Site
from pigsty.sql import passwords

SITE = Site(key=b"k" * 32, ca="")


def topology(**upstreams):
    """Clusters by name, each with one member named as the cluster; the value is its pg_upstream."""
    members = {
        name: SimpleNamespace(cluster=name, vars={"pg_upstream": up, "pg_dbsu_password": ""})
        for name, up in upstreams.items()
    }
    clusters = {name: SimpleNamespace(primary=m, vars=m.vars) for name, m in members.items()}
    return SimpleNamespace(pg_clusters=clusters, pg_instances=members)


def test_declared_wins():
    given = topology(a=None)
    given.pg_clusters["a"].vars["pg_monitor_password"] = "Declared"
    assert passwords.password(given, "a", SITE, "pg_monitor_password") == "Declared"


def test_undeclared_is_derived_per_cluster_and_parameter():
    given = topology(a=None, b=None)
    found = {
        passwords.password(given, cluster, SITE, param)
        for cluster in ("a", "b")
        for param in ("pg_monitor_password", "pg_replication_password")
    }
    assert len(found) == 4
    assert SITE.secret("a", "pg_monitor_password") in found


def test_empty_superuser_password_stays_empty():
    assert passwords.password(topology(a=None), "a", SITE, "pg_dbsu_password") == ""


def test_standby_cluster_has_the_password_of_its_source():
    given = topology(a=None, b="a", c="b")
    want = passwords.password(given, "a", SITE, "pg_replication_password")
    assert passwords.password(given, "c", SITE, "pg_replication_password") == want


def test_circle_of_upstreams_ends():
    given = topology(a="b", b="a")
    assert passwords.source(given, "a") == "b"


def test_upstream_that_the_inventory_does_not_know():
    assert passwords.source(topology(a="192.0.2.1"), "a") == "a"


def test_cluster_without_a_primary():
    given = topology(a="b", b=None)
    given.pg_clusters["a"].primary = None
    assert passwords.source(given, "a") == "a"
