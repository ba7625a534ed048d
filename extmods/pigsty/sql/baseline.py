"""Fill a new database with the file of SQL that the inventory names, once.

psql runs it, as such files may hold its commands (``\\set``, ``\\copy``). The file and the note
that it was run are one transaction: it is run as a whole or not at all, and never twice.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
from pathlib import Path

from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError
from pigsty.sql.session import NO_FILE, Server

#: Behind the file's text: the checksum, and the parameters that the file set on the database,
#: which declared state must not reset. ``:'checksum'`` is quoted by psql.
_MARKING = """
;
SELECT format('ALTER DATABASE %I SET pigsty.baseline = %L', current_database(),
         :'checksum' || ':' || coalesce(string_agg(lower(split_part(c, '=', 1)), ','), ''))
  FROM pg_catalog.pg_database d
  LEFT JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0
  LEFT JOIN unnest(s.setconfig) c ON c NOT LIKE 'pigsty.%'
 WHERE datname = current_database()
\\gexec
"""


class BaselineError(PigstyError):
    """A baseline can't be found, or the server refused it."""


def run(server: Server, database: str, file: Path, psql: str = "psql") -> None:
    """Run a file of SQL in a database as the superuser, and note its checksum there.

    Args:
        server: the local server.
        database: where to run it.
        file: what to run.
        psql: path of psql.

    Raises:
        BaselineError: the file can't be read, takes too long, or the server refused it.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BaselineError(f"{file}: {error.strerror}") from error
    command = [psql, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
    command += ["-v", f"checksum={hashlib.sha256(content).hexdigest()}", "-f", "-"]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PGHOST": server.socket,
        "PGPORT": str(server.port),
        "PGUSER": server.dbsu,
        "PGDATABASE": database,
        "PGAPPNAME": "pigsty",
        "PGPASSFILE": NO_FILE,
        "LC_ALL": "C.UTF-8",
    }
    user = pwd.getpwnam(server.dbsu)
    root = os.geteuid() == 0
    try:
        done = subprocess.run(
            command,
            input=content + _MARKING.encode(),
            capture_output=True,
            timeout=DEADLINES["sql.baseline"],
            check=False,
            cwd="/",
            env=environment,
            user=user.pw_uid if root else None,
            group=user.pw_gid if root else None,
            extra_groups=[] if root else None,
        )
    except subprocess.TimeoutExpired:
        raise BaselineError(f"{file.name}: not done in time (deadline sql.baseline)") from None
    except OSError as error:
        raise BaselineError(f"{psql}: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        said = next((line for line in lines if "ERROR" in line or "FATAL" in line), "".join(lines))
        raise BaselineError(f"{file.name}: {said.removeprefix('psql:<stdin>:')}")
