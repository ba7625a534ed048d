"""`pigsty pgsql show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pigsty.overview import Page

MEMBERS = {
    "member": "MEMBER",
    "host": "HOST",
    "declared": "DECLARED",
    "role": "ROLE",
    "state": "STATE",
    "timeline": "TL",
    "lag": "LAG",
    "waiting": "WAITS FOR A RESTART",
    "tags": "TAGS",
}
SERVICES = {"service": "SERVICE", "port": "PORT", "to": "TO", "now": "LEADS NOW TO"}
USERS = {
    "name": "USER",
    "login": "LOGIN",
    "attributes": "ATTRIBUTES",
    "roles": "ROLES",
    "pool": "POOL",
    "comment": "COMMENT",
}
DATABASES = {
    "name": "DATABASE",
    "owner": "OWNER",
    "extensions": "EXTENSIONS",
    "schemas": "SCHEMAS",
    "pool": "POOL",
    "comment": "COMMENT",
}
SETTINGS = {"setting": "SETTING", "value": "VALUE", "by": "BY"}
REST = {"name": "ALSO", "value": "VALUE"}


@click.command("show")
@click.argument("cluster")
@inventory_option
@output_option
def show(cluster: str, inventory: str | None, output: str) -> None:
    """Show all of CLUSTER on one page: members, services, objects, backups, settings, address.

    Members, settings and what waits for a restart come from their Patronis; where services lead to,
    who holds the floating address and what the repository holds come from minions. All are asked at
    once, and who is silent keeps nothing else from being shown. Users, databases and extensions are
    those that the inventory declares (`pigsty pgsql ext` compares them with what is there); the
    roles that every cluster has are in `-o json` only.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty pgsql show pg-test
      pigsty pgsql show pg-test -o json
    """
    from pigsty import overview
    from pigsty_cli import attempts, deployment, overviews
    from pigsty_cli.pgsql_looks import named

    topology = deployment.load(find(inventory))
    declared = named(topology, cluster)
    page = overview.page(topology, declared, overviews.look(topology, declared))
    if output != "table":
        emit(page.to_dict(), output)
    else:
        _tables(page)
    for note in page.notes:
        message(note)
    cut = attempts.read(cluster)
    if cut is not None:
        message(cut.text)


def _tables(page: Page) -> None:
    members = [{**row, "tags": _words(row["tags"])} for row in page.members]
    services = [
        {"service": s.service, "port": s.port, "to": s.to, "now": s.told} for s in page.services
    ]
    users = [user for user in page.users if not user["system"]]
    sections: tuple[tuple[Any, Mapping[str, str]], ...] = (
        (members, MEMBERS),
        (services, SERVICES),
        (users, USERS),
        (page.databases, DATABASES),
        (page.settings, SETTINGS),
        (_rest(page), REST),
    )
    for number, (rows, columns) in enumerate(section for section in sections if section[0]):
        if number:
            click.echo("")
        emit(rows, columns=columns)


def _words(tags: Mapping[str, Any]) -> str:
    """Return the tags that are set, as people write them; what members tell each other isn't."""
    from pigsty.render import libraries

    there = (
        (name, value)
        for name, value in tags.items()
        if value not in (None, False) and name != libraries.TAG
    )
    return " ".join(name if value is True else f"{name}={value}" for name, value in there)


def _rest(page: Page) -> list[dict[str, str]]:
    """Return what is one line each."""
    rows = {
        "libraries": ", ".join(page.extensions["libraries"]),
        "packages": ", ".join(page.extensions["packages"]),
        "in every database": ", ".join(page.extensions["everywhere"]),
        **_backup(page.backup),
    }
    if page.vip is not None:
        held = page.vip.get("unknown") or ", ".join(page.vip["holders"]) or "nobody"
        kind = "unknown: " if page.vip.get("unknown") else "held by "
        rows["floating address"] = f"{page.vip['address']}, {kind}{held}"
    return [{"name": name, "value": value} for name, value in rows.items() if value]


def _backup(backup: Mapping[str, Any]) -> dict[str, str]:
    if not backup["enabled"]:
        return {"backups": "none: pgbackrest_enabled is false"}
    if backup.get("unknown"):
        return {"backups": f"unknown: {backup['unknown']}"}
    newest, window = backup["newest"], backup["window"]
    if newest is None:
        return {"backups": f"none: {backup['status']}"}
    return {
        "backups": f"{backup['backups']} on {backup['host']}",
        "newest backup": f"{newest['label']}, ended {newest['stop']}, {age(backup['age'])} ago",
        "window": f"any point after {window['from']}, up to the end of {window['wal']}",
    }


def age(seconds: int) -> str:
    """Return a time span as a person reads it: ``3 h``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


COMMANDS = (show,)
