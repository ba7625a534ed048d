"""The programs that publish a node's metrics, each the package's own unit with our drop-in.

They listen at the node's own address, where the infra nodes look, and answer only to who shows a
certificate of our CA. None has a secret in its command
line: PgBouncer's and pgBackRest's run as the database's superuser and need no password,
PostgreSQL's reads its own from a file that only root can read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pigsty.render import queries
from pigsty.render.daemon import Daemon, command, drop_in
from pigsty.render.files import File, text

#: Where node_exporter picks up what others write for it.
TEXTFILES = "/var/lib/prometheus/node-exporter"
CERTIFICATES = f"{TEXTFILES}/pigsty_certificates.prom"
#: How many targets an infra node's Prometheus shall have.
TARGETS = f"{TEXTFILES}/pigsty_targets.prom"
FOLDER = "/etc/prometheus"
UNITS = "/etc/systemd/system"
#: What the units begin with that watch servers elsewhere.
REMOTE = "pg_exporter_"
#: What every exporter is told about TLS; it reads that at each connection.
WEB = f"{FOLDER}/exporters.yml"
#: The node's certificate for its exporters, and what they trust.
CERTIFICATE, KEY, CA = f"{FOLDER}/node.crt", f"{FOLDER}/node.key", "/etc/pki/ca.crt"
#: Who may read the key.
GROUP = "prometheus"
QUERIES = f"{FOLDER}/pg_queries.yml"
#: For servers whose version the inventory doesn't tell.
QUERIES_REMOTE = f"{FOLDER}/pg_queries_remote.yml"
#: File systems that hold no files.
_NO_DISKS = (
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|hugetlbfs"
    "|mqueue|nsfs|proc|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs)$"
)
#: An exporter that runs wild must not take the processor from the database.
_LIMITS = ("CPUQuota=25%", "Restart=on-failure", "RestartSec=5")


def daemons(
    spec: Mapping[str, Any], present: Iterable[str] = (), idle: Iterable[str] = ()
) -> list[Daemon]:
    """Return the exporters of a node; those of servers that nobody watches any more are stopped.

    Args:
        idle: units of an infra node that still stand on one that is none any more.
        present: units of such servers that the machine has.
        spec: ``pigsty:node:monitor`` of the pillar: ``ip``, ``programs`` (the name of package, unit
            and program of each), and an entry for each exporter that the node has, None when it is
            off.
    """
    makers = {
        "node": _node,
        "postgres": _postgres,
        "pgbouncer": _pgbouncer,
        "pgbackrest": _pgbackrest,
        "nginx": _nginx,
    }
    found = []
    for name, make in makers.items():
        program = spec["programs"].get(name)
        if program is None or name not in spec["exporters"]:
            continue
        unit = f"{program}.service"
        options = spec["exporters"][name]
        files = make(f"/usr/bin/{program}", unit, spec, options) if options else ()
        found.append(Daemon(unit, restart=files, running=options is not None))
    found += [Daemon(unit, running=False) for unit in idle]
    if "postgres" in spec["programs"]:
        found += [_remote(spec, port, server) for port, server in sorted(spec["remote"].items())]
    wanted = {daemon.unit for daemon in found}
    return found + [Daemon(unit, running=False) for unit in present if unit not in wanted]


def remote_files(unit: str) -> list[str]:
    """Return the paths of what the exporter of a server elsewhere has: unit and connection."""
    return [f"{UNITS}/{unit}", _environment(unit.removesuffix(".service"))]


def certificates(ends: Mapping[tuple[str, str], datetime]) -> str | None:
    """Return the metrics that say when certificates end, by role and path; None without any."""
    name = "pigsty_certificate_end"
    rows = [
        f'{name}{{role="{role}",path="{path}"}} {int(end.timestamp())}'
        for (role, path), end in sorted(ends.items())
    ]
    help_ = [f"# HELP {name} When a certificate ends, seconds since 1970", f"# TYPE {name} gauge"]
    return text(*help_, *rows) if rows else None


def url(user: str, password: str, address: str, database: str, options: str) -> str:
    """Return a connection URL of libpq's form."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"postgresql://{login}@{address}/{quote(database, safe='')}?{options}"


def web(tls: bool) -> File:
    """Return what exporters are told about TLS; without it, the file is not there."""
    told = {
        "tls_server_config": {
            "cert_file": CERTIFICATE,
            "key_file": KEY,
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": CA,
            "min_version": "TLS12",
        }
    }
    return File(WEB, text(json.dumps(told, indent=2)) if tls else None)


def _listen(address: str, tls: bool) -> list[str]:
    """Return the words that say where an exporter listens, and how."""
    words = [f"--web.listen-address={address}"]
    return [*words, f"--web.config.file={WEB}"] if tls else words


def _reader(tls: bool) -> tuple[str, ...]:
    """Return what lets an exporter that runs as the database's superuser read the key."""
    return (f"SupplementaryGroups={GROUP}",) if tls else ()


