"""``${…}`` in the values of an inventory.

Tokens are replaced only where Pigsty replaces them: anywhere else, in a crontab line say, they
belong to somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Looks a variable up; raises KeyError when nothing has that name.
Lookup = Callable[[str], Any]

_VERSION = {"${pg_version}": "pg_version"}
#: Which tokens are replaced in which parameters: parameter -> token -> variable. ``${admin_ip}`` is
#: replaced everywhere.
TOKENS: Mapping[str, Mapping[str, str]] = {
    "pg_packages": _VERSION,
    "pg_extensions": _VERSION,
    "repo_packages": _VERSION,
    "repo_extra_packages": _VERSION,
    "pgbackrest_repo": {"${pg_cluster}": "pg_cluster"},
    "minio_node": {"${minio_cluster}": "minio_cluster", "${minio_seq}": "minio_seq"},
}
_USERS: Mapping[str, str] = {
    "${dbsu}": "pg_dbsu",
    "${repl}": "pg_replication_username",
    "${monitor}": "pg_monitor_username",
    "${admin}": "pg_admin_username",
}
_HBA = frozenset(("pg_hba_rules", "pg_default_hba_rules", "pgb_hba_rules", "pgb_default_hba_rules"))


def substitute(name: str, value: Any, ip: str, lookup: Lookup) -> Any:
    """Replace the ``${…}`` tokens that Pigsty replaces in one parameter.

    Args:
        name: the parameter.
        value: plain data; it isn't changed.
        ip: address of the host.
        lookup: how the token's variable is found.
    """
    if not has_token(value):
        return value
    if name in _HBA:
        value = [_hba_user(rule, lookup) for rule in value] if isinstance(value, list) else value
    if name == "pg_listen" and isinstance(value, str):
        value = _listen(value, ip, lookup)
    for token, variable in {"${admin_ip}": "admin_ip", **TOKENS.get(name, {})}.items():
        value = _replace(value, token, variable, lookup)
    return value


def has_token(value: Any) -> bool:
    """Return whether plain data holds a token anywhere."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, list):
        return any(has_token(item) for item in value)
    if isinstance(value, dict):
        return any(has_token(item) for item in value.values())
    return False


def _replace(value: Any, token: str, variable: str, lookup: Lookup) -> Any:
    """Replace one token in every string of plain data."""
    if isinstance(value, str):
        if token not in value:
            return value
        found = lookup(variable)
        return value if found is None else value.replace(token, str(found))
    if isinstance(value, list):
        return [_replace(item, token, variable, lookup) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, token, variable, lookup) for key, item in value.items()}
    return value


def _hba_user(rule: Any, lookup: Lookup) -> Any:
    """Replace the token that is the whole ``user`` of an HBA rule."""
    if isinstance(rule, dict) and rule.get("user") in _USERS:
        return {**rule, "user": lookup(_USERS[rule["user"]])}
    return rule


def _listen(value: str, ip: str, lookup: Lookup) -> str:
    """Replace the addresses of ``pg_listen``; ``${vip}`` goes away where there is no VIP."""
    vip = str(lookup("pg_vip_address") or "").partition("/")[0]
    if not lookup("pg_vip_enabled") or vip.startswith("127.0.0."):
        vip = ""
    parts = (part.strip() for part in value.split(","))
    replaced = (
        part.replace("${ip}", ip).replace("${lo}", "127.0.0.1").replace("${vip}", vip)
        for part in parts
    )
    return ",".join(dict.fromkeys(part for part in replaced if part))
