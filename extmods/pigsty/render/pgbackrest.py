"""pgBackRest's configuration, the schedule, and the program that the schedule calls.

The repository's options stay under the inventory's names (``cipher_pass``, ``s3_key_secret``) until
they are written, so that whatever masks secrets by name recognizes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pigsty.errors import PillarError
from pigsty.render.files import Directory, File, text

#: The superuser's group.
GROUP = "postgres"
#: Where pgBackRest looks first, on every system.
CONFIG = "/etc/pgbackrest/pgbackrest.conf"
#: The schedule: a file of ours, because a user's own crontab belongs to that user.
CRONTAB = "/etc/cron.d/pigsty-pgsql"
#: Repositories that are a folder of the machine, and so every member's own.
LOCAL = frozenset(("posix", "cifs"))
#: WAL that may wait for a repository that can't be reached. Beyond it WAL is dropped (and with it
#: the way back through that time), because a full disk would stop the database.
QUEUE = "4GiB"
#: Seconds for one WAL segment into a repository or out of it. The background process goes on beyond
#: them, and what it has done is found at the next try: a slow repository loses nothing.
_PATIENCE = 5
#: Seconds for which a repository that was silent isn't asked for WAL again.
_PAUSE = 30
#: Before a server stops, it tries to archive what it has left, three times and once more three
#: times. With pgBackRest's own minute for each, a silent repository would keep a switchover's old
#: leader away for six. `io-timeout` is how soon a background process sees that one is back.
_BOUNDS: Mapping[str, Mapping[str, int]] = {
    "archive-get": {"io-timeout": 10},
    "archive-push": {"archive-timeout": _PATIENCE, "io-timeout": 10},
}
#: Of a crontab's line before the command: minute, hour, day, month, weekday.
_FIELDS = 5
_BOOLEANS = {"true": "y", "false": "n"}


def local(options: Mapping[str, Any]) -> bool:
    """Return whether a repository is a folder of the machine itself."""
    return str(options.get("type", "posix")) in LOCAL


def archive_command(stanza: str) -> str:
    """Return PostgreSQL's ``archive_command`` for a stanza."""
    return f'pgbackrest --stanza={stanza} archive-push "%p"'


def restore_command(home: str) -> str:
    """Return PostgreSQL's ``restore_command`` of a replica whose repository all members reach.

    A member that is promoted asks for more WAL and for newer timelines, five times or so, before
    it takes writes. A repository that is silent must not hold each of them up: see :func:`getter`.

    Args:
        home: the home of the superuser of the database.
    """
    return f'{home}/{_GETTER} %f "%p"'


def clone_command(stanza: str) -> str:
    """Return the command by which Patroni fills a replica from the newest backup."""
    return f"pgbackrest --stanza={stanza} --delta --type=none restore"


