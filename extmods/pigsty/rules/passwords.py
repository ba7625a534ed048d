"""Passwords that the whole world knows because they stand in public examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.catalogue import load
from pigsty.findings import Finding
from pigsty.rules.context import Context, Place, Use
from pigsty.topology import Topology

#: Those of users and keys; those of parameters stand in the catalogue (`public`).
PUBLIC = frozenset(
    (
        "DBUser.Meta", "DBUser.Viewer", "DBUser.View", "DBUser.Supa", "DBUser.Test", "DBUser.DBA",
        "DBUser.Monitor", "DBUser.Replicator", "DBUser.Grafana", "DBUser.Bytebase", "DBUser.Kong",
        "DBUser.Gitea", "DBUser.Wiki", "DBUser.Odoo", "DBUser.Mattermost", "DBUser.Remote",
        "DBUser.Dify", "DBUser.Citus", "DBUser.Noco", "S3User.Backup", "S3User.Meta",
        "S3User.Data", "S3User.DBA", "S3User.Some", "S3User.SomeNew", "S3User.MinIO", "pgBackRest",
        "pgBackRest.MyBackup", "Patroni.API", "Etcd.Root", "Vibe.Coding", "minioadmin", "redis.ms",
        "redis.meta", "redis.src", "redis.test",
    )
)  # fmt: skip
#: Keys of objects whose values are secret, besides those that the catalogue marks.
SECRET_KEYS = frozenset(("password", "secret_key", "cipher_pass", "s3_key_secret", "pass"))
#: The mark of an inventory that may keep public passwords: nobody but its owner can reach it.
SANDBOX = "sandbox"


def public(ctx: Context) -> Iterator[Finding]:
    """Warn of every public password, unless the inventory is marked as a sandbox."""
    profile = ctx.inventory.groups["all"].variables.get("pigsty_profile")
    if profile is not None and profile.value == SANDBOX:
        return
    for use in ctx.uses:
        for name, place in _public(ctx, use):
            text = f"{name} is a password that everyone knows from public examples"
            hint = "choose another, or remove it where a random one is made then"
            yield ctx.warning(place, text, hint)


def of_topology(topology: Topology) -> tuple[Finding, ...]:
    """Return a finding per public password; empty for an inventory marked as a sandbox."""
    return tuple(public(Context(topology, load())))


def _public(ctx: Context, use: Use) -> Iterator[tuple[str, Place]]:
    """Yield name and place of the public passwords in a variable."""
    parameter = ctx.parameter(use.name)
    value = use.variable.value
    if parameter is not None and parameter.secret:
        if isinstance(value, str) and (value in parameter.public or value in PUBLIC):
            yield use.written, use.place
        return
    if isinstance(value, (Mapping, list, tuple)):
        for steps, name in _inside(value):
            yield name, use.place.inside(*steps)


def _inside(
    value: Any, steps: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the way to each public password below a value, and its key."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if isinstance(entry, str):
                if entry in PUBLIC and str(key) in SECRET_KEYS:
                    owner = value.get("name") or value.get("access_key")
                    yield (*steps, key), f"the {key}{f' of {owner}' if owner else ''}"
            else:
                yield from _inside(entry, (*steps, key))
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            yield from _inside(entry, (*steps, index))
