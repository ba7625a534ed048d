"""Settings tried by PostgreSQL itself before they are put in place: its own parser, a dry start.

A server that is running takes a bad setting with a line in its log; one that starts doesn't start.
So ``postgres -C`` reads what is going to be the configuration, in a folder of its own: it parses
everything, and loads the libraries as a start would, without opening a port or touching data.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pigsty.deadlines import DEADLINES
from pigsty.render.libraries import SETTING
from pigsty.sql.session import Server, Unreachable, text

__virtualname__ = "pigsty_trial"

#: Where the scratch folder is made: not on the disk.
RUN = Path("/run/pigsty")
#: Messages of the parser that name a setting.
_NAMED = re.compile(r'parameter "([^"]+)"')
#: What depends on the place and not on the setting, or would make a file.
_ASIDE = {"ssl": "off", "logging_collector": "off", "log_destination": "stderr"}
#: The parser stops at unknown names before it looks at values: so often is it asked again.
_ROUNDS = 4


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def lacking(libraries: Sequence[str]) -> list[str]:
    """Return the libraries whose file isn't on this machine.

    Args:
        libraries: names as in ``shared_preload_libraries``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_trial.lacking '[auto_explain, pg_cron]'
    """
    folder = _programs() / "lib"
    return [name for name in libraries if not _file(folder, name).exists()]


def unloadable(libraries: Sequence[str]) -> list[str]:
    """Return the libraries that can't be loaded; all of them if each could be, but not together.

    Args:
        libraries: names as in ``shared_preload_libraries``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_trial.unloadable '[auto_explain, pg_cron]'
    """
    missing = lacking(libraries)
    with _folder() as data:
        broken = [n for n in libraries if n not in missing and _run(data, {}, [n])]
    bad = {*missing, *broken}
    return [name for name in libraries if name in bad] or list(libraries)


def refused(settings: Mapping[str, Any], libraries: Sequence[str]) -> dict[str, str]:
    """Return what PostgreSQL would not take, by setting, with its own reason.

    Nothing is said where its programs aren't installed yet. A library that can't be loaded is told
    under ``shared_preload_libraries``.

    Args:
        settings: name to value.
        libraries: to load with them.

    CLI Example: called by states.
    """
    if not (_programs() / "bin/postgres").exists():
        return {}
    missing = lacking(libraries)
    found = {SETTING: f"not installed here: {', '.join(missing)}"} if missing else {}
    left = {n: v for n, v in settings.items() if n not in _ASIDE and n != SETTING}
    with _folder() as data:
        for _ in range(_ROUNDS):
            present = [library for library in libraries if library not in missing]
            said = _run(data, left, present)
            faults = _faults(said, left)
            found |= faults
            left = {n: v for n, v in left.items() if n not in faults}
            if not faults:
                break
        if said and not faults:
            # Not a setting's fault by its name: a library that is there and doesn't load.
            found.setdefault(SETTING, said)
    return found | _placeholders(left)


def _faults(said: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the complaints that name one of the settings."""
    found: dict[str, str] = {}
    known = {name.lower(): name for name in settings}
    for line in said.splitlines():
        match = _NAMED.search(line)
        if match and (name := known.get(match[1].lower())):
            found[name] = re.sub(r' in file "[^"]+" line \d+', "", line)
    return found


def _run(data: Path, settings: Mapping[str, Any], libraries: Sequence[str]) -> str:
    """Have PostgreSQL read some settings; return what it complains of, "" if nothing."""
    wanted = {**settings, SETTING: ", ".join(libraries)} if libraries else dict(settings)
    lines = [f"{name} = {_quoted(value)}" for name, value in wanted.items() if value is not None]
    config = data / "trial.conf"
    config.write_text("\n".join(lines) + "\n", "utf-8")
    config.chmod(0o600)
    _own(config)
    whole = (data / "global/pg_control").exists()
    # A variable that is computed at the start makes it go as far as having loaded the libraries.
    command = [str(_programs() / "bin/postgres"), "-C", "shared_memory_size" if whole else "port"]
    command += ["-D", str(data), "-c", f"config_file={config}"]
    command += [word for name, value in _ASIDE.items() for word in ("-c", f"{name}={value}")]
    try:
        done = subprocess.run(
            [*command, "-c", "log_line_prefix="],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINES["postgres.trial"],
            env={**os.environ, "LC_ALL": "C"},
            **_as_superuser(),
        )
    except subprocess.TimeoutExpired:
        return f"not within {DEADLINES['postgres.trial']:g} s (deadline postgres.trial)"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "postgresql.auto.conf" not in line]
    if len(lines) > 1:
        lines = [line for line in lines if "contains errors" not in line]
    return "\n".join(re.sub(r"^(LOG|FATAL|ERROR|WARNING|DETAIL|HINT): *", "", x) for x in lines)


def _placeholders(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what the running server says of extensions' settings, which a start takes unseen."""
    named = {n: _plain(v) for n, v in settings.items() if "." in n and v is not None}
    if not named:
        return {}
    server = Server.of_params(_spec()["params"])
    found: dict[str, str] = {}
    try:
        with server.impersonated():
            connection = server.connect("postgres")
        with connection, connection.transaction(force_rollback=True):
            for name, value in named.items():
                try:
                    with connection.transaction():
                        connection.execute("SELECT set_config(%s, %s, true)", (name, value))
                except psycopg.errors.CantChangeRuntimeParam:
                    continue
                except psycopg.Error as error:
                    found[name] = text(error)
    except (Unreachable, psycopg.OperationalError):
        return {}
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    """Have a folder to start in."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trial.", dir=RUN) as name:
        yield _scratch(Path(name))


def _scratch(folder: Path) -> Path:
    """Return a data folder that holds what a start reads before it loads libraries."""
    (folder / "global").mkdir()
    data = Path(_spec()["params"]["pg_data"])
    try:
        for name in ("PG_VERSION", "global/pg_control"):
            shutil.copyfile(data / name, folder / name)
    except OSError:
        # No cluster yet: then only the parser is asked.
        (folder / "global/pg_control").unlink(missing_ok=True)
    folder.chmod(0o700)
    for path in (folder, *folder.rglob("*")):
        _own(path)
    return folder


def _as_superuser() -> dict[str, Any]:
    """Return what makes a child the database's system user: root may not start a server."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(str(_spec()["params"]["pg_dbsu"]))
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(str(_spec()["params"]["pg_dbsu"]))
        os.chown(path, user.pw_uid, user.pw_gid)


def _file(folder: Path, library: str) -> Path:
    """Return the file of a library, which may be named by its path."""
    path = Path(library.replace("$libdir", str(folder)))
    path = path if path.is_absolute() else folder / path
    return path if path.suffix == ".so" else path.with_name(f"{path.name}.so")


def _plain(value: Any) -> str:
    """Return a value as Patroni writes it into the configuration."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _quoted(value: Any) -> str:
    plain = _plain(value).replace("'", "''").replace("\\", "\\\\")
    return "'" + " ".join(plain.splitlines()) + "'"


def _programs() -> Path:
    return Path(_spec()["directories"]["programs"])


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = __pillar__["pigsty"]["pgsql"]
    return spec
