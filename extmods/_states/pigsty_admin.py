"""The state of the admin user's access: sudo rule, SSH keys."""

from __future__ import annotations

import pwd
import tempfile
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render.files import Directory, File, text, with_block

__virtualname__ = "pigsty_admin"

SUDOERS = "/etc/sudoers.d/pigsty-admin"
SSH_CLIENT = "/etc/ssh/ssh_config.d/pigsty.conf"
#: A name of our own: a key that the person made is never replaced.
KEY = "id_pigsty"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def access(name: str) -> dict[str, Any]:
    """Keep what the admin user may do, who may log in as it, and the key that it logs in with.

    Keys that a person has put into the user's files stay. Without an exchange of keys the user
    gets a key that is generated here, once.

    Args:
        name: the state's name.
    """
    admin = __pillar__["pigsty"]["node"]["admin"]

    def plan() -> dict[str, Any]:
        changes = __salt__["pigsty_file.changes"](_files(admin))
        if admin and admin["private_key"] is None and not Path(_ssh(admin), KEY).exists():
            changes[f"{_ssh(admin)}/{KEY}"] = {"key": "generated"}
        return changes

    def act(changes: dict[str, Any]) -> None:
        if admin and admin["sudo"] and SUDOERS in changes:
            _check_sudoers(admin["sudo"])
        __salt__["pigsty_file.converge"](_files(admin))
        if admin and {"key": "generated"} in changes.values():
            __salt__["pigsty_file.converge"](_generated(admin))

    errors = (CommandExecutionError, OSError)
    return converge(name, "the admin user", plan, act, test=__opts__["test"], errors=errors)


def _ssh(admin: dict[str, Any]) -> str:
    """Return the user's folder for SSH; before the user is made, where it is going to be."""
    try:
        return f"{pwd.getpwnam(admin['name']).pw_dir}/.ssh"
    except KeyError:
        return f"/home/{admin['name']}/.ssh"


def _files(admin: dict[str, Any] | None) -> list[File | Directory]:
    """Return the files of the user's access; without a user there shall be none."""
    if admin is None:
        return [File(SUDOERS, None), File(SSH_CLIENT, None)]
    folder, own = _ssh(admin), {"user": admin["name"], "group": admin["group"]}
    listed = f"{folder}/authorized_keys"
    old = __salt__["pigsty_file.read"](listed) or ""
    client = text(
        f"Match localuser {admin['name']}",
        f"    IdentityFile ~/.ssh/{KEY}",
        "    StrictHostKeyChecking accept-new",
    )
    found: list[File | Directory] = [
        File(SUDOERS, admin["sudo"], mode="0440"),
        Directory(folder, mode="0700", **own),
        File(listed, with_block(old, "keys", admin["keys"]), mode="0600", **own),
        File(SSH_CLIENT, client),
    ]
    if admin["private_key"] is not None:
        private, public = admin["private_key"], f"{admin['public_key']}\n"
        found.append(File(f"{folder}/{KEY}", private, mode="0600", secret=True, **own))
        found.append(File(f"{folder}/{KEY}.pub", public, **own))
    return found


def _generated(admin: dict[str, Any]) -> list[File]:
    """Return the files of a new key pair."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path, own = f"{_ssh(admin)}/{KEY}", {"user": admin["name"], "group": admin["group"]}
    return [
        File(path, private, mode="0600", secret=True, **own),
        File(f"{path}.pub", f"{public} {admin['name']}@{__grains__['id']}\n", **own),
    ]


def _check_sudoers(rule: str) -> None:
    """Refuse a rule that sudo can't read: one broken file there stops all of sudo."""
    with tempfile.NamedTemporaryFile("w", prefix="pigsty-sudoers-") as staged:
        staged.write(rule)
        staged.flush()
        command = ["/usr/sbin/visudo", "--check", "--quiet", f"--file={staged.name}"]
        __salt__["pigsty_command.run"](command)
