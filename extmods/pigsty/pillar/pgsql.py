"""Pillar of a PostgreSQL member: all that can be decided without looking at the machine.

``cluster``, ``instance``, ``seq``, ``role``, ``ip``, ``offline``
    identity; ``role`` is the written one, which only says who bootstraps.
``params``
    PGSQL parameters that the states and renderers use as they are.
``packages``, ``platform``
    packages to install, and the operating system's paths and units.
``directories``
    where the cluster's files are; ``certificates``, where its certificate and key are.
``backup``
    ``stanza`` and ``options`` of pgBackRest's repository; None without backups.
``source``
    the same of the other cluster that ``pg_pitr`` names; None if it names none.
``citus``
    ``database``, ``group`` and ``shard`` of a member of a Citus cluster, ``hosts`` (address and
    port of every server of the shard) and ``passwords`` (by user, for the servers to log in to each
    other); None for a cluster by itself.
``patroni``
    what its configuration needs besides: peers, passwords, tags.
``hba``
    compiled rules of ``postgres`` and ``pgbouncer``, each with the role that it is limited to.
``pgbouncer``
    the texts of its files; ``services``, those of HAProxy's files.
``vip``
    the address that goes where the leader is, and where its Patroni answers; None without one.
``objects``
    roles and databases, made by :mod:`pigsty.sql.desired`.
``removal``
    what may be deleted when the member is removed (see :mod:`pigsty.render.record`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty import keyspace, sharding
from pigsty.errors import PillarError
from pigsty.pillar import monitor, replication
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render import hba_view, libraries, pgbackrest, pgbouncer, services
from pigsty.sql import desired, passwords, scram
from pigsty.topology import Node, PgCluster, PgInstance, Topology

#: Below the link ``/pg``; upstream's tools and people expect it there.
HOME = "/pg"
CERTIFICATES = f"{HOME}/cert"
HBA_FILE = f"{HOME}/conf/pg_hba.conf"

#: Parameters that the member's states use under their own names. None of them is a secret.
PARAMETERS = (
    "patroni_enabled",
    "patroni_log_dir",
    "patroni_mode",
    "patroni_port",
    "patroni_ssl_enabled",
    "patroni_username",
    "patroni_watchdog_mode",
    "pg_bin_dir",
    "pg_checksum",
    "pg_conf",
    "pg_crontab",
    "pg_data",
    "pg_dbsu",
    "pg_dbsu_home",
    "pg_dbsu_sudo",
    "pg_dbsu_uid",
    "pg_default_service_dest",
    "pg_dummy_filesize",
    "pg_encoding",
    "pg_io_method",
    "pg_lc_collate",
    "pg_lc_ctype",
    "pg_libs",
    "pg_locale",
    "pg_localhost",
    "pg_log_dir",
    "pg_max_conn",
    "pg_mode",
    "pg_parameters",
    "pg_port",
    "pg_primary_db",
    "pg_pwd_enc",
    "pg_replication_username",
    "pg_rpo",
    "pg_rto",
    "pg_rto_plan",
    "pg_shared_buffer_ratio",
    "pg_storage_type",
    "pg_sync_mode",
    "pg_sync_nodes",
    "pg_version",
    "pgbackrest_init_backup",
    "pgbackrest_log_dir",
    "pgbouncer_enabled",
    "pgbouncer_log_dir",
    "pgbouncer_port",
)


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return the pillar's ``pgsql`` key of one member.

    Args:
        topology: the deployment.
        node: the member's machine.
        site: the deployment's key.
        platform: the machine's operating system.

    Raises:
        PillarError: a parameter means nothing to the daemons; the text says which and why.
    """
    member = topology.pg_instances[node.ip]
    cluster = topology.pg_clusters[member.cluster]
    params = node.vars
    version = int(params["pg_version"])
    objects = desired.pillar(topology, node, site)
    data: Mapping[str, Any] = platform.modules.get("pgsql", {})
    tokens = [*(params["pg_packages"] or []), *(params["pg_extensions"] or [])]
    main = f"{params['pg_fs_main']}/{cluster.name}-{version}"
    backup = _backup(cluster, node, site)
    if backup is not None:
        tokens.append("pgbackrest")
    tokens += monitor.programs(node, platform, "pgsql")
    vip = _vip(member, str(data["patroni_unit"]))
    if vip is not None:
        tokens.append("vip-manager")
    if keyspace.kind(cluster) == "consul":
        tokens.append("python3-consul")
    return {
        "backup": backup,
        "certificates": CERTIFICATES,
        "citus": _citus(topology, cluster, objects, site),
        "cluster": cluster.name,
        "directories": {
            "backup": f"{params['pg_fs_backup']}/{cluster.name}-{version}/backup",
            "home": HOME,
            "main": main,
            "programs": str(data["pg_home"]).replace("$v", str(version)),
        },
        "hba": {
            "offline_query": bool(node.vars["pg_offline_query"]),
            **hba_view.compiled(topology, cluster, node),
        },
        "instance": member.name,
        "ip": member.ip,
        "objects": objects,
        "offline": member.offline,
        "packages": platform.packages(tokens, version),
        "params": _params(params),
        "patroni": _patroni(topology, member, site),
        "pgbouncer": _pgbouncer(node, objects, data),
        "platform": {name: value for name, value in data.items() if name != "packages"},
        "removal": _removal(node),
        "role": member.role,
        "seq": member.seq,
        "services": _services(topology, cluster),
        "source": _source(topology, cluster, node, site),
        "vip": vip,
    }


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters under their own names.

    Libraries have one place: what the DCS says of them was checked with every member, and a
    member's own list would bypass that.
    """
    found = {name: params[name] for name in PARAMETERS}
    own = found["pg_parameters"] or {}
    found["pg_libs"] = ", ".join(libraries.effective(found))
    found["pg_parameters"] = {name: own[name] for name in own if name != libraries.SETTING}
    return found


def listen(params: Mapping[str, Any], ip: str) -> list[str]:
    """Return the addresses of ``pg_listen`` with its tokens replaced, each once.

    ``${ip}`` is the host's address, ``${lo}`` the loopback, ``${vip}`` the cluster's floating
    address (left out where there is none).
    """
    vip = str(params["pg_vip_address"] or "").partition("/")[0]
    tokens = {"${ip}": ip, "${lo}": "127.0.0.1"}
    tokens["${vip}"] = vip if params["pg_vip_enabled"] and not vip.startswith("127.0.0.") else ""
    entries = str(params["pg_listen"] or "0.0.0.0").split(",")  # noqa: S104
    found = [tokens.get(entry.strip(), entry.strip()) for entry in entries]
    return list(dict.fromkeys(address for address in found if address)) or [ip]


def patroni_password(cluster: PgCluster, site: Site) -> str:
    """Return the password of a cluster's REST API; one for all groups of a Citus cluster."""
    declared = cluster.vars["patroni_password"]
    return str(declared) if declared else site.secret(sharding.scope(cluster), "patroni_password")