def processes(cpu: int) -> dict[str, int]:
    """Return how many processes each command gets on a machine with so many CPUs.

    Archiving and backups run beside the server and get a quarter and half of the machine, at most
    four and eight; a restore has the machine to itself, and reading WAL back is what limits a
    recovery.
    """
    return {
        "archive-get": min(max(1, cpu // 2), 8),
        "archive-push": min(max(1, cpu // 4), 4),
        "backup": min(max(1, cpu // 2), 8),
        "restore": min(max(1, cpu), 16),
    }


def configuration(spec: Mapping[str, Any], cpu: int) -> str:
    """Return the text of the configuration.

    Args:
        spec: the pillar's ``pigsty:pgsql``, whose ``backup`` isn't None.
        cpu: CPUs of the machine.

    Raises:
        PillarError: an option of the repository can't stand in such a file.
    """
    backup, params = spec["backup"], spec["params"]
    repository = {f"repo1-{_option(name)}": value for name, value in backup["options"].items()}
    common: dict[str, Any] = {
        **repository,
        "archive-async": "y",
        "archive-push-queue-max": QUEUE,
        "compress-type": "zst",
        "expire-auto": "y",
        "lock-path": f"{spec['directories']['home']}/tmp/pgbackrest",  # noqa: S108
        "log-level-console": "warn",
        "log-level-file": "info",
        "log-path": params["pgbackrest_log_dir"],
        "spool-path": f"{spec['directories']['home']}/spool",
        "start-fast": "y",
    }
    stanza = {
        "pg1-path": params["pg_data"],
        "pg1-port": params["pg_port"],
        "pg1-socket-path": params["pg_localhost"],
        "pg1-user": params["pg_dbsu"],
    }
    lines = _section("global", common)
    for command, count in processes(cpu).items():
        options = {"process-max": count, **_BOUNDS.get(command, {})}
        lines += ["", *_section(f"global:{command}", options)]
    return text(*lines, "", *_section(backup["stanza"], stanza))


def files(spec: Mapping[str, Any], cpu: int) -> list[File | Directory]:
    """Return the folders and files of backups and of the schedule, as they shall be.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
        cpu: CPUs of the machine.
    """
    params, backup = spec["params"], spec["backup"]
    user, home = params["pg_dbsu"], spec["directories"]["home"]
    found: list[File | Directory] = [
        File(CRONTAB, crontab(params["pg_crontab"] or (), user)),
    ]
    if backup is None:
        return [*found, File(CONFIG, None)]
    folders = [params["pgbackrest_log_dir"]]
    if local(backup["options"]):
        folders.append(backup["options"]["path"])
    found += [Directory(path, "0750", user, GROUP) for path in folders]
    contents = configuration(spec, cpu)
    return [
        *found,
        File(CONFIG, contents, "0640", user, GROUP, secret=True),
        File(f"{home}/bin/pg-backup", program(spec), "0755"),
        File(f"{home}/{_GETTER}", getter(spec), "0755"),
    ]


def crontab(lines: Sequence[str], user: str) -> str | None:
    """Return the schedule of ``pg_crontab``, or None without one.

    Args:
        lines: as in a user's own crontab: five fields or ``@word``, then the command.
        user: who the commands run as.

    Raises:
        PillarError: a line is no such line.
    """
    if not lines:
        return None
    rows = [_scheduled(str(line), user) for line in lines]
    # Replicas refuse quietly, and nobody reads the mail of a database server.
    return text('MAILTO=""', "PATH=/usr/local/bin:/usr/bin:/bin", *rows)


def program(spec: Mapping[str, Any]) -> str:
    """Return the program ``pg-backup [full|diff|incr]``, for schedules: it asks who leads now.

    Where another member leads it ends with 1, as people's scripts expect.
    """
    params, backup = spec["params"], spec["backup"]
    scheme = "https" if params["patroni_ssl_enabled"] else "http"
    values = {
        "@URL@": f"{scheme}://{spec['ip']}:{params['patroni_port']}/primary",
        "@CA@": f"{spec['certificates']}/ca.crt",
        "@STANZA@": backup["stanza"],
    }
    return _filled(_PROGRAM, {token: json.dumps(value) for token, value in values.items()})


def getter(spec: Mapping[str, Any]) -> str:
    """Return the program ``pg-wal-get FILE PATH``, which replicas fetch archived WAL with.

    Where the repository was silent a moment ago there is nothing to be had, which costs no time.
    """
    values = {
        "@SILENT@": f"{spec['directories']['home']}/tmp/pgbackrest-silent",  # noqa: S108
        "@PAUSE@": str(_PAUSE),
        "@PATIENCE@": str(_PATIENCE),
        "@STANZA@": spec["backup"]["stanza"],
    }
    return _filled(_GET, values)


def _filled(program: str, values: Mapping[str, str]) -> str:
    for token, value in values.items():
        program = program.replace(token, value)
    return program


def _option(name: str) -> str:
    return str(name).replace("_", "-")


def _section(title: str, values: Mapping[str, Any]) -> list[str]:
    return [f"[{title}]", *(f"{name}={_value(name, values[name])}" for name in sorted(values))]


def _value(name: str, value: Any) -> str:
    # The inventory's `true` arrives as this word; pgBackRest knows only y and n.
    found = _BOOLEANS.get(str(value).lower(), str(value))
    if not found or found != found.strip() or any(character in found for character in "\r\n\0"):
        raise PillarError(f"pgbackrest_repo: the value of {name} is empty, or has blanks or lines")
    return found


def _scheduled(line: str, user: str) -> str:
    words = line.split(None, 1 if line.startswith("@") else _FIELDS)
    if "\n" in line or len(words) != (2 if line.startswith("@") else _FIELDS + 1):
        raise PillarError(f"pg_crontab: {line!r} is no line of a crontab (no column for the user)")
    return " ".join([*words[:-1], user, words[-1]])


_GETTER = "bin/pg-wal-get"
_GET = """\
#!/bin/sh
# Managed by Pigsty: edit pigsty.yml, not this file.
# Fetch WAL from the archive: pg-wal-get FILE PATH. Ends with 1 where there is none to be had.
silent=@SILENT@
if [ -n "$(find "$silent" -newermt '-@PAUSE@ seconds' 2>/dev/null)" ]; then
    exit 1
fi
timeout @PATIENCE@ pgbackrest --stanza=@STANZA@ archive-get "$1" "$2"
code=$?
if [ "$code" = 124 ]; then
    touch "$silent"
fi
exit "$code"
"""

_PROGRAM = '''\
#!/usr/bin/python3
# Managed by Pigsty: edit pigsty.yml, not this file.
"""Make a backup if this member leads its cluster; otherwise end with 1. For crontabs."""

import os
import ssl
import sys
import urllib.error
import urllib.request

URL, CA, STANZA = @URL@, @CA@, @STANZA@
KINDS = ("full", "diff", "incr")
SECONDS = 10


def leads():
    """Ask this member's Patroni; it answers 503 where another one leads."""
    context = ssl.create_default_context(cafile=CA) if URL.startswith("https") else None
    try:
        with urllib.request.urlopen(URL, timeout=SECONDS, context=context) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return False
        raise


kind = sys.argv[1] if len(sys.argv) > 1 else "incr"
if kind not in KINDS:
    sys.exit("usage: pg-backup [full|diff|incr]")
try:
    if not leads():
        sys.exit("pg-backup: another member leads: nothing was done")
    os.execvp("pgbackrest", ["pgbackrest", "--stanza=" + STANZA, "--type=" + kind, "backup"])
except OSError as error:
    sys.exit(f"pg-backup: {error}")
'''
