"""Which certificates a node may have, and what they say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pigsty.render import certificates
from pigsty.topology import InfraNode, Member, Node, PgInstance


class Vars(dict):
    """Parameters of a host, all of them declared unless told otherwise."""

    declared = frozenset()


def node(ip, name="", modules=("node",), **params):
    values = Vars(params)
    values.declared = frozenset(params)
    return Node(ip, name, "nodes", values, tuple(modules))


def topology(nodes, pg=(), etcd=(), infra=(), admin="10.10.10.10"):
    return SimpleNamespace(
        nodes={n.ip: n for n in nodes},
        pg_instances={i.ip: i for i in pg},
        etcd=tuple(etcd),
        infra=tuple(infra),
        admin_ip=admin,
    )


@pytest.fixture
def four():
    meta = node("10.10.10.10", "pg-meta-1", infra_portal={"home": {"domain": "i.pigsty"}})
    test = node("10.10.10.11", "pg-test-1", pg_dns_suffix=".lan")
    bare = node("10.10.10.20")
    return topology(
        [meta, test, bare],
        pg=[PgInstance("pg-meta", 1, "primary", meta), PgInstance("pg-test", 1, "primary", test)],
        etcd=[Member("etcd", 1, meta)],
        infra=[InfraNode(1, meta)],
    )


def test_a_node_has_the_roles_of_its_modules(four):
    found = {ip: sorted(certificates.leaves(four, n)) for ip, n in four.nodes.items()}
    assert found == {
        "10.10.10.10": ["etcd", "infra", "node", "pgsql"],
        "10.10.10.11": ["node", "pgsql"],
        "10.10.10.20": ["node"],
    }


def test_grants_are_the_leaves_of_every_node(four):
    grants = certificates.grants(four)
    assert list(grants) == sorted(four.nodes)
    for ip, one in four.nodes.items():
        for role, leaf in certificates.leaves(four, one).items():
            assert certificates.grant(grants, ip, role) == leaf


def test_no_grant_for_others(four):
    grants = certificates.grants(four)
    for minion, role in (("10.10.10.11", "etcd"), ("10.10.10.99", "node"), ("", "node")):
        assert certificates.grant(grants, minion, role) is None


def test_names_of_a_postgres_member(four):
    leaf = certificates.leaves(four, four.nodes["10.10.10.11"])["pgsql"]
    assert leaf.name == "pg-test-1.pgsql"
    assert leaf.dns == ("localhost", "pg-test", "pg-test-1", "pg-test-1.lan", "pg-test.lan")
    assert leaf.ips == ("10.10.10.11", "127.0.0.1")


def test_a_cluster_address_stands_in_the_certificate_only_while_it_is_used():
    for enabled in (True, False):
        member = node("10.1.1.1", "a-1", pg_vip_enabled=enabled, pg_vip_address="10.1.1.9/24")
        leaf = certificates.leaves(
            topology([member], pg=[PgInstance("a", 1, "primary", member)]), member
        )["pgsql"]
        assert ("10.1.1.9" in leaf.ips) is enabled


def test_names_of_an_infra_node():
    portal = {
        "home": {"domain": "i.pigsty"},
        "app": {"domain": "a.example.org", "domains": ["b.example.org", "not a name"]},
        "blackbox": {"endpoint": "127.0.0.1:9115"},
    }
    infra = node("10.1.1.2", infra_portal=portal)
    leaf = certificates.leaves(topology([infra], infra=[InfraNode(2, infra)]), infra)["infra"]
    assert leaf.name == "infra-2.infra"
    assert leaf.dns == ("a.example.org", "b.example.org", "i.pigsty", "infra-2", "localhost")
    assert leaf.ips == ("10.1.1.2", "10.10.10.10", "127.0.0.1")


@pytest.mark.parametrize(
    ("validity", "days"),
    [("90d", 90), ("52w", 364), ("2y", 730), ("30", 30), ("1h", 1), ("soon", 365), ("7300d", 7300)],
)
def test_a_declared_lifetime_is_honoured(validity, days):
    assert certificates.lifetime(node("10.1.1.1", cert_validity=validity)) == days


def test_an_undeclared_lifetime_is_a_year():
    quiet = node("10.1.1.1", cert_validity="7300d")
    quiet.vars.declared = frozenset()
    assert certificates.lifetime(quiet) == 365
