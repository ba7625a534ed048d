"""Find what an inventory declares, to change it in a test."""

from __future__ import annotations

from typing import Any


def user(inventory: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a user's entry in ``pg_users``."""
    return next(entry for entry in inventory["pg_users"] if entry["name"] == name)


def database(inventory: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a database's entry in ``pg_databases``."""
    return next(entry for entry in inventory["pg_databases"] if entry["name"] == name)