def _node(
    program: str, unit: str, spec: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[File, ...]:
    words = _listen(f"{spec['ip']}:{options['port']}", spec["tls"])
    words += options["options"].split()
    words.append(f"--collector.textfile.directory={TEXTFILES}")
    if "filesystem" not in options["options"]:
        # The root of a container is an overlay, and it can be full like any other.
        words.append(f"--collector.filesystem.fs-types-exclude={_NO_DISKS}")
    if options["path"] != "/metrics":
        words.append(f"--web.telemetry-path={options['path']}")
    return (drop_in(unit, "[Service]", *_LIMITS, *command(program, *words)),)


def _postgres(
    program: str, unit: str, spec: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[File, ...]:
    listen = _listen(f"{spec['ip']}:{options['port']}", spec["tls"])
    service, environment = _client(program, listen, options, "postgres", QUERIES)
    known = File(QUERIES, queries.text(options["version"]))
    return (drop_in(unit, "[Service]", *service), environment, known)


def _client(
    program: str, listen: Sequence[str], options: Mapping[str, Any], name: str, asks: str
) -> tuple[tuple[str, ...], File]:
    """Return the lines of a unit's service that watches a PostgreSQL server, and its connection."""
    words = [
        *listen,
        f"--web.telemetry-path={options['path']}",
        "--disable-default-metrics",
        "--disable-settings-metrics",
        # Its own collectors open a connection each time; our queries say more over one that stays.
        *(f"--no-collector.{collector}" for collector in options["collectors"]),
        f"--extend.query-path={asks}",
    ]
    if options["discover"]:
        words.append("--auto-discover-databases")
        words += [
            f"--{verb}-databases={options[verb]}"
            for verb in ("exclude", "include")
            if options[verb]
        ]
    words += options["options"].split()
    environment = _environment(name)
    service = (
        f"EnvironmentFile={environment}",
        # The queries are few and the server is near: one thread is enough.
        "Environment=GOMAXPROCS=1",
        *_LIMITS,
        *command(program, *words),
    )
    connection = text(f"DATA_SOURCE_NAME='{options['url']}'")
    return service, File(environment, connection, mode="0600", secret=True)


def _environment(name: str) -> str:
    """Return the path of the file that holds an exporter's connection, password included."""
    return f"{FOLDER}/{name}.env"


def _pgbouncer(
    program: str, unit: str, spec: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[File, ...]:
    # Its superuser comes by the socket as the system's user, without a password. One that the
    # inventory's own address holds goes another way than through the command line.
    parts = urlsplit(options["url"])
    address = options["url"]
    if parts.password:
        address = address.replace(f":{parts.password}@", "@", 1)
    words = [
        *_listen(f"{spec['ip']}:{options['port']}", spec["tls"]),
        f"--web.telemetry-path={options['path']}",
        f"--pgBouncer.connectionString={address}",
        *options["options"].split(),
    ]
    environment = f"{FOLDER}/pgbouncer.env"
    password = text(f"PGPASSWORD='{unquote(parts.password or '')}'")
    given = (f"EnvironmentFile={environment}",) if parts.password else ()
    run = command(program, *words, user=options["user"])
    service = [*given, *_LIMITS, *_reader(spec["tls"]), *run]
    return (
        drop_in(unit, "[Service]", *service),
        File(environment, password if parts.password else None, mode="0600", secret=True),
    )


def _pgbackrest(
    program: str, unit: str, spec: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[File, ...]:
    words = [
        *_listen(f"{spec['ip']}:{options['port']}", spec["tls"]),
        f"--web.endpoint={options['path']}",
        *options["options"].split(),
    ]
    service = command(program, *words, user=options["user"])
    return (drop_in(unit, "[Service]", *_LIMITS, *_reader(spec["tls"]), *service),)


def _nginx(
    program: str, unit: str, spec: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[File, ...]:
    words = [
        *_listen(f"{spec['ip']}:{options['port']}", spec["tls"]),
        f"--web.telemetry-path={options['path']}",
        f"--nginx.scrape-uri=http://127.0.0.1:{options['status_port']}/nginx_status",
    ]
    return (drop_in(unit, "[Service]", *_LIMITS, *command(program, *words)),)


def _remote(spec: Mapping[str, Any], port: str, server: Mapping[str, Any]) -> Daemon:
    """Return the exporter of a server that is watched without being managed: a unit of our own."""
    name = f"{REMOTE}{server['ins']}"
    program = f"/usr/bin/{spec['programs']['postgres']}"
    listen = _listen(f"{spec['ip']}:{port}", spec["tls"])
    service, environment = _client(program, listen, server, name, QUERIES_REMOTE)
    unit = text(
        "[Unit]",
        f"Description=Prometheus exporter for PostgreSQL ({server['ins']})",
        "[Service]",
        "User=prometheus",
        *service,
        "[Install]",
        "WantedBy=multi-user.target",
    )
    known = File(QUERIES_REMOTE, queries.text(None))
    own = File(f"{UNITS}/{name}.service", unit)
    return Daemon(f"{name}.service", restart=(own, environment, known))
