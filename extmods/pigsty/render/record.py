"""What a PostgreSQL member notes about itself, so that it can be removed without the inventory.

A host that was taken out of the inventory has no pillar any more, and its data are still there. The
record says whose they are, where they are, and what of them may be deleted. It holds no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from pigsty.render import citus, pgbackrest, pgbouncer, vipmanager
from pigsty.render.files import File
from pigsty.render.pglayout import drop_in

PATH = "/var/lib/pigsty/pgsql.json"
#: Files of PgBouncer's folder; the folder itself is the package's.
_POOLER = ("pgbouncer.ini", "database.txt", "useropts.txt", "userlist.txt", "pgb_hba.conf")
#: Files around the daemons, at the same place on every system.
_AROUND = (
    "/etc/profile.d/pgsql.sh",
    "/etc/logrotate.d/pigsty-pgsql",
    "/etc/sudoers.d/pigsty-pgsql",
)


@dataclass(frozen=True, slots=True)
class Record:
    """A member of a PostgreSQL cluster, as it was last converged on its machine.

    Attributes:
        cluster: the cluster's name.
        instance: the member's name.
        ip: its address.
        port: port of PostgreSQL.
        socket: folder of its unix socket.
        user: the superuser, in PostgreSQL and in the operating system.
        home: the link that people know, ``/pg``.
        main: the folder that it leads to; all but data and backups elsewhere is in it.
        data: the data directory.
        programs: PostgreSQL's programs.
        link: the link to the programs, "" where there is none.
        certificates: folder of the certificate and its key.
        patroni_config: Patroni's file.
        patroni_port: port of its REST API.
        patroni_tls: whether that speaks TLS.
        patroni_unit: its unit.
        pgbouncer_unit: PgBouncer's unit.
        stanza: pgBackRest's stanza, "" without backups.
        repository: folder of a repository on this machine, "" for one elsewhere.
        services: how the names of HAProxy's files begin.
        packages: what was installed for it.
        safeguard: ``pg_safeguard``.
        remove_data: ``pg_rm_data``.
        remove_backup: ``pg_rm_backup``; None where the inventory says nothing.
        remove_packages: ``pg_rm_pkg``, only where the inventory says it.
        shard: the Citus cluster that it is a group of, "" for none.
        passfile: the password file of a member of a Citus cluster, "" for none.
        store: which store its cluster's keys are in: ``etcd`` or ``consul``.
    """

    cluster: str
    instance: str
    ip: str
    port: int
    socket: str
    user: str
    home: str
    main: str
    data: str
    programs: str
    link: str
    certificates: str
    patroni_config: str
    patroni_port: int
    patroni_tls: bool
    patroni_unit: str
    pgbouncer_unit: str
    stanza: str
    repository: str
    services: str
    packages: tuple[str, ...]
    safeguard: bool
    remove_data: bool
    remove_backup: bool | None
    remove_packages: bool
    shard: str = ""
    passfile: str = ""
    store: str = "etcd"

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Record:
        """Return the record of a member.

        Args:
            spec: the pillar's ``pigsty:pgsql``.
        """
        params, platform, places = spec["params"], spec["platform"], spec["directories"]
        backup = spec["backup"] or {}
        repository = ""
        if backup and pgbackrest.local(backup["options"]):
            # By its real name: the links are gone before it is.
            path = str(backup["options"]["path"])
            repository = places["backup"] if path == f"{places['home']}/backup" else path
        link = str(PurePosixPath(params["pg_bin_dir"]).parent)
        return cls(
            cluster=spec["cluster"],
            instance=spec["instance"],
            ip=spec["ip"],
            port=int(params["pg_port"]),
            socket=params["pg_localhost"],
            user=params["pg_dbsu"],
            home=places["home"],
            main=places["main"],
            data=params["pg_data"],
            programs=params["pg_bin_dir"],
            link=link if link != places["programs"] else "",
            certificates=spec["certificates"],
            patroni_config=platform["patroni_config"],
            patroni_port=int(params["patroni_port"]),
            patroni_tls=bool(params["patroni_ssl_enabled"]),
            patroni_unit=platform["patroni_unit"],
            pgbouncer_unit=platform["pgbouncer_unit"],
            stanza=str(backup.get("stanza", "")),
            repository=repository,
            services=spec["services"]["prefix"],
            shard=spec["citus"]["shard"] if spec["citus"] else "",
            passfile=citus.path(params) if spec["citus"] else "",
            store="consul" if spec["patroni"]["consul"] else "etcd",
            packages=tuple(spec["packages"]),
            **spec["removal"],
        )

    @classmethod
    def read(cls, text: str | None) -> Record | None:
        """Return the record that a text holds, or None: no file, or not one of ours."""
        try:
            data = json.loads(text or "")
            return cls(**{**data, "packages": tuple(data["packages"])})
        except (ValueError, TypeError, KeyError):
            return None

    def text(self) -> str:
        """Return it as the text of its file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    def file(self) -> File:
        """Return its file."""
        return File(PATH, self.text())

    def around(self) -> list[File]:
        """Return the files outside the member's own folders, as they shall be: gone."""
        secret = [self.patroni_config, pgbackrest.CONFIG, f"{pgbouncer.DIRECTORY}/userlist.txt"]
        plain = [*_AROUND, *(f"{pgbouncer.DIRECTORY}/{name}" for name in _POOLER)]
        plain += [drop_in(self.patroni_unit), drop_in(self.pgbouncer_unit), pgbackrest.CRONTAB]
        plain += [file.path for file in vipmanager.gone(self.patroni_unit)]
        found = {path: File(path, None) for path in plain}
        secret += [self.passfile] if self.passfile else []
        found |= {path: File(path, None, secret=True) for path in secret}
        return [found[path] for path in sorted(found)]
