"""After real applies no password stands where another user, a log or a job record shows it."""

from __future__ import annotations

from typing import Any

import pytest

#: Passwords of pillar/inventory/sandbox.yml that no other text contains by chance.
SECRETS = (
    "Patroni.API",
    "DBUser.DBA",
    "DBUser.Monitor",
    "DBUser.Replicator",
    "DBUser.Meta",
    "DBUser.Viewer",
    "Etcd.Root",
)
HOSTS = ("10.10.10.10", "10.10.10.11", "10.10.10.12", "10.10.10.13")
#: The mounted repository holds the sandbox's own, public inventory and the list of public
#: passwords; its byte code does, too.
PUBLIC = ("/opt/pigsty/src", "/var/cache/pigsty/pycache")


@pytest.mark.parametrize("host", HOSTS)
def test_no_password_in_any_command_line(sandbox: Any, host: str) -> None:
    _code, out, err = sandbox.node(host).run(
        ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"]
    )
    assert out, err
    assert [secret for secret in SECRETS if secret in out] == []


@pytest.mark.parametrize("host", HOSTS)
def test_no_password_in_the_journal_or_in_log_files(sandbox: Any, host: str) -> None:
    node = sandbox.node(host)
    code, journal, err = node.run(["journalctl", "--no-pager", "-o", "cat"])
    assert code == 0, err
    found = [f"journal: {secret}" for secret in SECRETS if secret in journal]
    found += _files_with_secrets(node, ["/var/log", "/pg/log"], [])
    assert found == []


@pytest.mark.parametrize("host", HOSTS)
def test_no_password_in_a_file_that_everybody_may_read(sandbox: Any, host: str) -> None:
    node = sandbox.node(host)
    roots = ["/etc", "/var", "/data", "/tmp", "/run", "/usr/local", "/opt", "/home", "/root"]
    assert _files_with_secrets(node, roots, ["-perm", "-o=r"]) == []


def test_no_password_in_the_masters_record_of_jobs(sandbox: Any) -> None:
    node = sandbox.node("10.10.10.10")
    assert _files_with_secrets(node, ["/var/cache/salt/master/jobs"], []) == []


def _files_with_secrets(node: Any, roots: list[str], extra: list[str]) -> list[str]:
    """Return the files below the roots that hold a password in clear.

    A file below a directory that others can't enter isn't readable for everybody; find is run as
    nobody for that question.
    """
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if extra else []
    pattern = "\n".join(SECRETS)
    command = [*user, "find", *roots, "-xdev"]
    for path in PUBLIC:
        command += ["-path", path, "-prune", "-o"]
    command += ["-type", "f", *extra, "-size", "-20M"]
    command += ["-exec", "grep", "-lF", pattern, "{}", "+"]
    _, out, _ = node.run(command)
    return [line for line in out.splitlines() if line]
