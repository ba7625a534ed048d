"""Logs: what brings a node's files into its journal, sends that to infra nodes, and keeps it there.

The journal is what daemons write to by themselves. Programs that write files have rsyslog read
them, with a configuration and a unit of its own, so that a system's rsyslog stays what it is.
systemd's upload sends all of it to every infra node, each with a cursor of its own.

On an infra node nginx checks the sender's certificate: Debian's build of systemd-journal-remote
can't. It connects from an address of the loopback that stands for the sender, after which the
files are named: so whose entries they are is known by the certificate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pigsty.render.daemon import Daemon, command, drop_in
from pigsty.render.files import File, text
from pigsty.render.nginx import CERTIFICATE, KEY

#: Where infra nodes take logs, and where systemd-journal-remote listens behind that.
PORT, INNER_PORT = 19532, 19531
#: A node's certificate, which says who sends.
NODE_CERTIFICATE, NODE_KEY = "/etc/pki/node.crt", "/etc/pki/node.key"
UNITS = "/etc/systemd/system"
FORWARDER, UPLOAD, SERVER = "pigsty-forward.service", "pigsty-upload-", "pigsty-logs.service"
RSYSLOG = "/etc/pigsty-rsyslog.conf"
NGINX = "/etc/nginx/conf.d/pigsty-logs.conf"
AUTHORITIES = "/etc/pki/logs-ca.crt"
AGING = "/etc/tmpfiles.d/pigsty-logs.conf"
REMOTE = "/etc/systemd/journal-remote.conf.d/pigsty.conf"
#: Where the search finds its code and whose files are whose.
LIBRARY, HOSTS = "/usr/local/lib/pigsty", "/etc/pigsty-logs.json"
USER = "systemd-journal-remote"
#: The units that only infra nodes run: a socket would wake its service, so it stops first.
STORE = ("systemd-journal-remote.socket", "systemd-journal-remote.service", SERVER)
#: What beside units only infra nodes have.
KEPT = (AGING, AUTHORITIES, HOSTS, REMOTE)

MIB = 1024 * 1024
#: The most that the journal takes of one file in a minute; what a flood has beyond is dropped.
LINES_PER_MINUTE = 20000
#: What a unit of ours may not do; none of them needs more than to read and to speak.
_SANDBOX = (
    "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "NoNewPrivileges=yes",
    "PrivateDevices=yes", "PrivateTmp=yes", "ProtectClock=yes", "ProtectControlGroups=yes",
    "ProtectHome=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes", "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes", "ProtectSystem=strict", "RestrictNamespaces=yes",
    "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "SystemCallArchitectures=native",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How a program writes its log.

    Attributes:
        begin: a regular expression (POSIX) that the first line of an entry matches; empty where
            every line is an entry.
        levels: for each priority, a regular expression that entries of it match, the worst first.
    """

    begin: str
    levels: tuple[tuple[int, str], ...] = ()


_DATE = "^[0-9]{4}[-/][0-9]{2}[-/][0-9]{2} "
_NGINX, _PYTHON, _SALT = "^[0-9/]+ [0-9:]+ .", "^[-0-9]+ [0-9:,]+ ", "^[-0-9]+ [0-9:,]+ [^ ]+"
_COLUMNS = "^([^,]*,){11}"
_SALT_LEVELS = ((2, f"{_SALT}CRITICAL"), (3, f"{_SALT}ERROR"), (4, f"{_SALT}WARNING"))
#: By program. PostgreSQL's severity is the twelfth column, which no text of a user comes before.
FORMS: Mapping[str, Form] = {
    "nginx": Form(
        "",
        ((2, f"{_NGINX}(emerg|alert|crit)]"), (3, f"{_NGINX}error]"), (4, f"{_NGINX}warn]")),
    ),
    "patroni": Form(
        _DATE, ((2, f"{_PYTHON}CRITICAL:"), (3, f"{_PYTHON}ERROR:"), (4, f"{_PYTHON}WARNING:"))
    ),
    "pgbackrest": Form(_DATE, ((3, " P[0-9]+ +(ERROR|ASSERT):"), (4, " P[0-9]+ +WARN:"))),
    "pgbouncer": Form(_DATE, ((2, "] FATAL "), (3, "] ERROR "), (4, "] WARNING "))),
    "postgres": Form(
        "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ [^ ,]+,",
        ((2, f"{_COLUMNS}PANIC,"), (3, f"{_COLUMNS}(FATAL|ERROR),"), (4, f"{_COLUMNS}WARNING,")),
    ),
    "salt-master": Form(_DATE, _SALT_LEVELS),
    "salt-minion": Form(_DATE, _SALT_LEVELS),
}


