"""Starts what the bootstrap installed, and restarts what it changed."""

from collections.abc import Callable, Sequence

from pigsty_cli.bootstrap import layout
from pigsty_cli.bootstrap.files import Tree

SERVICES = ("salt-master", "salt-minion")


def refresh(tree: Tree, run: Callable[[Sequence[str]], object]) -> list[str]:
    """Bring a machine's Salt services in line with its files.

    Args:
        tree: the machine's files, with the changes that were made to them.
        run: runs a command on that machine and raises when it fails.

    Returns:
        What was done, as a person would say it.
    """
    done = []
    if any(path.startswith(layout.UNITS) for path in tree.changes):
        run(["systemctl", "daemon-reload"])
    for service in SERVICES:
        if not tree.exists(f"{layout.UNITS}/{service}.service"):
            continue
        if any(_concerns(path, service) for path in tree.changes):
            run(["systemctl", "restart", f"{service}.service"])
            done.append(f"restarted {service}")
        else:
            run(["systemctl", "start", f"{service}.service"])
    return done


def _concerns(path: str, service: str) -> bool:
    """Whether a service must be restarted because a file changed.

    The keys of minions are read when a minion calls, and the inventory at every compilation.
    """
    kind = service.removeprefix("salt-")
    own = (f"/etc/salt/{kind}.d/", f"/etc/salt/pki/{kind}/{kind}", f"{layout.UNITS}/{service}")
    return path.startswith(own) or (kind == "master" and path == layout.MASTER_KEY)
