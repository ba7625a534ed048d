"""The local package repository, built and served on infra nodes, and apt's sources everywhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.render import nginx
from pigsty.render import repo as render

__virtualname__ = "pigsty_repo"


def __virtual__() -> str | tuple[bool, str]:
    """Load where the execution module does."""
    if "pigsty_repo.build" not in __salt__:
        return False, "pigsty_repo needs apt"
    return __virtualname__


def built(name: str) -> dict[str, Any]:
    """Have the repository hold all packages of the deployment.

    It is built once for a list of packages and a set of sources, and then stays as it is: nodes
    that join later get the same versions. Remove the file ``repo_complete`` in it to have it
    brought up to date.

    Args:
        name: the folder.
    """
    repo, meta = __pillar__["pigsty"]["infra"]["repo"], __pillar__["pigsty"]["meta"]
    result = _result(name)
    # The declared upstream is fetched from, so it has to be there first.
    files = [f for f in render.source_files(meta["repo"], meta["ca"]) if f.path == render.UPSTREAM]
    try:
        changes = __salt__["pigsty_file.changes"](files)
        aside = __salt__["pigsty_repo.others"]() if meta["repo"]["remove"] else []
        changes |= {path: {"old": "used", "new": f"in {render.BACKUP}"} for path in aside}
        status = __salt__["pigsty_repo.status"](repo)
        if changes or status["built"] != status["wanted"]:
            changes["repository"] = {
                "old": "other packages or sources" if status["built"] else "not built",
                "new": f"{len(repo['packages'])} packages and what they depend on",
            }
        result["changes"] = changes
        if not changes:
            result["comment"] = f"{status['count']} packages{_unknown(status['missing'])}"
            return result
        if __opts__["test"]:
            result.update(result=None, comment="would be built")
            return result
        __salt__["pigsty_file.converge"](files)
        __salt__["pigsty_repo.set_aside"](aside)
        # Other infra nodes fetch from the admin node's; that one would fetch from itself.
        done = __salt__["pigsty_repo.build"](repo, meta["id"] == meta["admin_ip"])
        result["comment"] = (
            f"{done['count']} packages, {done['size'] >> 20} MiB{_unknown(done['missing'])}"
        )
    except (CommandExecutionError, OSError) as error:
        result.update(result=False, comment=str(error))
    return result


def served(name: str) -> dict[str, Any]:
    """Have nginx serve the repository, with the certificate that is on disk.

    Args:
        name: path of nginx's configuration file.
    """
    infra = __pillar__["pigsty"]["infra"]
    result = _result(name)
    files = nginx.files(name, infra["nginx"])
    try:
        changes = __salt__["pigsty_file.changes"](files)
        unit = "nginx.service"
        state = __salt__["pigsty_systemd.show"](unit)[unit]
        changes |= __salt__["pigsty_systemd.plan"](unit, state)
        running = state.get("ActiveState") == "active"
        if running and __salt__["pigsty_systemd.owed"](unit):
            changes["configuration"] = {"old": "an older one is loaded", "new": "loaded"}
        if running and not _serves(infra["nginx"]):
            changes["certificate"] = {"old": "another one is served", "new": "the one on disk"}
        result["changes"] = changes
        if not changes:
            result["comment"] = "served"
            return result
        if __opts__["test"]:
            result.update(result=None, comment="would be set right")
            return result
        if running:
            # An apply that ends before the reload, for whatever reason, leaves it to the next one.
            __salt__["pigsty_systemd.owe"](unit, "reload")
        before = [replace(file, contents=__salt__["pigsty_file.read"](file.path)) for file in files]
        __salt__["pigsty_file.converge"](files)
        checked = __salt__["cmd.run_all"]("nginx -t -q", python_shell=False)
        if checked["retcode"]:
            # With a file that it refuses, nginx would not come up after the next boot.
            __salt__["pigsty_file.converge"](before)
            raise CommandExecutionError(f"nginx refuses its configuration: {checked['stderr']}")
        __salt__["pigsty_systemd.enact"]({unit: changes[unit]} if unit in changes else {})
        __salt__["pigsty_systemd.pay"](unit)
        wait_until(lambda: _serves(infra["nginx"]), "repo.served", "nginx serves the repository")
        result["comment"] = "set right"
    except (CommandExecutionError, DeadlineExceeded) as error:
        result.update(result=False, comment=str(error))
    return result


def sources(name: str) -> dict[str, Any]:
    """Have apt use the sources that the inventory names, with lists that are up to date.

    A bare node has no other source than the admin node's repository, which is being built while all
    nodes are applied at once: so this waits for it (deadline ``repo.ready``), and for nothing else.

    Args:
        name: a label.
    """
    meta = __pillar__["pigsty"]["meta"]
    repo: Mapping[str, Any] = meta["repo"]
    result = _result(name)
    try:
        local = repo["local"]
        seen = __salt__["pigsty_repo.stored"](repo["name"]) if local else None
        current = _current(repo, meta["ca"]) if local else None
        if meta["id"] == meta["admin_ip"] and seen is None and current is None:
            # The repository is this node's own: no use to wait for it here, `infra.repo` makes it.
            local, repo = False, {**repo, "local": False}
        files = render.source_files(repo, meta["ca"])
        changes = __salt__["pigsty_file.changes"](files)
        aside = __salt__["pigsty_repo.others"]() if repo["remove"] else []
        changes |= {path: {"old": "used", "new": f"in {render.BACKUP}"} for path in aside}
        # A repository that can't be reached while its lists are here is no reason to fail: nothing
        # may have to be installed.
        stale = bool(local and (seen is None or (current or {}).get("release", seen) != seen))
        # Packages that were asked for after the repository was built: the admin node, which is
        # applied as well, will add them.
        behind = local and current is not None and not _holds(current)
        everything = bool(aside) or render.UPSTREAM in changes
        if stale or everything or behind:
            changes["lists"] = {"old": "out of date", "new": "up to date"}
        result["changes"] = changes
        if not changes:
            result["comment"] = "up to date"
            return result
        if __opts__["test"]:
            result.update(result=None, comment="would be set right")
            return result
        if stale and current is None:
            wait_until(
                lambda: _current(repo, meta["ca"]) is not None,
                "repo.ready",
                f"the repository {repo['url']} answers",
            )
        if behind:
            wait_until(
                lambda: _holds(_current(repo, meta["ca"]) or {}),
                "repo.rebuilt",
                f"the repository {repo['url']} has {', '.join(_lacks(current or {}))}: apply "
                f"{meta['admin_ip']}, which builds it, together with this node",
            )
        __salt__["pigsty_file.converge"](files)
        __salt__["pigsty_repo.set_aside"](aside)
        if stale or everything or behind:
            __salt__["pigsty_repo.update"](not everything)
        result["comment"] = "set right"
    except (CommandExecutionError, DeadlineExceeded, OSError) as error:
        result.update(result=False, comment=str(error))
    return result


def _current(repo: Mapping[str, Any], ca: str) -> dict[str, Any] | None:
    """Return what the repository says of itself, or None."""
    found: dict[str, Any] | None = __salt__["pigsty_repo.served"](repo["url"], ca)
    return found


def _lacks(current: Mapping[str, Any]) -> list[str]:
    """Return this node's packages that a repository wasn't built for."""
    modules = __pillar__["pigsty"].values()
    names = {name for module in modules for name in module.get("packages", ())}
    return sorted(names - set(current.get("packages", ())))


def _holds(current: Mapping[str, Any]) -> bool:
    """Return whether a repository was built for this node's packages."""
    return not _lacks(current)


def _result(name: str) -> dict[str, Any]:
    """Return the result of a state that found nothing to do."""
    return {"name": name, "changes": {}, "result": True, "comment": ""}


def _unknown(missing: list[str]) -> str:
    """Return the end of a comment that names packages which no source has."""
    return f"; no source has {', '.join(missing)}" if missing else ""


def _serves(site: Mapping[str, Any]) -> bool:
    """Return whether nginx answers, with TLS under the certificate that is on disk."""
    tls = site["sslmode"] != "disable"
    context = ssl.create_default_context()
    # The certificate is compared byte for byte, which says more than its name would.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = site["ssl_port"] if tls else site["port"]
    try:
        with socket.create_connection(("127.0.0.1", port), DEADLINES["repo.request"]) as plain:
            if not tls:
                return True
            with context.wrap_socket(plain) as secure:
                shown = secure.getpeercert(binary_form=True)
    except OSError:
        return False
    text = __salt__["pigsty_file.read"](nginx.CERTIFICATE)
    return text is not None and shown == ssl.PEM_cert_to_DER_cert(text)
