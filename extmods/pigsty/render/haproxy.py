"""HAProxy's configuration: the main file with the admin page, and a file for each service."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pigsty.errors import PillarError
from pigsty.render.files import BANNER, text

MAIN = "/etc/haproxy/haproxy.cfg"
SERVICES = "/etc/haproxy/conf.d"
UNIT = "haproxy.service"
DROP_IN = "/etc/systemd/system/haproxy.service.d/pigsty.conf"
MASTER_SOCKET = "/run/haproxy-master.sock"
#: The CAs by which it checks Patroni's certificates; it reads them when it loads its configuration.
CA = "/etc/pki/ca.crt"
#: Checksums of the files that the running HAProxy has loaded, written by the unit itself.
#: Not in /run/haproxy, which belongs to an unprivileged user: root writes here.
LOADED = "/run/pigsty/haproxy.loaded"
#: What a reload hands over to the next worker: which servers are up, drained, or in maintenance.
SERVERS = "/run/pigsty/haproxy.servers"
ADMIN_SOCKET = "/run/haproxy/admin.sock"
#: What writes it.
HAND_OVER = "/usr/local/sbin/pigsty-haproxy-hand-over"
_OWNER = "# Owner: "


def main(
    *,
    port: int,
    username: str,
    password: str,
    client_timeout: str = "24h",
    server_timeout: str = "24h",
) -> str:
    """Return the main file: process, defaults, and the admin page with the metrics.

    Args:
        port: of the admin page and the metrics.
        username: of the admin page.
        password: of the admin page.
        client_timeout: how long a client may be silent, for example ``24h``.
        server_timeout: the same for servers.
    """
    return text(
        "global",
        "    log /dev/log local0 notice",
        "    chroot /var/lib/haproxy",
        f"    stats socket {ADMIN_SOCKET} mode 660 level admin",
        "    stats timeout 30s",
        f"    server-state-file {SERVERS}",
        "    # A worker that a reload leaves behind checks no server any more, so it would keep",
        "    # its clients on a member that loses the lead later.",
        "    hard-stop-after 24h",
        "    user haproxy",
        "    group haproxy",
        "    # Connections as many as the process may open files for, up to this many files.",
        "    fd-hard-limit 262144",
        "    # Health checks of many services at the same moment would come in waves.",
        "    spread-checks 3",
        "",
        "defaults",
        "    log global",
        "    mode tcp",
        "    option dontlognull",
        "    option redispatch",
        "    # Without this a new worker takes every server for up until it has checked it.",
        "    load-server-state-from-file global",
        "    retries 3",
        "    maxconn 65535",
        "    timeout connect 3s",
        "    timeout queue 3s",
        "    timeout check 3s",
        "    timeout http-request 5s",
        "    timeout http-keep-alive 10s",
        f"    timeout client {client_timeout}",
        f"    timeout server {server_timeout}",
        "    # TCP notices a peer that vanished without a word; the timeouts would take a day.",
        "    option clitcpka",
        "    option srvtcpka",
        "",
        "listen pigsty-admin",
        f"    bind *:{port}",
        "    mode http",
        "    option dontlog-normal",
        "    http-request use-service prometheus-exporter if { path /metrics }",
        "    stats enable",
        "    stats uri /",
        "    stats refresh 10s",
        "    stats show-legends",
        f"    stats auth {word(f'{username}:{password}')}",
        "    stats admin if TRUE",
    )


def word(value: str) -> str:
    """Return a value as one word of HAProxy's language, in its strong quotes.

    Raises:
        PillarError: the value holds a line break, which no quoting carries.
    """
    if "\n" in value or "\r" in value:
        raise PillarError("a value of HAProxy's configuration must not hold a line break")
    return "'" + value.replace("'", "'\"'\"'") + "'"


def service(spec: Mapping[str, Any]) -> str:
    """Return the file of one entry of ``haproxy_services``.

    Args:
        spec: the entry: ``name``, ``port``, and optionally ``ip``, ``protocol``, ``balance``,
            ``maxconn``, ``options`` (raw lines), ``default`` (a default-server line) and
            ``servers``. The first releases read ``balance`` and ``maxconn`` below the key
            ``haproxy``; both work.
    """
    nested = spec.get("haproxy") or {}
    balance = spec.get("balance", nested.get("balance", "roundrobin"))
    maxconn = spec.get("maxconn", nested.get("maxconn", 10000))
    default = str(spec.get("default") or "").removeprefix("default-server").strip()
    lines = [
        f"listen {spec['name']}",
        f"    bind {spec.get('ip') or '*'}:{spec['port']}",
        f"    mode {spec.get('protocol') or 'tcp'}",
        f"    maxconn {maxconn}",
        f"    balance {balance}",
        *(f"    {option}" for option in spec.get("options") or ()),
        *([f"    default-server {default}"] if default else []),
        *(_server(server) for server in spec.get("servers") or ()),
    ]
    return "\n".join(lines) + "\n"


def _server(server: Mapping[str, Any]) -> str:
    """Return the line of one server of a service."""
    line = f"    server {server['name']} {server['ip']}:{server['port']}"
    if server.get("weight") is not None:
        line += f" weight {server['weight']}"
    if server.get("options"):
        line += f" {server['options']}"
    return line + (" backup" if server.get("backup") else "")


def services(specs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the files of ``haproxy_services`` by file name, sorted."""
    ordered = sorted(specs, key=lambda spec: str(spec["name"]))
    return {f"{spec['name']}.cfg": service(spec) for spec in ordered}


def owned(owner: str, contents: str) -> str:
    """Return a service file's text under the lines that say whose it is."""
    return f"{BANNER}\n{_OWNER}{owner}\n{contents}"


