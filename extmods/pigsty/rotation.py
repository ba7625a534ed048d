"""What was rotated: a counter for each derived password, a moment for each certificate.

Passwords that the inventory leaves open are derived from the deployment's key, so another one needs
another input: its generation. A certificate is made anew when it was signed before the moment that
was noted for it. Both are declared state like the inventory is: apply makes the machines match, a
second apply has nothing to do, and an apply that was cut off is finished by the next one.

The file holds no secret, but it belongs to the key: without it the first generation is derived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import yaml

from pigsty.errors import PillarError

#: The file's name, in the folder of the deployment's key.
FILE = "rotation.yml"
_BANNER = (
    "# Written by `pigsty cert rotate` and `pigsty password rotate`. It goes with secret.key.\n"
)
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
#: Derived secrets that can't be rotated, by the beginning of their name, and why.
FIXED: Mapping[str, str] = MappingProxyType(
    {
        "minio_user_": "the object storage has to be told first",
        "node_admin_ssh_key": "it is a key pair, no password",
        "pg_dbsu_password": "Citus keeps it in pg_dist_authinfo of every group",
        "pgbackrest_cipher_pass": "backups that were made with it could no longer be read",
        "vip_auth_pass": "until all nodes have the new one, each would take the address for itself",
    }
)
#: Modules that bring a secret to its daemons; every module of the node for a secret that isn't
#: named here.
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "etcd_root_password": ("etcd",),
        "haproxy_admin_password": ("node",),
        "patroni_password": ("pgsql",),
        "pg_etcd_password": ("pgsql",),
        "pg_replication_password": ("pgsql",),
    }
)
#: Secrets that Patroni has to know before etcd does: it keeps its session until etcd ends it, and
#: then logs in with what it was last told.
PATRONI_FIRST = frozenset({"pg_etcd_password"})


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was rotated so far.

    Attributes:
        passwords: generation by scope and name; what isn't there is in its first one.
        certificates: moment by host and role; a certificate that was signed before it is outdated.
    """

    passwords: Mapping[tuple[str, str], int] = field(default_factory=dict)
    certificates: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def generation(self, scope: str, name: str) -> int:
        """Return the generation of a derived password, 1 for one that was never rotated."""
        return self.passwords.get((scope, name), 1)

    def since(self, host: str, role: str) -> str:
        """Return the moment before which a certificate is outdated; empty for none."""
        return self.certificates.get((host, role), "")

    def next_passwords(self, chosen: Iterable[tuple[str, str]]) -> Rotation:
        """Return this with the next generation of some passwords (scope and name of each)."""
        bumped = {one: self.generation(*one) + 1 for one in chosen}
        return replace(self, passwords={**self.passwords, **bumped})

    def new_certificates(self, chosen: Iterable[tuple[str, str]], now: datetime) -> Rotation:
        """Return this with all present certificates of some hosts and roles outdated."""
        moment = now.astimezone(UTC).strftime(_MOMENT)
        return replace(self, certificates={**self.certificates, **dict.fromkeys(chosen, moment)})

    def text(self) -> str:
        """Return the text of the file."""
        data = {
            "certificates": {"/".join(key): at for key, at in sorted(self.certificates.items())},
            "passwords": {"/".join(key): n for key, n in sorted(self.passwords.items())},
        }
        return _BANNER + yaml.safe_dump(data, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Rotation:
        """Read the file's text.

        Raises:
            PillarError: it isn't what :meth:`text` writes. Going on would derive older passwords.
        """
        try:
            data = yaml.safe_load(text) or {}
            passwords = {_key(key): int(n) for key, n in (data.get("passwords") or {}).items()}
            moments = {_key(key): str(at) for key, at in (data.get("certificates") or {}).items()}
            for at in moments.values():
                moment(at)
        except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
            raise PillarError(
                f"{FILE} beside the deployment's key can't be read ({error}): restore it"
            ) from error
        return cls(passwords, moments)


def moment(text: str) -> datetime:
    """Return the moment that a text of the file means.

    Raises:
        ValueError: it means none.
    """
    return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)


def fixed(name: str) -> str:
    """Return why a derived secret can't be rotated; empty when it can."""
    return next((why for start, why in FIXED.items() if name.startswith(start)), "")


def waves(groups: Iterable[Sequence[str]], hosts: Iterable[str]) -> list[tuple[str, ...]]:
    """Divide hosts so that no two members of a cluster are touched at the same time.

    Args:
        groups: the hosts of each cluster, the one that leads last.
        hosts: who is to be touched.

    Returns:
        One tuple after the other; clusters go side by side.
    """
    wanted = list(dict.fromkeys(hosts))
    clusters = [members for group in groups if (members := [h for h in group if h in wanted])]
    last = {members[-1] for members in clusters}
    turn: dict[str, int] = {}
    for host in sorted(wanted, key=lambda host: host in last):
        mates = [members for members in clusters if host in members]
        taken = {turn[mate] for members in mates for mate in members if mate in turn}
        after = {turn[m] for members in mates if members[-1] == host for m in members if m in turn}
        at = max(after, default=-1) + 1
        while at in taken:
            at += 1
        turn[host] = at
    found = [tuple(host for host in wanted if turn[host] == at) for at in range(len(wanted))]
    return [wave for wave in found if wave]


def _key(text: Any) -> tuple[str, str]:
    first, slash, second = str(text).partition("/")
    if not (first and slash and second):
        raise ValueError(f"{text!r} is not of the form scope/name")
    return first, second
