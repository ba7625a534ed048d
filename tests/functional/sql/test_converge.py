"""Objects on a real server: made, kept, repaired, refused."""

from __future__ import annotations

from datetime import date

import pytest

from pigsty.sql import baseline, converge, wanted

TODAY = date(2026, 1, 1)


@pytest.fixture
def run(instance, inventory, pillar):
    """Converge the instance to the inventory as it is at that moment."""

    def _run(*, test=False, today=TODAY, files=None):
        def fill(server, database, file):
            baseline.run(server, database, files / file, str(instance.bin / "psql"))

        declared = wanted.load(pillar(**inventory))
        return converge.converge(declared, instance.server, fill, test=test, today=today)

    return _run


@pytest.fixture
def settle(run):
    """A run that must succeed, after which another finds nothing to do; returns its changes."""

    def _settle(**options):
        looked = run(test=True, **options)
        done = run(**options)
        assert done.failures == {}
        assert looked.changes == done.changes, "test mode tells other changes than a real run"
        assert looked.failures == {}
        again = run(**options)
        assert (again.changes, again.failures) == ({}, {})
        return done.changes

    return _settle


def test_everything_from_nothing_then_nothing(settle):
    changes = settle()
    assert changes["database shop"]["created"]["new"] == "owner owner"
    assert "extension pg_stat_statements in template1" in changes
    # A copy of template1 has what that one has: nothing to do but the owner's privileges.
    assert {name for name in changes if name.endswith(" in shop")} == {
        "default privileges of owner in shop"
    }