def etcd_password(cluster: PgCluster, site: Site) -> str:
    """Return the password of a cluster's etcd user."""
    declared = cluster.vars["pg_etcd_password"]
    return str(declared) if declared else site.secret(sharding.scope(cluster), "pg_etcd_password")


def _citus(
    topology: Topology, cluster: PgCluster, objects: Mapping[str, Any], site: Site
) -> dict[str, Any] | None:
    """Return a member's place in a Citus cluster, and what its servers log in to each other with.

    The others of the system's users run no queries there. Of a business user whose password the
    inventory has only as a verifier nobody knows what to log in with.
    """
    own = sharding.group(cluster)
    if own is None:
        return None
    known = {
        str(user["name"]): str(user["password"])
        for user in cluster.vars["pg_users"] or []
        if user.get("password") and not scram.is_hashed(str(user["password"]))
    }
    roles = {role["name"] for role in objects["roles"] if role.get("state") != "absent"}
    known = {name: password for name, password in known.items() if name in roles}
    dbsu = passwords.password(topology, cluster.name, site, "pg_dbsu_password")
    return {
        "database": own.database,
        "group": own.number,
        "hosts": [
            {"ip": member.ip, "port": member.vars["pg_port"]}
            for group in sharding.together(topology, cluster)
            for member in group.members
        ],
        "passwords": {**known, str(objects["dbsu"]): dbsu},
        "shard": own.shard,
    }