def rsyslog(files: Iterable[tuple[str, str]]) -> str:
    """Return the configuration of the rsyslog that reads files into the journal.

    Args:
        files: program (a key of :data:`FORMS`) and pattern of file names.
    """
    pairs = list(files)
    lines = [
        f'global(workDirectory="/var/lib/{FORWARDER.removesuffix(".service")}" maxMessageSize="64k"'
        ' net.enableDNS="off")',
        'module(load="imfile" timeoutGranularity="1")',
        'module(load="omjournal")',
        'template(name="entry" type="subtree" subtree="$!")',
    ]
    for program, pattern in pairs:
        begin = FORMS[program].begin
        more = f'startmsg.regex="{begin}" readTimeout="1" ' if begin else ""
        lines.append(
            f'input(type="imfile" file="{pattern}" tag="{program}" ruleset="{program}" {more}'
            f'escapeLF="off" reopenOnTruncate="on" addMetadata="off" '
            f'maxLinesPerMinute="{LINES_PER_MINUTE}")'
        )
    for program in dict.fromkeys(program for program, _ in pairs):
        lines += [
            f'ruleset(name="{program}") {{',
            "  set $!MESSAGE = $msg;",
            f'  set $!SYSLOG_IDENTIFIER = "{program}";',
            '  set $!PRIORITY = "6";',
            *(
                f'  {"else " if index else ""}if re_match($msg, "{pattern}") '
                f'then {{ set $!PRIORITY = "{level}"; }}'
                for index, (level, pattern) in enumerate(FORMS[program].levels)
            ),
            '  action(type="omjournal" template="entry")',
            "}",
        ]
    return text(*lines)


