"""What is asked of ssh, and what its answers mean."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import pytest

from pigsty_cli import ssh
from pigsty_cli.ssh import Door, HostKeyUnknown, SshError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPFtPTQ3dBpZ4sBVSoYzVvGNPYHh0GX1mX1j1qFpOZJp"
#: More than a pipe holds.
SIZE = 3_000_000


def _flood(stream: IO[bytes]) -> None:
    stream.write(b"x" * SIZE)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `ssh` that runs what it is told on this machine, without any login."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ssh"
    # The last word is the remote shell's command line, as sshd would hand it over.
    program.write_text('#!/bin/sh\nfor word; do :; done\nexec sh -c "$word"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


def test_nothing_is_asked_of_a_person_and_no_unknown_host_is_trusted() -> None:
    words = Door("10.1.1.2", "192.0.2.2", 2222, "dba", "/k").words(Path("/known"))
    text = " ".join(words)
    assert "BatchMode=yes" in text and "StrictHostKeyChecking=yes" in text
    assert "UserKnownHostsFile=/known ~/.ssh/known_hosts" in words
    assert words[words.index("-p") + 1] == "2222" and words[words.index("-i") + 1] == "/k"
    assert words[-2] == "dba@192.0.2.2" and "HostKeyAlias=10.1.1.2" in words
    assert "StrictHostKeyChecking=accept-new" in Door("h", "h", accept=True).words()


def test_the_program_runs_there_and_reads_what_is_sent_after_it(fake: Path) -> None:
    program = "import json, sys\nprint(json.dumps([len(sys.stdin.buffer.read()), __name__]))"
    found = ssh.call(Door("h", "h"), program, "enrolment.look", _flood)
    assert found[0] == SIZE


def test_a_program_that_ends_early_is_heard(fake: Path) -> None:
    program = "raise SystemExit('the disk is full')"
    with pytest.raises(SshError, match="the disk is full"):
        ssh.call(Door("h", "h"), program, "enrolment.look", _flood)


def test_no_program_stands_in_the_command_line() -> None:
    assert "SECRET" not in " ".join(Door("h", "h").words())


@pytest.mark.parametrize(
    ("code", "out", "err", "kind", "text"),
    [
        (97, "", "", SshError, "no python3"),
        (96, "", "sudo: a password is required", SshError, "NOPASSWD"),
        (255, "", "Host key verification failed.", HostKeyUnknown, "host key"),
        (255, "", "dba@h: Permission denied (publickey).", SshError, "lets nobody in"),
        (255, "", "connect to host h port 22: Connection refused", SshError, "Connection refused"),
        (255, "", "", SshError, "no answer"),
        (1, "", "a\nb\nlast words", SshError, "last words"),
        (0, "Welcome!", "", SshError, "can't be read"),
    ],
)
def test_each_failure_has_its_own_words(
    code: int, out: str, err: str, kind: type[SshError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        ssh.answer(code, out, err)


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SshError, match="openssh-client"):
        ssh.call(Door("h", "h"), "", "enrolment.look")


def test_accepted_host_keys_are_remembered_in_place_of_older_ones(tmp_path: Path) -> None:
    known = tmp_path / "etc/known_hosts"
    ssh.remember("h", ["ssh-rsa OLD"], known)
    ssh.remember("other", [KEY], known)
    ssh.remember("h", [KEY], known)
    assert ssh.remembered("h", known) == (KEY,) == ssh.remembered("other", known)
    ssh.remember("h", (), known)
    assert ssh.remembered("h", known) == ()
    assert known.read_text() == f"other {KEY}\n"


def test_fingerprints_are_those_of_ssh_keygen() -> None:
    # `ssh-keygen -lf` of OpenSSH 10.0 says so.
    assert ssh.fingerprint(KEY) == "SHA256:koi768qFP4Bi/cC0YQFBQLWgA2Ie36jts3V1Q8G6ZhM"