def _removal(node: Node) -> dict[str, Any]:
    """Return what may be deleted with the member.

    Packages may be somebody else's too, and backups are the last way back: both go only where the
    inventory says so itself, whatever the parameter's default is.
    """
    params, declared = node.vars, node.declared
    backup = bool(params["pg_rm_backup"]) if "pg_rm_backup" in declared else None
    return {
        "remove_backup": backup,
        "remove_data": bool(params["pg_rm_data"]),
        "remove_packages": "pg_rm_pkg" in declared and bool(params["pg_rm_pkg"]),
        "safeguard": bool(params["pg_safeguard"]),
    }


def _backup(cluster: PgCluster, node: Node, site: Site) -> dict[str, Any] | None:
    """Return the stanza and its repository, with the passwords that the inventory leaves open."""
    params = node.vars
    if not params["pgbackrest_enabled"]:
        return None
    method = str(params["pgbackrest_method"])
    declared = (params["pgbackrest_repo"] or {}).get(method)
    if not isinstance(declared, Mapping):
        raise PillarError(f"pgbackrest_method {method} is no repository of pgbackrest_repo")
    options = dict(declared)
    if pgbackrest.local(options):
        options.setdefault("path", f"{HOME}/backup")
    if str(options.get("cipher_type") or "none") != "none" and not options.get("cipher_pass"):
        options["cipher_pass"] = site.secret(cluster.name, "pgbackrest_cipher_pass")
    if options.get("s3_key") and not options.get("s3_key_secret"):
        # A user of the deployment's own object storage: one password, whoever asks for it.
        options["s3_key_secret"] = site.secret("all", f"minio_user_{options['s3_key']}")
    return {"options": options, "stanza": cluster.name}


def _source(
    topology: Topology, cluster: PgCluster, node: Node, site: Site
) -> dict[str, Any] | None:
    """Return the repository of another cluster, where the inventory lets this one read it."""
    name = (node.vars["pg_pitr"] or {}).get("cluster")
    other = topology.pg_clusters.get(str(name)) if name not in (None, cluster.name) else None
    return _backup(other, other.members[0].node, site) if other else None


def _patroni(topology: Topology, member: PgInstance, site: Site) -> dict[str, Any]:
    cluster = topology.pg_clusters[member.cluster]
    params = member.vars
    store = keyspace.kind(cluster)
    if store == "etcd" and not topology.etcd:
        raise PillarError(
            f"cluster {cluster.name} needs an etcd to agree on its leader: add a group `etcd`"
        )
    allowed = {topology.admin_ip: None}
    allowed |= dict.fromkeys(infra.ip for infra in topology.infra)
    # A worker tells the coordinator of a switchover before and after.
    groups = sharding.together(topology, cluster)
    allowed |= dict.fromkeys(peer.ip for group in groups for peer in group.members)
    return {
        "allowed": list(allowed),
        "consul": _consul(params) if store == "consul" else None,
        "delay": replication.delay(member),
        "etcd": [f"{etcd.ip}:{etcd.node.vars['etcd_port']}" for etcd in topology.etcd],
        "etcd_password": etcd_password(cluster, site),
        "etcd_username": sharding.scope(cluster),
        "hba_file": HBA_FILE,
        "listen": listen(params, member.ip),
        # The path in the DCS is <namespace>/<scope>/; its etcd user may see nothing else.
        "namespace": f"/{str(params['pg_namespace']).strip('/')}/",
        "password": patroni_password(cluster, site),
        "path": sharding.path(cluster),
        "peers": [
            {"aside": replication.aside(peer), "instance": peer.name, "ip": peer.ip}
            for peer in cluster.members
        ],
        "pgpass": f"{HOME}/conf/patroni.pgpass",
        "replication_password": passwords.password(
            topology, cluster.name, site, "pg_replication_password"
        ),
        "scope": sharding.scope(cluster),
        "standby_of": replication.standby_of(topology, cluster),
        "superuser_password": passwords.password(topology, cluster.name, site, "pg_dbsu_password"),
        "tags": replication.tags(topology, member),
    }


