"""A DBA edits users and databases and runs one command: on the live leader, for those alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, Dsn

USERS = [
    {"name": "test", "password": "test", "pgbouncer": True, "roles": ["dbrole_admin"]},
    {"name": "shop", "password": "Shop.Secret", "pgbouncer": True, "roles": ["dbrole_admin"],
     "connlimit": 9, "expire_in": 30, "parameters": {"search_path": "app, public"}},
    {"name": "aside", "connlimit": 1},
]  # fmt: skip
SHOP = {
    "name": "shop",
    "owner": "shop",
    "schemas": ["app"],
    "extensions": ["pg_trgm"],
    "baseline": "shop.sql",
    "pool_size": 7,
}
TEST = {"name": "test", "owner": "test"}
BASELINE = "CREATE TABLE app.item (id int);\nINSERT INTO app.item VALUES (1);\n"


def _changed(admin: Any, *words: str) -> dict[str, Any]:
    """Run `pigsty pgsql …`; return what changed, by object."""
    changes: dict[str, Any] = {}
    for row in admin.pigsty("pgsql", *words):
        for change in row["changes"]:
            changes |= change["changes"]
    return changes


def _refused(admin: Any, *words: str) -> str:
    """Run `pigsty pgsql …`, which must fail in part; return what failed, and why."""
    code, out, err = admin.run(["pigsty", "pgsql", *words, "-o", "json"])
    assert code == 3, out + err
    return "\n".join(f["comment"] for row in json.loads(out) for f in row["failures"])


@pytest.fixture
def shop(admin: Any, inventory: Inventory, pg_test: Cluster) -> Any:
    """The inventory with a new user, a new database, and another user that nobody names."""
    code, _out, err = admin.run(["tee", "/etc/pigsty/files/shop.sql"], stdin=BASELINE)
    assert code == 0, err
    inventory.cluster("pg-test", pg_users=USERS, pg_databases=[TEST, SHOP])
    yield inventory
    gone = [{"name": name, "state": "absent"} for name in ("shop", "aside")]
    inventory.cluster("pg-test", pg_users=[USERS[0], *gone], pg_databases=[TEST, gone[0]])
    _changed(admin, "db", "pg-test", "shop")
    _changed(admin, "user", "pg-test", "shop", "aside")
    admin.run(["rm", "/etc/pigsty/files/shop.sql"])


def _through_the_pooler(cluster: Cluster) -> Dsn:
    return Dsn(cluster.leader()["host"], 6432, "shop", "shop", "Shop.Secret")


def _made_and_kept(admin: Any, cluster: Cluster) -> None:
    """What the scenarios share, before and after a switchover."""
    audit = _changed(admin, "user", "pg-test", "shop", "--test")
    assert "role shop" in audit and "role aside" not in audit
    assert _changed(admin, "user", "pg-test", "shop") == audit
    assert _changed(admin, "user", "pg-test", "shop") == {}
    made = _changed(admin, "db", "pg-test", "shop")
    assert {"database shop", "schema app in shop", "baseline shop.sql in shop"} <= set(made)
    assert _changed(admin, "db", "pg-test", "shop") == {}
    dsn = _through_the_pooler(cluster)
    assert dsn.ask("SELECT count(*) FROM item") == 1, "search_path and baseline are there"
    roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'aside'"
    assert dsn.ask(roles) == 0, "nobody named that one"


def test_a_user_and_a_database_are_one_edit_and_two_commands(
    admin: Any, whole: Cluster, shop: Inventory
) -> None:
    _made_and_kept(admin, whole)
    # Removed attributes go back to their default, and a failure is of one object alone.
    user = {"name": "shop", "password": "Shop.Secret", "pgbouncer": True, "roles": ["dbrole_admin"]}
    odd = {**SHOP, "extensions": ["pg_trgm", "no_such_extension"], "connlimit": 50}
    shop.cluster("pg-test", pg_users=[*USERS[:1], user, USERS[2]], pg_databases=[TEST, odd])
    changes = _changed(admin, "user", "pg-test", "shop")["role shop"]
    assert set(changes) == {"connlimit", "expires", "parameter search_path"}
    assert "no_such_extension in shop" in _refused(admin, "db", "pg-test", "shop")
    limit = "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'"
    assert _through_the_pooler(whole).ask(limit) == 50, "the rest is done"


def test_they_are_made_by_the_live_leader_after_a_switchover(
    admin: Any, turned: Cluster, shop: Inventory
) -> None:
    _made_and_kept(admin, turned)
    code, _out, err = admin.run(["pigsty", "pgsql", "db", "pg-test", "shop", "--recreate"])
    assert code == 4 and "database's name" in err, "nobody typed it"
    dsn = _through_the_pooler(turned)
    dsn.ask("WITH a AS (INSERT INTO item VALUES (2) RETURNING id) SELECT id FROM a")
    done = _changed(admin, "db", "pg-test", "shop", "--recreate", "--yes")
    assert done["database shop"]["recreated"]["old"] == "all its data"
    assert dsn.ask("SELECT count(*) FROM item") == 1, "only what the baseline holds"
    # Who is dropped leaves what he made, to the superuser.
    with dsn.connect() as connection:
        connection.execute("CREATE TABLE app.his (one int)")
    gone = [USERS[0], {"name": "shop", "state": "absent"}]
    shop.cluster("pg-test", pg_users=gone, pg_databases=[TEST, {**SHOP, "owner": "test"}])
    assert "owner" in _changed(admin, "db", "pg-test", "shop")["database shop"]
    assert _changed(admin, "user", "pg-test", "shop")["role shop"]["dropped"]
    heir = "SELECT tableowner FROM pg_tables WHERE tablename = 'his'"
    owner = Dsn(turned.leader()["host"], 6432, "shop", "test", "test")
    assert owner.ask(heir) == "postgres"
