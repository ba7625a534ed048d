"""States of HAProxy: its main configuration, and the service files that it loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import haproxy
from pigsty.render.files import Directory, File

__virtualname__ = "pigsty_haproxy"

#: HAProxy reads its configuration as root; the main file holds the admin's password.
_SECRET = {"mode": "0640", "user": "root", "group": "root"}


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def services(
    name: str, prefix: str, files: Mapping[str, str] | None = None, owner: str = "pgsql"
) -> dict[str, Any]:
    """Keep the service files of one owner in HAProxy's folder, and HAProxy running with them.

    The whole configuration is checked with ``haproxy -c`` before a file is replaced, and HAProxy is
    reloaded once.

    Args:
        name: the state's name.
        prefix: file names that are the owner's even without its mark, for example ``pg-test-``.
        files: text of each file by name, for example ``{"pg-test-primary.cfg": "listen …"}``.
        owner: whose the files are; files of this owner that are not named are removed.

    On a node whose inventory has HAProxy off, nothing is done.
    """
    if not __pillar__["pigsty"]["node"]["haproxy"]["enabled"]:
        off = "HAProxy is off on this node (haproxy_enabled)"
        return {"name": name, "changes": {}, "result": True, "comment": off}
    return _converge(name, None, dict(files or {}), owner, prefix)


def managed(name: str) -> dict[str, Any]:
    """Keep HAProxy's main file, its unit's drop-in and the inventory's services as declared.

    The texts come from the pillar (``pigsty:node:haproxy``): the main file holds a password.

    Args:
        name: the state's name.
    """
    data = __pillar__["pigsty"]["node"]["haproxy"]
    if not data["enabled"]:
        return _stopped(name)
    return _converge(
        name,
        data["config"],
        data["services"],
        "node",
        clean=data["clean"],
        reload=data["reload"],
    )


def _converge(
    name: str,
    main: str | None,
    wanted: dict[str, str],
    owner: str,
    prefix: str = "",
    clean: bool = False,
    reload: bool = True,
) -> dict[str, Any]:
    """Run either state; ``main`` is None where the main file is not its matter."""
    texts = {file: haproxy.owned(owner, text) for file, text in wanted.items()}
    unit = File(haproxy.DROP_IN, haproxy.drop_in())

    def files() -> list[File | Directory]:
        present = __salt__["pigsty_haproxy.present"]()
        old = haproxy.stale(present, texts, owner, prefix, clean)
        # HAProxy refuses to start without the folder; it may be empty.
        found: list[File | Directory] = [Directory(haproxy.SERVICES)]
        found += [File(f"{haproxy.SERVICES}/{file}", texts[file]) for file in sorted(texts)]
        found += [File(f"{haproxy.SERVICES}/{file}", None) for file in old]
        if main is not None:
            found += [File(haproxy.HAND_OVER, haproxy.hand_over(), mode="0755")]
            found += [File(haproxy.MAIN, main, secret=True, **_SECRET), unit]
        return found

    def plan() -> dict[str, Any]:
        plain = [file for file in texts if PurePosixPath(file).name == file and file[0] != "."]
        if len(plain) != len(texts):
            raise CommandExecutionError(f"not plain file names: {sorted(set(texts) - set(plain))}")
        changes = __salt__["pigsty_file.changes"](files())
        status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
        service = __salt__["pigsty_systemd.plan"](haproxy.UNIT, status).get(haproxy.UNIT, {})
        # A file that others put there, and a reload that was cut off, show here and nowhere else.
        need = __salt__["pigsty_haproxy.need"](status, owner, main is not None)
        if need and haproxy.DROP_IN in changes:
            need = "restart"
        elif changes and not need and "active" not in service:
            need = "reload"
        if need and "active" not in service and (reload or need == "restart"):
            service["configuration"] = {"old": "another one is loaded", "new": need}
        return {**changes, haproxy.UNIT: service} if service else changes

    def act(changes: dict[str, Any]) -> None:
        wanted = files()
        _check(main, texts, wanted)
        service = changes.get(haproxy.UNIT, {})
        before = _before(file for file in wanted if file.path in changes)
        __salt__["pigsty_file.converge"](wanted)
        if haproxy.DROP_IN in changes:
            __salt__["pigsty_systemd.act"]("daemon-reload")
        __salt__["pigsty_systemd.enact"]({haproxy.UNIT: service})
        verb = service.get("configuration", {}).get("new")
        if verb == "restart":
            __salt__["pigsty_systemd.act"]("restart", haproxy.UNIT)
        elif verb:
            try:
                __salt__["pigsty_haproxy.reload"]()
            except CommandExecutionError:
                # A port that is taken shows only now. The old worker goes on; with the new files
                # in place, the next boot would find a HAProxy that does not start at all.
                __salt__["pigsty_file.converge"](before)
                raise

    return converge(
        name, "HAProxy", plan, act, test=__opts__["test"], errors=(CommandExecutionError,)
    )


def _check(main: str | None, texts: Mapping[str, str], files: list[File | Directory]) -> None:
    """Refuse a configuration that HAProxy refuses."""
    if main is None:
        main = __salt__["pigsty_file.read"](haproxy.MAIN)
    if main is None:
        raise CommandExecutionError(f"{haproxy.MAIN} is missing: apply the state `node` first")
    gone = {
        PurePosixPath(file.path).name
        for file in files
        if isinstance(file, File) and file.contents is None
    }
    present = __salt__["pigsty_haproxy.present"]()
    whole = {file: text for file, text in present.items() if file not in gone}
    problem = __salt__["pigsty_haproxy.check"](main, {**whole, **texts})
    if problem:
        raise CommandExecutionError(f"HAProxy refuses the new configuration: {problem}")


def _before(files: Iterable[File | Directory]) -> list[File]:
    """Return files as they are now, to be put back."""
    return [
        replace(file, contents=__salt__["pigsty_file.read"](file.path))
        for file in files
        if isinstance(file, File)
    ]


def _stopped(name: str) -> dict[str, Any]:
    """Keep HAProxy stopped and disabled; its files stay."""

    def plan() -> dict[str, Any]:
        status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
        return __salt__["pigsty_systemd.plan"](haproxy.UNIT, status, running=False)

    return converge(
        name,
        "HAProxy (off)",
        plan,
        __salt__["pigsty_systemd.enact"],
        test=__opts__["test"],
        errors=(CommandExecutionError,),
    )