def _consul(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return how Patroni reaches Consul, with a token that writes its cluster's keys."""
    return {
        "ca": str(params["pg_consul_ca"] or ""),
        "token": str(params["pg_consul_token"] or ""),
        "url": str(params["pg_consul_url"]),
    }


def _pgbouncer(node: Node, objects: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    params = node.vars
    logins = _logins(node, objects)
    return {
        "databases": pgbouncer.databases(params),
        "ini": pgbouncer.ini(params, listen(params, node.ip), CERTIFICATES, data),
        "userlist": pgbouncer.userlist(logins),
        "useropts": pgbouncer.user_options(logins),
    }


def _logins(node: Node, objects: Mapping[str, Any]) -> list[pgbouncer.Login]:
    """Return who may come through PgBouncer: system users, and users marked ``pgbouncer: true``.

    With ``pgbouncer_auth_query`` business users are looked up in the database instead.
    """
    params = node.vars
    verifiers = {role["name"]: str(role.get("password") or "") for role in objects["roles"]}
    # The superuser comes by the socket as the system's user; it has no password to compare.
    dbsu = str(objects["dbsu"])
    logins = {dbsu: pgbouncer.Login(dbsu, verifiers.get(dbsu, ""), {})}
    system = {str(objects["admin"]), str(objects["monitor"])}
    renamed = {"dbuser_dba": objects["admin"], "dbuser_monitor": objects["monitor"]}
    for role in params["pg_default_roles"] or []:
        name = str(role["name"])
        if "pg_default_roles" not in node.declared:
            name = str(renamed.get(name, name))
        if role.get("pgbouncer") and verifiers.get(name):
            logins[name] = pgbouncer.Login(name, verifiers[name], role)
    for role in params["pg_users"] or []:
        name = str(role["name"])
        wanted = role.get("pgbouncer") and not params["pgbouncer_auth_query"]
        if role.get("state") == "absent":
            logins.pop(name, None)
        elif (wanted or name in system) and verifiers.get(name):
            logins[name] = pgbouncer.Login(name, verifiers[name], role)
    return list(logins.values())


def _services(topology: Topology, cluster: PgCluster) -> dict[str, Any]:
    """Return the service files that this member's HAProxy carries.

    With ``pg_service_provider`` the nodes of that group carry them (see :mod:`pigsty.pillar.node`).
    """
    carried = not services.providers(topology, cluster)
    return {
        "files": services.files(cluster) if carried else {},
        "prefix": f"{cluster.name}-",
    }


def _vip(member: PgInstance, patroni_unit: str) -> dict[str, Any] | None:
    """Return the leader's floating address, and the Patroni that says whether it belongs here."""
    params = member.vars
    if not (params["pg_vip_enabled"] and params["patroni_enabled"]):
        return None
    address, _, length = str(params["pg_vip_address"]).partition("/")
    scheme = "https" if params["patroni_ssl_enabled"] else "http"
    return {
        "address": address,
        "authorities": f"{CERTIFICATES}/ca.crt",
        "interface": params["pg_vip_interface"],
        "ip": member.ip,
        "length": int(length),
        "patroni": f"{scheme}://{member.ip}:{params['patroni_port']}",
        "patroni_unit": patroni_unit,
    }