def owner_of(contents: str) -> str | None:
    """Return whose a service file is, or None when it is not ours."""
    for line in contents.splitlines()[:2]:
        if line.startswith(_OWNER):
            return line.removeprefix(_OWNER).strip()
    return None


def stale(
    present: Mapping[str, str],
    wanted: Iterable[str],
    owner: str,
    prefix: str = "",
    clean: bool = False,
) -> list[str]:
    """Return the names of service files that shall go.

    Args:
        present: text of the files in the folder, by name.
        wanted: names that stay.
        owner: who asks; another owner's files are never stale.
        prefix: files that start with it go as well when nobody owns them; empty for none.
        clean: all files that nobody owns go.
    """
    keep = set(wanted)
    return sorted(
        name
        for name, contents in present.items()
        if name not in keep
        and (
            (whose := owner_of(contents)) == owner
            or (whose is None and (clean or (prefix and name.startswith(prefix))))
        )
    )


def loaded(record: str) -> dict[str, str]:
    """Return the checksum of each file that HAProxy has loaded, out of what the unit wrote."""
    rows = (line.split(maxsplit=1) for line in record.splitlines())
    return {row[1]: row[0] for row in rows if len(row) == 2}


def behind(
    record: str,
    main_text: str | None,
    present: Mapping[str, str],
    owner: str,
    authorities: str | None = None,
) -> bool:
    """Return whether HAProxy runs without a change in the files that an owner answers for.

    Those are its own, those of nobody, and those that are gone. A file of another owner is left to
    that one: loading it here would load what was edited by hand before it is put right.

    Args:
        record: what the unit wrote when it loaded.
        main_text: text of the main file, None where it is not the owner's matter.
        present: text of the service files, by name.
        owner: who asks.
        authorities: text of :data:`CA`, None where it is not the owner's matter.
    """
    known = loaded(record)
    mine = {
        f"{SERVICES}/{name}": text
        for name, text in present.items()
        if owner_of(text) in (None, owner)
    }
    if main_text is not None:
        mine[MAIN] = main_text
    if authorities is not None:
        mine[CA] = authorities
    gone = set(known) - {MAIN, CA} - {f"{SERVICES}/{name}" for name in present}
    return bool(gone) or any(known.get(path) != _checksum(text) for path, text in mine.items())


def _checksum(contents: str) -> str:
    """Return the checksum of a file as sha256sum(1) prints it."""
    return hashlib.sha256(contents.encode("utf-8", errors="surrogateescape")).hexdigest()


def drop_in() -> str:
    """Return the drop-in of the packaged unit: load the services' folder, say what was loaded.

    The package's own settings file is left out, because options in it would replace ours. A reload
    hands the state of the servers over; a start finds none, because it would be that of some past
    reload.
    """
    record = (
        "/bin/sh -c 'mkdir -p /run/pigsty;"
        f" sha256sum {MAIN} {CA} {SERVICES}/*.cfg > {LOADED} 2>/dev/null || :'"
    )
    return text(
        "[Service]",
        "EnvironmentFile=",
        f'Environment="EXTRAOPTS=-S {MASTER_SOCKET} -f {SERVICES}"',
        f"ExecStartPre=/bin/rm -f {SERVERS}",
        f"ExecStartPost={record}",
        "ExecReload=",
        "ExecReload=/usr/sbin/haproxy -Ws -f $CONFIG -c $EXTRAOPTS",
        f"ExecReload=-{HAND_OVER}",
        "ExecReload=/bin/kill -USR2 $MAINPID",
        f"ExecReload={record}",
    )


def hand_over() -> str:
    """Return the program that a reload runs: it asks HAProxy for the state of its servers.

    HAProxy would take ports out of its answer too, in place of those in the files: a service would
    keep its old destination. So they are replaced, and servers that are in no file are left out.
    """
    return "\n".join(
        (
            "#!/bin/sh",
            BANNER,
            "set -u",
            f'umask 077; file={SERVERS}; mkdir -p "${{file%/*}}"',
            f'echo "show servers state" | socat -t5 - {ADMIN_SOCKET} > "$file.raw"',
            "awk '",
            '    FILENAME != "-" && ($1 == "listen" || $1 == "backend") { part = $2 }',
            '    FILENAME != "-" && $1 == "server" {',
            '        n = split($3, address, ":"); port[part " " $2] = address[n]',
            "    }",
            '    FILENAME != "-" { next }',
            '    NF < 20 || $1 == "#" { print; next }',
            '    ($2 " " $4) in port { $19 = port[$2 " " $4]; $20 = "-"; NF = 20; print }',
            f'\' {MAIN} {SERVICES}/*.cfg - < "$file.raw" > "$file.new"',
            'if [ -s "$file.raw" ]; then mv "$file.new" "$file"; else rm -f "$file"; fi',
            'rm -f "$file.raw" "$file.new"',
            "",
        )
    )


def outcome(before: str, after: str) -> str:
    """Return how a reload went: ``reloaded``, ``failed``, or nothing while it is under way.

    Args:
        before: the master's answer to ``show proc`` before the reload.
        after: its answer now; empty while it doesn't listen.
    """
    if workers(after) - workers(before):
        return "reloaded"
    return "failed" if _failed(after) > _failed(before) else ""


def _failed(answer: str) -> int:
    """Return how many reloads in a row have failed, by the master's answer to ``show proc``."""
    found = re.search(r"\[failed: (\d+)\]", answer)
    return int(found[1]) if found else 0


def workers(answer: str) -> frozenset[int]:
    """Return the process ids of the current workers out of the master's answer to ``show proc``."""
    found: set[int] = set()
    section = ""
    for line in answer.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip()
        elif section == "workers" and line.split() and line.split()[0].isdigit():
            found.add(int(line.split()[0]))
    return frozenset(found)
