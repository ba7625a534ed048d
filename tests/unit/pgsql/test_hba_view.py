"""HBA lines as a person reads them: whose, for which role, and from which line of the inventory."""

from __future__ import annotations

import pytest

from pigsty.render import hba, hba_view

RULES = [
    {"title": "reports", "role": "offline", "user": "bi", "db": "app", "addr": "intra"},
    {"title": "writes", "role": "primary", "user": "app", "addr": "10.9.0.0/16", "order": 5},
    {"title": "raw", "rules": ["host all all 10.8.0.1/32 reject", "hostssl all all ::1/128 cert"]},
]


@pytest.fixture
def rows(deployment):
    def _rows(live=None, **changes):
        found = deployment(**{"pg_hba_rules": RULES, **changes})
        return list(hba_view.rows(found, found.pg_clusters["pg-test"], live or {}))

    return _rows


def own(rows, member, server="postgres"):
    return [row for row in rows if (row.member, row.server) == (member, server)]


def test_lines_are_those_of_the_files_in_their_order(rows, deployment, pillar):
    """What is shown is what the member's file holds, made in another way."""
    found = rows()
    for ip, name in (("10.1.1.11", "pg-test-1"), ("10.1.1.14", "pg-test-4")):
        spec = pillar(ip, pg_hba_rules=RULES)["hba"]
        role = {"pg-test-1": "primary", "pg-test-4": "offline"}[name]
        for server in ("postgres", "pgbouncer"):
            text = hba.render(spec[server], hba.roles_of(role, None, spec["offline_query"]))
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            assert [row.line for row in own(found, name, server)] == lines


def test_every_line_says_where_it_comes_from(rows):
    found = own(rows(), "pg-test-1")
    first = found[0]
    assert (first.title, first.role, first.order) == ("writes", "primary", 5)
    assert first.source.startswith("pg_hba_rules[1] (line ")
    assert found[1].source == "pg_default_hba_rules[0]", "no line: it is built in"
    raw = [row for row in found if row.title == "raw"]
    assert [row.line.split()[-1] for row in raw] == ["reject", "cert"]
    assert {row.source.split()[0] for row in raw} == {"pg_hba_rules[2]"}


def test_rules_for_a_role_are_with_who_has_it_now(rows):
    live = {"10.1.1.11": "replica", "10.1.1.12": "primary"}
    before = {row.member for row in rows() if row.title == "writes"}
    after = {row.member for row in rows(live) if row.title == "writes"}
    assert (before, after) == ({"pg-test-1"}, {"pg-test-2"})
    assert {row.member for row in rows() if row.title == "reports"} == {"pg-test-3", "pg-test-4"}