def forwarder(files: Sequence[tuple[str, str]]) -> Daemon:
    """Return what brings a node's files into its journal; it is stopped where there are none."""
    unit = text(
        "[Unit]",
        "Description=Log files into the journal (Pigsty)",
        # Files that PostgreSQL begins at the boot are read from their beginning.
        "Before=patroni.service pgbouncer.service nginx.service",
        "",
        "[Service]",
        "Type=notify",
        *command("/usr/sbin/rsyslogd", "-n", "-iNONE", "-f", RSYSLOG)[1:],
        "Restart=always",
        "RestartSec=5",
        f"StateDirectory={FORWARDER.removesuffix('.service')}",
        "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        *_SANDBOX,
        *_modest("25%", "256M"),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    restart = (File(f"{UNITS}/{FORWARDER}", unit), File(RSYSLOG, rsyslog(files)))
    return Daemon(FORWARDER, restart if files else (), running=bool(files))


def upload(name: str, address: str) -> Daemon:
    """Return what sends a node's journal to one infra node, and remembers how far it has come.

    Args:
        name: the infra node's name.
        address: its address.
    """
    host = f"[{address}]" if ":" in address else address
    unit = text(
        "[Unit]",
        f"Description=The journal to {name} (Pigsty)",
        "Documentation=man:systemd-journal-upload(8)",
        "Wants=network-online.target",
        "After=network-online.target",
        # An infra node may be away for as long as it likes.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"User={USER}",
        "SupplementaryGroups=systemd-journal",
        f"StateDirectory=pigsty-upload-{name}",
        "ExecStart=/usr/lib/systemd/systemd-journal-upload"
        f" --url=https://{host}:{PORT} --key={NODE_KEY} --cert={NODE_CERTIFICATE}"
        f" --trust=/etc/pki/ca.crt --save-state=%S/pigsty-upload-{name}/state",
        "Restart=always",
        "RestartSec=3",
        # An answer that never comes: the other machine lost its power.
        "WatchdogSec=30",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        *_SANDBOX,
        *_modest("50%", "256M"),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    return Daemon(f"{UPLOAD}{name}.service", (File(f"{UNITS}/{UPLOAD}{name}.service", unit),))


def sources(addresses: Iterable[str]) -> dict[str, str]:
    """Return for each host the address of the loopback that stands for it on infra nodes.

    That of 10.1.2.3 is 127.1.2.3. Where two hosts would have the same one, and for hosts whose
    address is of another kind, it is the next that is free, in the order of the addresses.
    """
    found: dict[str, str] = {}
    taken = {0, 1}
    for address in sorted(addresses):
        try:
            number = int(ip_address(address)) & 0xFFFFFF
        except ValueError:
            number = 2
        while number in taken:
            number = (number + 1) % 0xFFFFFF
        taken.add(number)
        found[address] = str(ip_address((127 << 24) + number))
    return found


def sizes(cap: int, hosts: int) -> tuple[int, int]:
    """Return how large archived files may be together, and how large one file, in bytes.

    systemd-journal-remote removes archived files only: what every host's current file may take
    is left free for it.

    Args:
        cap: the size of everything, in bytes.
        hosts: how many hosts send.
    """
    count = max(1, hosts)
    one = max(4 * MIB, min(64 * MIB, cap // (4 * count)))
    return max(one, cap - count * one), one


def nginx(senders: Mapping[str, str]) -> str:
    """Return the part of nginx that takes logs from nodes with a certificate of ours.

    Args:
        senders: the loopback's address by that of the host.
    """
    return text(
        "map $ssl_client_s_dn $pigsty_sender {",
        "    default 0.0.0.0;",
        '    "~(?:^|,)OU=(?<pigsty_ip>[0-9a-fA-F.:]+)\\.node(?:,|$)" $pigsty_ip;',
        "}",
        "geo $pigsty_sender $pigsty_source {",
        '    default "";',
        *(f"    {ip} {source};" for ip, source in sorted(senders.items())),
        "}",
        "server {",
        f"    listen {PORT} ssl;",
        "    server_name _;",
        "    server_tokens off;",
        "    access_log off;",
        f"    ssl_certificate {CERTIFICATE};",
        f"    ssl_certificate_key {KEY};",
        "    ssl_protocols TLSv1.2 TLSv1.3;",
        f"    ssl_client_certificate {AUTHORITIES};",
        "    ssl_verify_client on;",
        "    location = /upload {",
        '        if ($pigsty_source = "") { return 403; }',
        f"        proxy_pass http://127.0.0.1:{INNER_PORT};",
        "        proxy_bind $pigsty_source;",
        "        proxy_http_version 1.1;",
        "        proxy_request_buffering off;",
        "        client_max_body_size 0;",
        "    }",
        "    location / { return 404; }",
        "}",
    )


def store(spec: Mapping[str, Any], cap: int, library: Mapping[str, str]) -> list[Daemon]:
    """Return what keeps the logs on an infra node, and what searches in them.

    Args:
        spec: ``folder``, ``port`` of the search, ``hosts`` (rows of :func:`hosts`).
        cap: the size of everything, in bytes.
        library: the code of the search, by file name.
    """
    folder, port = spec["folder"], spec["port"]
    archived, one = sizes(cap, len(spec["hosts"]))
    socket, remote, _ = STORE
    limits = text("[Remote]", f"MaxUse={archived}", f"MaxFileSize={one}")
    taking = drop_in(
        remote,
        "[Service]",
        *command(
            "/usr/lib/systemd/systemd-journal-remote",
            "--listen-http=-3",
            f"--output={folder}",
            "--split-mode=host",
        ),
        f"ReadWritePaths={folder}",
        "Restart=on-failure",
        *_modest("100%", "1G"),
    )
    listening = drop_in(
        socket, "[Socket]", "ListenStream=", f"ListenStream=127.0.0.1:{INNER_PORT}", "KeepAlive=yes"
    )
    searching = text(
        "[Unit]",
        "Description=Search in logs (Pigsty)",
        "",
        "[Service]",
        "DynamicUser=yes",
        f"SupplementaryGroups={USER}",
        f"Environment=PYTHONPATH={LIBRARY} PYTHONDONTWRITEBYTECODE=1",
        f"ExecStart=/usr/bin/python3 -m pigsty.logserver {port} {folder} {HOSTS}",
        "Restart=always",
        "RestartSec=2",
        "CapabilityBoundingSet=",
        "RestrictAddressFamilies=AF_UNIX AF_INET",
        "IPAddressAllow=localhost",
        "IPAddressDeny=any",
        *_SANDBOX,
        *_modest("100%", "512M"),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    code = [File(f"{LIBRARY}/pigsty/{file}", body) for file, body in sorted(library.items())]
    return [
        Daemon(socket, (listening,)),
        Daemon(remote, (taking, File(REMOTE, limits))),
        Daemon(SERVER, (File(f"{UNITS}/{SERVER}", searching), *code)),
    ]


def aging(folder: str, retention: str) -> File:
    """Return what removes the files that nothing was written to for so long.

    Args:
        folder: of the logs.
        retention: for example ``15d``.
    """
    return File(AGING, text(f"d {folder} 0750 {USER} {USER} m:{retention}"))


def hosts(rows: Iterable[Mapping[str, Any]]) -> File:
    """Return the file that tells the search whose logs are here."""
    body = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    return File(HOSTS, f"[\n{body}\n]\n")


def _modest(cpu: str, memory: str) -> tuple[str, ...]:
    """Return what keeps a unit of ours from taking what the databases need."""
    return (f"CPUQuota={cpu}", f"MemoryMax={memory}", "TasksMax=64", "Nice=10",
            "IOSchedulingClass=idle")  # fmt: skip
